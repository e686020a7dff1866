// when_all.h - several operations at once; complete when all are.
//
// Each keeps its own outcome: an error of one does not end the others. They are started in order on
// the starting thread; the whole completes on the thread of the last one. Different operations give
// a tuple, a vector (or array) of equal ones a vector; only the latter allocates, for its values.
#pragma once

#include <atomic>
#include <cassert>
#include <cstddef>
#include <utility>

#include "protocol/async/children.h"
#include "protocol/async/operation.h"

namespace kvs {

template <class Children>
class [[nodiscard]] WhenAll final : Completion {
 public:
  using value_type = decltype(std::declval<Children&>().take_all());

  explicit WhenAll(Children children) : children_(std::move(children)) {}
  WhenAll(WhenAll&& other) noexcept : children_(std::move(other.children_)) {
    assert(other.parent_ == nullptr);
  }
  WhenAll& operator=(WhenAll&&) = delete;
  ~WhenAll() { children_.drop(); }

  bool start(Completion& done) {
    parent_ = &done;
    const std::size_t count = children_.size();
    // One more for this function: no child may finish the whole while others are being started.
    missing_.store(count + 1, std::memory_order_relaxed);
    std::size_t complete_at_once = 1;
    for (std::size_t i = 0; i < count; ++i) {
      if (children_.start(i, *this)) ++complete_at_once;
    }
    return missing_.fetch_sub(complete_at_once, std::memory_order_acq_rel) == complete_at_once;
  }
  value_type take() { return children_.take_all(); }
  auto operator co_await() noexcept { return OperationAwaiter<WhenAll>(*this); }

 private:
  void complete() noexcept override {
    if (missing_.fetch_sub(1, std::memory_order_acq_rel) == 1) parent_->complete();
  }

  Children children_;
  std::atomic<std::size_t> missing_{0};
  Completion* parent_ = nullptr;
};

template <Operation... Os>
requires(sizeof...(Os) > 0) auto when_all(Os... operations) {
  return WhenAll<detail::TupleChildren<Os...>>(
      detail::TupleChildren<Os...>(std::move(operations)...));
}

template <class Sequence>
requires(detail::is_sequence<Sequence>) auto when_all(Sequence operations) {
  return WhenAll<detail::SequenceChildren<Sequence>>(
      detail::SequenceChildren<Sequence>(std::move(operations)));
}

}  // namespace kvs
