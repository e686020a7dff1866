// gate.h - counts work in flight, so that stopping can wait for the last of it.
//
// `spawn(gate, task)` runs a task that nobody awaits and counts it until it has returned.
// Thread: all members on one thread (a loop's).
#pragma once

#include <cassert>
#include <coroutine>
#include <cstddef>
#include <utility>

#include "protocol/async/task.h"

namespace kvs {

class Gate {
 public:
  Gate() = default;
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  ~Gate() { assert(count_ == 0); }

  void enter() noexcept { ++count_; }
  void leave() noexcept {
    assert(count_ > 0);
    if (--count_ == 0 && waiter_) std::exchange(waiter_, nullptr).resume();
  }
  std::size_t count() const noexcept { return count_; }

  // Resumes when the count is zero, inside the call to leave() that made it so. One waiter.
  auto closed() noexcept {
    struct Awaiter {
      Gate& gate;
      bool await_ready() const noexcept { return gate.count_ == 0; }
      void await_suspend(std::coroutine_handle<> waiter) const noexcept {
        assert(!gate.waiter_);
        gate.waiter_ = waiter;
      }
      void await_resume() const noexcept {}
    };
    return Awaiter{*this};
  }

 private:
  std::size_t count_ = 0;
  std::coroutine_handle<> waiter_;
};

namespace detail {
inline Detached run_counted(Gate& gate, Task<void> task) {
  gate.enter();
  {
    // The task's frame goes before the gate is told: whoever waits there may own what it refers to.
    Task<void> running = std::move(task);
    co_await std::move(running);
  }
  gate.leave();
}
}  // namespace detail

namespace detail {
inline Detached start_detached(Task<void> task) {
  co_await std::move(task);
}
}  // namespace detail

// Starts `task` now; `gate` must outlive it.
inline void spawn(Gate& gate, Task<void> task) {
  detail::run_counted(gate, std::move(task));
}

}  // namespace kvs
