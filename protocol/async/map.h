// map.h - map and map_error: change the value, or the error, of an operation.
//
// Both add nothing to what they wrap but the function: it runs when the value is taken, on the
// thread that takes it (for co_await, the one that completed the operation).
#pragma once

#include <type_traits>
#include <utility>
#include <variant>

#include "protocol/async/call.h"
#include "protocol/async/operation.h"

namespace kvs {
namespace detail {

template <class V, class F>
auto map_value(F& function, Stored<V>&& value) {
  if constexpr (!is_result<V>) {
    const auto contain = [&]() noexcept -> Returned<F, V> {
      return call_with_stored(function, std::move(value));
    };
    return contain();
  } else {
    using Mapped = AsResult<Returned<F, V>>;
    if (!value) return Mapped(std::unexpected(std::move(value.error())));
    if constexpr (std::is_void_v<typename V::value_type>) {
      return call_for_result(function);
    } else {
      return call_for_result(function, std::move(*value));
    }
  }
}

}  // namespace detail

template <Operation O, class F>
class [[nodiscard]] Map {
 public:
  using value_type = decltype(detail::map_value<typename O::value_type>(
      std::declval<F&>(), std::declval<Stored<typename O::value_type>>()));

  Map(O operation, F function) : operation_(std::move(operation)), function_(std::move(function)) {}

  bool start(Completion& done) { return operation_.start(done); }
  value_type take() {
    return detail::map_value<typename O::value_type>(function_, take_stored(operation_));
  }
  bool cancel() noexcept requires Cancellable<O> { return operation_.cancel(); }
  auto operator co_await() noexcept { return OperationAwaiter<Map>(*this); }

 private:
  O operation_;
  F function_;
};

// `function(T)` of what `operation` yields. Of a Result<T>: `function` sees the T and is skipped on
// an error; what it returns becomes a Result, unless it is one.
template <Operation O, class F>
auto map(O operation, F function) {
  return Map<O, F>(std::move(operation), std::move(function));
}

namespace detail {

// Turns an error into another; the value passes.
template <class F>
struct ErrorMapper {
  template <class V>
  static V apply(F& function, V value) {
    if (value) return value;
    Result<Error> mapped = call_for_result(function, std::move(value.error()));
    return std::unexpected(mapped ? std::move(*mapped) : std::move(mapped.error()));
  }
};

}  // namespace detail

template <Operation O, class F>
class [[nodiscard]] MapError {
 public:
  using value_type = typename O::value_type;
  static_assert(is_result<value_type>, "only a Result has an error");

  MapError(O operation, F function)
      : operation_(std::move(operation)), function_(std::move(function)) {}

  bool start(Completion& done) { return operation_.start(done); }
  value_type take() { return detail::ErrorMapper<F>::apply(function_, operation_.take()); }
  bool cancel() noexcept requires Cancellable<O> { return operation_.cancel(); }
  auto operator co_await() noexcept { return OperationAwaiter<MapError>(*this); }

 private:
  O operation_;
  F function_;
};

// `function(Error)` returns the Error that takes its place.
template <Operation O, class F>
auto map_error(O operation, F function) {
  return MapError<O, F>(std::move(operation), std::move(function));
}

}  // namespace kvs
