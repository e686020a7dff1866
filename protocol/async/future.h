// future.h - the boxed form: Future<T> and Promise<T>, type-erased, one state on the heap.
//
// A Future can be stored, moved between threads, awaited from a coroutine, given to a combinator,
// and waited for by a blocked thread. Its other end is a Promise, or an operation that `boxed` has
// started. Which thread resumes: the one that sets the value.
//
// Dropping: a Future may be dropped at any time on any thread and never waits for work in progress.
// What works for it goes on, unless it can be withdrawn (Cancellable); its value is thrown away. A
// Promise learns of it (`abandoned`). A Promise that is dropped without a value gives
// Code::cancelled, so its T is a Result.
#pragma once

#include <atomic>
#include <cassert>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "protocol/async/completion_slot.h"
#include "protocol/async/droppable.h"
#include "protocol/async/operation.h"

namespace kvs {
namespace detail {

template <class T>
class FutureState {
 public:
  FutureState() = default;
  virtual ~FutureState() = default;
  FutureState(const FutureState&) = delete;
  FutureState& operator=(const FutureState&) = delete;

  // Any thread, once. The caller shares ownership of this.
  void finish(Stored<T> value) {
    {
      const std::scoped_lock lock(mutex_);
      value_.emplace(std::move(value));
      finished_.notify_all();
    }
    slot_.fire();
  }

  // The Future's thread.
  bool start(Completion& done) noexcept { return !slot_.arm(done); }
  T take() {
    const std::scoped_lock lock(mutex_);
    assert(value_);
    if constexpr (!std::is_void_v<T>) return std::move(*value_);
  }
  bool ready() {
    const std::scoped_lock lock(mutex_);
    return value_.has_value();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    finished_.wait(lock, [this] { return value_.has_value(); });
  }
  template <class Rep, class Period>
  bool wait_for(std::chrono::duration<Rep, Period> at_most) {
    std::unique_lock lock(mutex_);
    return finished_.wait_for(lock, at_most, [this] { return value_.has_value(); });
  }
  void abandon() noexcept {
    slot_.disarm();
    abandoned_.store(true, std::memory_order_relaxed);
    withdraw();
  }

  bool abandoned() const noexcept { return abandoned_.load(std::memory_order_relaxed); }

 private:
  // Ends what works for this, if that is possible without waiting.
  virtual void withdraw() noexcept {}

  std::mutex mutex_;
  std::condition_variable finished_;
  std::optional<Stored<T>> value_;  // guarded by mutex_
  CompletionSlot slot_;
  std::atomic<bool> abandoned_{false};
};

// An operation and the state its Future waits for, in one allocation.
template <Operation O>
class BoxedOperation final : public FutureState<typename O::value_type>, Completion {
 public:
  explicit BoxedOperation(O operation) : operation_(std::move(operation)) {}

  void launch(std::shared_ptr<BoxedOperation> self) {
    const std::shared_ptr<BoxedOperation> kept = self;
    running_ = std::move(self);
    if (operation_->start(*this)) complete();
  }

 private:
  void complete() noexcept override {
    {
      // Once withdraw() has looked, the operation is ours.
      const std::scoped_lock lock(withdrawing_);
      completing_ = true;
    }
    const std::shared_ptr<BoxedOperation> self = std::move(running_);
    Stored<typename O::value_type> value = take_stored(*operation_);
    // Gone before anybody is told: the waiter may own what it refers to.
    operation_.drop();
    this->finish(std::move(value));
  }

  void withdraw() noexcept override {
    if constexpr (Cancellable<O>) {
      std::shared_ptr<BoxedOperation> last;  // freed after the lock
      const std::scoped_lock lock(withdrawing_);
      if (!completing_ && operation_->cancel()) last = std::move(running_);
    }
  }

  Droppable<O> operation_;
  std::mutex withdrawing_;
  bool completing_ = false;                  // guarded by withdrawing_
  std::shared_ptr<BoxedOperation> running_;  // this, while the operation runs
};

}  // namespace detail

// Thread: one at a time; it may change.
template <class T>
class [[nodiscard]] Future {
 public:
  using value_type = T;

  explicit Future(std::shared_ptr<detail::FutureState<T>> state) : state_(std::move(state)) {}
  Future(Future&&) noexcept = default;
  Future& operator=(Future&& other) noexcept {
    if (this != &other) {
      drop();
      state_ = std::move(other.state_);
    }
    return *this;
  }
  ~Future() { drop(); }

  // False when moved from.
  bool valid() const noexcept { return state_ != nullptr; }
  bool ready() const { return state_->ready(); }
  // Block the calling thread: never on a thread that has to bring the value about.
  void wait() const { state_->wait(); }
  // False: the value was not there in time. The Future is as good as before.
  template <class Rep, class Period>
  bool wait_for(std::chrono::duration<Rep, Period> at_most) const {
    return state_->wait_for(at_most);
  }
  // Waits and takes the value.
  T get() {
    wait();
    return take();
  }

  // Operation. Not while a thread waits.
  bool start(Completion& done) noexcept { return state_->start(done); }
  T take() { return state_->take(); }
  auto operator co_await() noexcept { return OperationAwaiter<Future>(*this); }

 private:
  void drop() noexcept {
    if (state_) state_->abandon();
  }

  std::shared_ptr<detail::FutureState<T>> state_;
};

// The other end of a Future, for whoever brings its value about. Any thread, one at a time.
template <class T>
class Promise {
  static_assert(is_result<T>, "a dropped promise gives Code::cancelled: T is a Result");

 public:
  Promise() : state_(std::make_shared<detail::FutureState<T>>()) {}
  Promise(Promise&&) noexcept = default;
  Promise& operator=(Promise&& other) noexcept {
    if (this != &other) {
      drop();
      state_ = std::move(other.state_);
    }
    return *this;
  }
  ~Promise() { drop(); }

  // Once, before `set`.
  Future<T> future() { return Future<T>(state_); }

  // Once. What waits for the Future goes on inside this call.
  void set(T value) {
    assert(state_);
    const std::shared_ptr<detail::FutureState<T>> state = std::move(state_);
    state->finish(std::move(value));
  }

  // True: nobody waits for the value any more.
  bool abandoned() const noexcept { return !state_ || state_->abandoned(); }

 private:
  void drop() noexcept {
    if (state_) set(fail(Code::cancelled, "the promise was dropped"));
  }

  std::shared_ptr<detail::FutureState<T>> state_;
};

// Starts `operation` now, on this thread, and returns its Future. The operation is destroyed where
// it completes. Dropping the Future withdraws a Cancellable operation that has not begun its work.
template <Operation O>
Future<typename O::value_type> boxed(O operation) {
  auto state = std::make_shared<detail::BoxedOperation<O>>(std::move(operation));
  state->launch(state);
  return Future<typename O::value_type>(std::move(state));
}

}  // namespace kvs
