// sync_wait.h - starts an operation and blocks the calling thread until its value is there.
//
// For tests, `main` functions and threads of one's own. Never on a loop's thread when the operation
// needs that loop to go on: it would wait for itself. `block_on` is for that: it runs the loop
// meanwhile.
#pragma once

#include <condition_variable>
#include <mutex>
#include <utility>

#include "protocol/async/operation.h"

namespace kvs {
namespace detail {

class BlockedThread final : public Completion {
 public:
  void complete() noexcept override {
    // Told under the lock: the waiter destroys this object as soon as it can have the lock.
    const std::scoped_lock lock(mutex_);
    finished_ = true;
    condition_.notify_one();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    condition_.wait(lock, [this] { return finished_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable condition_;
  bool finished_ = false;  // guarded by mutex_
};

template <class Runner>
class RunnerStop final : public Completion {
 public:
  explicit RunnerStop(Runner& runner) : runner_(runner) {}
  void complete() noexcept override {
    runner_.post([&runner = runner_] { runner.stop(); });
  }

 private:
  Runner& runner_;
};

}  // namespace detail

// Starts `operation` on the calling thread and returns its value, whichever thread completes it.
// The operation is destroyed before the call returns.
template <Operation O>
typename O::value_type sync_wait(O operation) {
  detail::BlockedThread blocked;
  O running = std::move(operation);
  if (!running.start(blocked)) blocked.wait();
  return running.take();
}

// Something that runs work on the calling thread until it is told to stop: uv::Loop.
template <class R>
concept Runner = requires(R runner) {
  runner.run();
  runner.stop();
  runner.post([] {});
};

// Starts `operation` on the calling thread and runs `runner` there until the value is there. Not
// while it runs already. Errors: none of its own; what waits for a peer has a time-out for that.
template <Runner R, Operation O>
typename O::value_type block_on(R& runner, O operation) {
  detail::RunnerStop<R> stop(runner);
  O running = std::move(operation);
  if (!running.start(stop)) runner.run();
  return running.take();
}

}  // namespace kvs
