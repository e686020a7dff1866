// run.h - runs a loop until one task has ended: asynchronous code called from blocking code.
#pragma once

#include <cassert>
#include <optional>
#include <utility>
#include <variant>

#include "protocol/async/task.h"
#include "protocol/uv/loop.h"

namespace kvs::client {
namespace detail {

template <class T>
struct RunState {
  uv::Loop& loop;
  std::optional<T> value;
  bool running = false;

  void finish(T result) {
    value.emplace(std::move(result));
    // Not otherwise: libuv would remember it and end the next run before it began.
    if (running) loop.stop();
  }
};

template <class T>
kvs::detail::Detached run_into(RunState<T>& state, Task<T> task) {
  T result = co_await std::move(task);
  state.finish(std::move(result));
}

inline kvs::detail::Detached run_into(RunState<std::monostate>& state, Task<void> task) {
  co_await std::move(task);
  state.finish({});
}

}  // namespace detail

// Runs `loop` on the calling thread until `task` has ended and returns its value. Not while the
// loop runs already. The task must end by itself: what waits for a server has a time-out for that.
template <class T>
T run(uv::Loop& loop, Task<T> task) {
  detail::RunState<T> state{loop, std::nullopt};
  detail::run_into(state, std::move(task));
  state.running = true;
  if (!state.value) loop.run();
  assert(state.value);
  return std::move(*state.value);
}

inline void run(uv::Loop& loop, Task<void> task) {
  detail::RunState<std::monostate> state{loop, std::nullopt};
  detail::run_into(state, std::move(task));
  state.running = true;
  if (!state.value) loop.run();
  assert(state.value);
}

}  // namespace kvs::client
