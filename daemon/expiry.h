// expiry.h - removes keys when their deadline comes.
//
// A timer asks the engine for the next deadline (a few loads, no lock) and sends a job to the pool
// when it has come. Not part of the maintenance slices: those may wait for a disk (a compaction
// syncs what it wrote), and keys should leave within milliseconds, not after that.
#pragma once

#include <functional>

#include "protocol/uv/loop.h"
#include "protocol/uv/pool_work.h"
#include "protocol/uv/timer.h"
#include "storage/engine.h"

namespace kvs::daemon {

// Thread: the loop's.
class LatencyEvents;

class Expiry {
 public:
  // `job_ended` is called when a job is over that was running while stop() was called.
  Expiry(uv::Loop& loop, Engine& engine, LatencyEvents& latency, std::function<void()> job_ended);

  void start();
  // Begins nothing more; running() says whether something still is.
  void stop();
  bool running() const { return job_.running(); }

 private:
  void look();
  void job_done();

  Engine& engine_;
  std::function<void()> job_ended_;
  bool more_ = false;  // written by the job, read after it
  bool stopping_ = false;
  uv::PoolWork job_;
  uv::Timer next_look_;
};

}  // namespace kvs::daemon
