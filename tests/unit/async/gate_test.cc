// gate_test.cc - counting work in flight and waiting for the last of it.
#include "protocol/async/gate.h"

#include <coroutine>
#include <memory>
#include <vector>

#include <doctest/doctest.h>

#include "protocol/async/task.h"

using kvs::Gate;
using kvs::Task;

namespace {

// Coroutines that wait here are resumed by hand.
struct Parked {
  std::vector<std::coroutine_handle<>>& waiters;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiter) const { waiters.push_back(waiter); }
  void await_resume() const noexcept {}
};

Task<void> park(std::vector<std::coroutine_handle<>>& waiters) {
  Parked parked{waiters};
  co_await parked;
}

// Tells, when its frame goes, whether the gate had been reported closed before.
struct FrameEnd {
  const bool& gate_closed;
  bool& closed_first;
  ~FrameEnd() { closed_first = gate_closed; }
};

Task<void> park_and_watch(std::vector<std::coroutine_handle<>>& waiters,
                          std::unique_ptr<FrameEnd> watched) {
  Parked parked{waiters};
  co_await parked;
  (void)watched;
}

Task<void> nothing() {
  co_return;
}

kvs::detail::Detached note_closed(Gate& gate, bool& closed) {
  auto closing = gate.closed();
  co_await closing;
  closed = true;
}

}  // namespace

TEST_CASE("a gate counts spawned tasks until each has returned") {
  Gate gate;
  std::vector<std::coroutine_handle<>> waiters;
  spawn(gate, nothing());
  CHECK(gate.count() == 0);
  spawn(gate, park(waiters));
  spawn(gate, park(waiters));
  CHECK(gate.count() == 2);
  waiters[1].resume();
  CHECK(gate.count() == 1);
  waiters[0].resume();
  CHECK(gate.count() == 0);
}

TEST_CASE("closed() is ready at once when nothing is in flight") {
  Gate gate;
  bool closed = false;
  note_closed(gate, closed);
  CHECK(closed);
}

TEST_CASE("closed() waits for the last task, whichever that is") {
  Gate gate;
  std::vector<std::coroutine_handle<>> waiters;
  spawn(gate, park(waiters));
  spawn(gate, park(waiters));
  bool closed = false;
  note_closed(gate, closed);
  CHECK_FALSE(closed);
  waiters[0].resume();
  CHECK_FALSE(closed);
  waiters[1].resume();
  CHECK(closed);
}

TEST_CASE("a spawned task's frame is gone before the gate reports that it is closed") {
  Gate gate;
  std::vector<std::coroutine_handle<>> waiters;
  bool closed = false;
  bool closed_first = true;
  spawn(gate,
        park_and_watch(waiters, std::unique_ptr<FrameEnd>(new FrameEnd{closed, closed_first})));
  note_closed(gate, closed);
  waiters[0].resume();
  CHECK(closed);
  CHECK_FALSE(closed_first);
}

TEST_CASE("enter and leave count work that is not a task") {
  Gate gate;
  gate.enter();
  bool closed = false;
  note_closed(gate, closed);
  CHECK_FALSE(closed);
  gate.leave();
  CHECK(closed);
}
