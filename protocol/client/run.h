// run.h - runs a loop until one operation or task has ended: asynchronous code called from blocking
// code.
#pragma once

#include <cassert>
#include <optional>
#include <utility>

#include "protocol/async/operation.h"
#include "protocol/async/task.h"
#include "protocol/uv/loop.h"

namespace kvs::client {
namespace detail {

class StopLoop final : public Completion {
 public:
  explicit StopLoop(uv::Loop& loop) : loop_(loop) {}
  void complete() noexcept override {
    done_ = true;
    loop_.stop();
  }
  bool done() const noexcept { return done_; }

 private:
  uv::Loop& loop_;
  bool done_ = false;
};

}  // namespace detail

// Runs `loop` on the calling thread until `operation` has ended and returns its value. Not while
// the loop runs already. It must end by itself: what waits for a server has a time-out for that.
template <Operation O>
typename O::value_type run(uv::Loop& loop, O operation) {
  detail::StopLoop stop(loop);
  if (!operation.start(stop)) {
    loop.run();
    assert(stop.done());
  }
  return operation.take();
}

}  // namespace kvs::client
