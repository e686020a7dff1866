// manual_operation.h - an operation that completes when the test says so, on the thread that says
// it.
#pragma once

#include <cassert>
#include <mutex>
#include <optional>
#include <utility>

#include "protocol/async/completion_slot.h"
#include "protocol/async/operation.h"

namespace kvs::test {

// Thread: any, as for its operations. Several may wait: the newest is completed first.
template <class T>
class ManualSource {
 public:
  class Op;

  ManualSource() = default;
  ManualSource(const ManualSource&) = delete;
  ManualSource& operator=(const ManualSource&) = delete;
  ~ManualSource() { assert(waiting_ == nullptr); }

  Op op() { return Op(*this); }
  // Is an operation waiting?
  bool waited_for() {
    const std::scoped_lock lock(mutex_);
    return waiting_ != nullptr;
  }
  // Completes a waiting operation; false when there is none (any more).
  bool fire(T value) {
    Op* op = nullptr;
    {
      const std::scoped_lock lock(mutex_);
      op = waiting_;
      if (op != nullptr) waiting_ = op->next_;
    }
    if (op == nullptr) return false;
    op->value_.emplace(std::move(value));
    op->slot_.fire();
    return true;
  }
  unsigned started() {
    const std::scoped_lock lock(mutex_);
    return started_;
  }

 private:
  std::mutex mutex_;
  Op* waiting_ = nullptr;  // guarded by mutex_, as is
  unsigned started_ = 0;
};

template <class T>
class [[nodiscard]] ManualSource<T>::Op {
 public:
  using value_type = T;

  explicit Op(ManualSource& source) : source_(&source) {}
  Op(Op&& other) noexcept : source_(other.source_) { assert(!other.running_); }
  Op& operator=(Op&&) = delete;
  ~Op() {
    if (running_ && !withdraw()) slot_.drain();
  }

  bool start(Completion& done) {
    running_ = true;
    slot_.arm(done);
    const std::scoped_lock lock(source_->mutex_);
    next_ = source_->waiting_;
    source_->waiting_ = this;
    ++source_->started_;
    return false;
  }
  T take() { return std::move(*value_); }
  bool cancel() noexcept {
    if (!withdraw()) return false;
    running_ = false;
    return true;
  }
  auto operator co_await() noexcept { return OperationAwaiter<Op>(*this); }

 private:
  friend ManualSource;

  bool withdraw() noexcept {
    const std::scoped_lock lock(source_->mutex_);
    Op** link = &source_->waiting_;
    while (*link != nullptr && *link != this) link = &(*link)->next_;
    if (*link == nullptr) return false;
    *link = next_;
    return true;
  }

  ManualSource* source_;
  Op* next_ = nullptr;  // guarded by the source's mutex
  CompletionSlot slot_;
  std::optional<T> value_;
  bool running_ = false;
};

}  // namespace kvs::test
