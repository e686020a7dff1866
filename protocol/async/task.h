// task.h - a lazy coroutine that yields one value, and the counted detached kind.
//
// A Task starts when it is awaited (or started as any Operation, operation.h) and resumes its
// awaiter on whatever thread it finished on. It owns its frame: destroying a Task that is suspended
// destroys the frame and, with it, every awaitable that lives there (so an awaitable's destructor
// must deregister it). Tasks do not throw: an exception that leaves one ends the process.
//
// Stack depth: symmetric transfer alone would do, were it always a tail call. GCC 12 makes it one
// only when optimising and never under sanitizers, and then a loop over tasks that never suspend
// ends in a stack overflow. So a task that finishes while its awaiter is still starting it says so
// in a note on the starter's stack (`Start`) and returns there. Only that thread ever reads the
// note, so nothing is atomic, and the awaiter's frame is not touched after the task has been
// started.
//
// GCC 12: give awaitables a name before co_await, never await in a lambda with captures.
#pragma once

#include <cassert>
#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

#include "protocol/async/operation.h"

namespace kvs {

template <class T>
class Task;

namespace detail {

struct TaskPromiseBase;

// One task being started by this thread; they nest, the innermost first.
struct Start {
  const TaskPromiseBase* task;
  Start* outer;
  bool finished = false;
};
inline thread_local constinit Start* innermost_start = nullptr;

struct TaskPromiseBase {
  std::coroutine_handle<> awaiter = std::noop_coroutine();
  Completion* completion = nullptr;  // instead of an awaiter, when started as an Operation
  const Start* start = nullptr;      // compared, never followed: it may be gone

  struct FinalAwaiter {
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> done) const noexcept {
      const TaskPromiseBase& promise = done.promise();
      Start* const innermost = innermost_start;
      if (innermost && innermost == promise.start && innermost->task == &promise) {
        innermost->finished = true;  // our awaiter goes on where it started us
        return std::noop_coroutine();
      }
      if (promise.completion == nullptr) return promise.awaiter;
      promise.completion->complete();  // may free the frame, and this awaitable with it
      return std::noop_coroutine();
    }
    void await_resume() const noexcept {}
  };

  std::suspend_always initial_suspend() const noexcept { return {}; }
  FinalAwaiter final_suspend() const noexcept { return {}; }
  [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }
};

template <class T>
struct TaskPromise : TaskPromiseBase {
  std::optional<T> value;
  Task<T> get_return_object() noexcept;
  template <class U>
  void return_value(U&& result) {
    value.emplace(std::forward<U>(result));
  }
  T take() {
    assert(value.has_value());
    return std::move(*value);
  }
};

template <>
struct TaskPromise<void> : TaskPromiseBase {
  Task<void> get_return_object() noexcept;
  void return_void() const noexcept {}
  void take() const noexcept {}
};

// Runs a task's frame from its beginning. True: it has finished, and told nobody.
template <class Promise>
bool start_task(std::coroutine_handle<Promise> frame) noexcept {
  TaskPromiseBase& promise = frame.promise();
  Start start{&promise, innermost_start};
  promise.start = &start;
  innermost_start = &start;
  frame.resume();
  // From here on the task, its awaiter and the awaitable may be gone: only the stack is ours.
  innermost_start = start.outer;
  return start.finished;
}

}  // namespace detail

template <class T = void>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::TaskPromise<T>;
  using value_type = T;

  explicit Task(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}
  Task(Task&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    std::swap(frame_, other.frame_);
    return *this;
  }
  ~Task() {
    if (frame_) frame_.destroy();
  }

  // Starts the task; resumes with its value where the task ended. Await it once.
  auto operator co_await() && noexcept {
    struct Awaiter {
      std::coroutine_handle<promise_type> frame;
      bool await_ready() const noexcept { return false; }
      // False: the task has finished already, the awaiter goes on at once.
      bool await_suspend(std::coroutine_handle<> awaiter) const noexcept {
        frame.promise().awaiter = awaiter;
        return !detail::start_task(frame);
      }
      T await_resume() const { return frame.promise().take(); }
    };
    assert(frame_);
    return Awaiter{frame_};
  }

  // Operation (operation.h): the task without an awaiting coroutine.
  bool start(Completion& done) noexcept {
    assert(frame_);
    frame_.promise().completion = &done;
    return detail::start_task(frame_);
  }
  T take() { return frame_.promise().take(); }

 private:
  std::coroutine_handle<promise_type> frame_;
};

namespace detail {
template <class T>
Task<T> TaskPromise<T>::get_return_object() noexcept {
  return Task<T>(std::coroutine_handle<TaskPromise<T>>::from_promise(*this));
}
inline Task<void> TaskPromise<void>::get_return_object() noexcept {
  return Task<void>(std::coroutine_handle<TaskPromise<void>>::from_promise(*this));
}

// A coroutine nobody awaits: starts at once, frees itself at its end.
struct Detached {
  struct promise_type {
    Detached get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }
  };
};

}  // namespace detail

}  // namespace kvs
