// operation.h - what all four forms of asynchronous code have in common: "yields one value, once".
//
// The seam lies below coroutines, so that combinators need none: an operation is started with a
// Completion that its parent owns, says there that its value is ready, and hands it over. No heap,
// no type erasure, and co_await is one more parent (OperationAwaiter).
//
// The rules, for those who write one (README.md has them with an example):
//  * It can be moved until it is started, and is started at most once.
//  * `start` returns true when the value is there already; the completion is not told then. That is
//    what keeps loops over operations that never wait from using up the stack.
//  * Otherwise complete() is called exactly once, by any thread, maybe before `start` has returned.
//    Whoever is told may destroy the operation at once, inside the call too.
//  * `take` is called once, after that.
//  * Destroying it cancels it: when the destructor has returned nobody is told any more, and no
//    other thread is inside complete(). So `start` touches nothing of it once the work is handed
//    over.
#pragma once

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "protocol/async/result.h"

namespace kvs {

// Told once that an operation has its value. Owned by the parent, which outlives the operation.
class Completion {
 public:
  virtual void complete() noexcept = 0;

 protected:
  ~Completion() = default;
};

template <class O>
concept Operation = std::move_constructible<O> && requires(O operation, Completion& done) {
  typename O::value_type;
  { operation.start(done) } -> std::same_as<bool>;
  { operation.take() } -> std::same_as<typename O::value_type>;
};

// An operation that can be withdrawn while another thread may be completing it: true means that it
// will not happen and nobody will be told. Never blocks. What a dropped Future asks (future.h).
template <class O>
concept Cancellable = Operation<O> && requires(O operation) {
  { operation.cancel() }
  noexcept->std::same_as<bool>;
};

// What a value of type T is kept as: void has no objects.
template <class T>
using Stored = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

// The value of `operation`, as an object even when it is void.
template <Operation O>
Stored<typename O::value_type> take_stored(O& operation) {
  if constexpr (std::is_void_v<typename O::value_type>) {
    operation.take();
    return {};
  } else {
    return operation.take();
  }
}

// Awaits an operation from a coroutine; resumes on the thread that completes it. Operations return
// one from their operator co_await. Lives in the awaiting frame: no allocation.
template <class O>
class OperationAwaiter final : Completion {
 public:
  explicit OperationAwaiter(O& operation) noexcept : operation_(operation) {}
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> waiter) {
    waiter_ = waiter;
    return !operation_.start(*this);
  }
  decltype(auto) await_resume() { return operation_.take(); }

 private:
  void complete() noexcept override { waiter_.resume(); }

  O& operation_;  // a temporary of the same co_await at least
  std::coroutine_handle<> waiter_;
};

// An operation that has its value from the start: `ready(Result<int>(7))`.
template <class T>
class [[nodiscard]] Ready {
 public:
  using value_type = T;
  explicit Ready(T value) : value_(std::move(value)) {}
  bool start(Completion& /*never told*/) noexcept { return true; }
  T take() { return std::move(value_); }
  bool cancel() noexcept { return false; }
  auto operator co_await() noexcept { return OperationAwaiter<Ready>(*this); }

 private:
  T value_;
};

template <class T>
Ready<std::decay_t<T>> ready(T&& value) {
  return Ready<std::decay_t<T>>(std::forward<T>(value));
}

}  // namespace kvs
