// pool_work.h - one recurring job on libuv's thread pool: the only home of uv_queue_work.
//
// The request is reused, so that a start allocates nothing, and at most one run is in flight: the
// "at most one" rules of ARCHITECTURE.md (one batch per loop, one sync, one maintenance slice) are
// each one object of this class.
#pragma once

#include <functional>

#include <uv.h>

#include "protocol/uv/loop.h"

namespace kvs::uv {

class PoolWork {
 public:
  // `run` is called on a pool thread, then `done` on the loop's thread; `done` may start it again.
  PoolWork(Loop& loop, std::function<void()> run, std::function<void()> done);
  ~PoolWork();  // not while running
  PoolWork(const PoolWork&) = delete;
  PoolWork& operator=(const PoolWork&) = delete;

  // Queues a run. Thread: the loop's. Not while running.
  void start();
  bool running() const noexcept { return running_; }

 private:
  Loop& loop_;  // outlives this
  std::function<void()> run_;
  std::function<void()> done_;
  uv_work_t request_{};
  bool running_ = false;  // loop thread
};

}  // namespace kvs::uv
