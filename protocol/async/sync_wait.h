// sync_wait.h - runs a task to its end and blocks the calling thread meanwhile.
//
// For tests, `main` functions and threads of one's own. Never on a loop's thread when the task
// needs that loop to go on: it would wait for itself (protocol/client/run.h is for that).
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>
#include <variant>

#include "protocol/async/task.h"

namespace kvs {
namespace detail {

template <class T>
class SyncWaitState {
 public:
  // Any thread, once.
  void finish(T value) {
    // Told under the lock: the waiter destroys this object as soon as it can have the lock.
    const std::scoped_lock lock(mutex_);
    value_.emplace(std::move(value));
    finished_.notify_one();
  }
  T wait() {
    std::unique_lock lock(mutex_);
    finished_.wait(lock, [this] { return value_.has_value(); });
    return std::move(*value_);
  }

 private:
  std::mutex mutex_;
  std::condition_variable finished_;
  std::optional<T> value_;  // guarded by mutex_
};

template <class T>
Detached run_for_sync_wait(Task<T> task, SyncWaitState<T>& state) {
  std::optional<T> value;
  {
    // The task's frame goes before the waiter is told: the waiter may own what it refers to.
    Task<T> running = std::move(task);
    value.emplace(co_await std::move(running));
  }
  state.finish(std::move(*value));
}

inline Detached run_for_sync_wait(Task<void> task, SyncWaitState<std::monostate>& state) {
  {
    Task<void> running = std::move(task);
    co_await std::move(running);
  }
  state.finish({});
}

}  // namespace detail

// Starts `task` on the calling thread and returns its value, on whichever thread it finished.
template <class T>
T sync_wait(Task<T> task) {
  detail::SyncWaitState<T> state;
  detail::run_for_sync_wait(std::move(task), state);
  return state.wait();
}

inline void sync_wait(Task<void> task) {
  detail::SyncWaitState<std::monostate> state;
  detail::run_for_sync_wait(std::move(task), state);
  state.wait();
}

}  // namespace kvs
