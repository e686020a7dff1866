// call.h - calls the functions that users give to combinators, and keeps their exceptions inside.
//
// A function that throws gives Code::exception with what() as its message: an error like any other,
// for the rest of the pipeline to handle. Where the pipeline's value is not a Result there is no
// place for an error, and the exception ends the process (std::terminate), as it does in a Task.
#pragma once

#include <exception>
#include <functional>
#include <type_traits>
#include <utility>
#include <variant>

#include "protocol/async/result.h"

namespace kvs::detail {

// The exception being handled, as an error.
inline Error current_exception_error() {
  try {
    throw;
  } catch (const std::exception& thrown) {
    return Error(Code::exception, thrown.what());
  } catch (...) {
    return Error(Code::exception, "an exception that is no std::exception");
  }
}

template <class T>
using AsResult = std::conditional_t<is_result<T>, T, Result<T>>;

// function(arguments...), as a Result whatever it returns.
template <class F, class... Arguments>
auto call_for_result(F& function, Arguments&&... arguments)
    -> AsResult<std::invoke_result_t<F&, Arguments...>> {
  using Returned = std::invoke_result_t<F&, Arguments...>;
  try {
    if constexpr (std::is_void_v<Returned>) {
      std::invoke(function, std::forward<Arguments>(arguments)...);
      return {};
    } else {
      return std::invoke(function, std::forward<Arguments>(arguments)...);
    }
  } catch (...) {
    return std::unexpected(current_exception_error());
  }
}

// Calls `function` with the value that `stored` holds: nothing for void.
template <class F, class T>
decltype(auto) call_with_stored(F& function, T&& stored) {
  if constexpr (std::is_same_v<std::decay_t<T>, std::monostate>) {
    return std::invoke(function);
  } else {
    return std::invoke(function, std::forward<T>(stored));
  }
}

// What `function` returns when it is given a T, the value inside a Result<T>, or nothing.
template <class F, class T>
struct ReturnedFor {
  using type = std::invoke_result_t<F&, T>;
};
template <class F>
struct ReturnedFor<F, void> {
  using type = std::invoke_result_t<F&>;
};
template <class F>
struct ReturnedFor<F, std::monostate> : ReturnedFor<F, void> {};
template <class F, class T>
struct ReturnedFor<F, Result<T>> : ReturnedFor<F, T> {};
template <class F, class T>
using Returned = typename ReturnedFor<F, T>::type;

}  // namespace kvs::detail
