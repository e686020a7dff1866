// then.h - then and or_else: an operation whose outcome decides on a second one.
//
// Both operations live inside the combinator, one after the other; nothing is allocated. The
// function that makes the second runs on the thread that completed the first, and the second is
// started there.
#pragma once

#include <cassert>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "protocol/async/call.h"
#include "protocol/async/operation.h"

namespace kvs {
namespace detail {

// What `then` does with the outcome of the first operation: errors settle it, values go on.
template <class V>
struct GoOnWithValue {
  template <class F>
  using Second = Returned<F, V>;

  template <class S, class Settle, class GoOn>
  static bool decide(Stored<V>&& value, const Settle& settle, const GoOn& go_on) {
    if constexpr (!is_result<V>) {
      return go_on(std::move(value));
    } else {
      if (!value) return settle(S(std::unexpected(std::move(value.error()))));
      if constexpr (std::is_void_v<typename V::value_type>) {
        return go_on(std::monostate());
      } else {
        return go_on(std::move(*value));
      }
    }
  }
};

// The other way round for `or_else`.
template <class V>
struct GoOnWithError {
  static_assert(is_result<V>, "only a Result has an error");
  template <class F>
  using Second = std::invoke_result_t<F&, Error>;

  template <class S, class Settle, class GoOn>
  static bool decide(V&& value, const Settle& settle, const GoOn& go_on) {
    static_assert(std::is_same_v<S, V>, "or_else recovers with an operation of the same value");
    if (value) return settle(std::move(value));
    return go_on(std::move(value.error()));
  }
};

}  // namespace detail

template <Operation O, class F, class Decision>
class [[nodiscard]] Chain final : Completion {
  using Second = typename Decision::template Second<F>;
  static_assert(Operation<Second>, "the function returns an operation; map is for plain values");

 public:
  using value_type = typename Second::value_type;

  Chain(O operation, F function) : function_(std::move(function)), first_(std::move(operation)) {}
  Chain(Chain&& other) noexcept
      : function_(std::move(other.function_)), first_(std::move(other.first_)) {
    assert(other.parent_ == nullptr);
  }
  Chain& operator=(Chain&&) = delete;
  ~Chain() = default;

  bool start(Completion& done) {
    parent_ = &done;
    return first_.start(*this) && proceed();
  }
  value_type take() {
    if (!settled_) return second_->take();
    if constexpr (!std::is_void_v<value_type>) return std::move(*settled_);
  }
  auto operator co_await() noexcept { return OperationAwaiter<Chain>(*this); }

 private:
  void complete() noexcept override {
    if (proceed()) parent_->complete();
  }

  // The first has its value. True: so has the whole.
  bool proceed() noexcept {
    const auto settle = [this](Stored<value_type> value) {
      settled_.emplace(std::move(value));
      return true;
    };
    const auto go_on = [this](auto&& argument) {
      if constexpr (is_result<value_type>) {
        try {
          second_.emplace(
              detail::call_with_stored(function_, std::forward<decltype(argument)>(argument)));
        } catch (...) {
          settled_.emplace(std::unexpected(detail::current_exception_error()));
          return true;
        }
      } else {
        second_.emplace(
            detail::call_with_stored(function_, std::forward<decltype(argument)>(argument)));
      }
      return second_->start(*parent_);
    };
    return Decision::template decide<Stored<value_type>>(take_stored(first_), settle, go_on);
  }

  F function_;
  std::optional<Second> second_;
  std::optional<Stored<value_type>> settled_;  // without a second
  Completion* parent_ = nullptr;
  // Last, so that it is destroyed first: until it is gone, its thread may be making the second.
  O first_;
};

// `function(T)` returns the operation to go on with. Of a Result<T>: `function` sees the T; on an
// error it is skipped, and the error is the outcome.
template <Operation O, class F>
auto then(O operation, F function) {
  return Chain<O, F, detail::GoOnWithValue<typename O::value_type>>(std::move(operation),
                                                                    std::move(function));
}

// `function(Error)` returns the operation to recover with; a value passes.
template <Operation O, class F>
auto or_else(O operation, F function) {
  return Chain<O, F, detail::GoOnWithError<typename O::value_type>>(std::move(operation),
                                                                    std::move(function));
}

}  // namespace kvs
