// timer_queue_test.cc - times that pass when the test says so, and with_timeout on them.
#include "protocol/async/timer_queue.h"

#include <chrono>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "protocol/async/combinators.h"
#include "protocol/async/future.h"
#include "protocol/async/sync_wait.h"
#include "protocol/async/task.h"
#include "tests/support/manual_operation.h"

using kvs::boxed;
using kvs::Code;
using kvs::Result;
using kvs::TimerQueue;
using kvs::with_timeout;
using kvs::test::ManualSource;
using namespace std::chrono_literals;

namespace {

class ManualTimers final : public TimerQueue {
 public:
  // Lets `time` pass, counted from the first call on.
  auto pass(std::chrono::milliseconds time) { return fire_due(Clock::now() + time); }
  int wakes() const { return wakes_; }

 private:
  void earliest_changed() noexcept override { ++wakes_; }
  std::atomic<int> wakes_ = 0;
};

}  // namespace

TEST_CASE("sleeps end in the order of their times, whatever the order of their starts") {
  ManualTimers timers;
  std::vector<int> order;
  std::vector<kvs::Future<void>> sleeps;
  for (const int delay : {300, 100, 200, 100}) {
    sleeps.push_back(boxed(map(timers.after(std::chrono::milliseconds(delay)),
                               [&order, delay] { order.push_back(delay); })));
  }
  CHECK(timers.wakes() == 2);
  CHECK(timers.pass(150ms));
  CHECK(order == std::vector<int>{100, 100});
  CHECK_FALSE(timers.pass(1000ms));
  CHECK(order == std::vector<int>{100, 100, 200, 300});
}

TEST_CASE("a sleep that is dropped is forgotten") {
  ManualTimers timers;
  {
    auto earlier = boxed(timers.after(10ms));
    auto later = boxed(timers.after(20ms));
    auto latest = boxed(timers.after(30ms));
    later = boxed(timers.after(15ms));
  }
  CHECK_FALSE(timers.pass(1000ms));
}

TEST_CASE("with_timeout passes what comes in time and forgets the timer") {
  ManualTimers timers;
  ManualSource<Result<int>> source;
  auto limited = boxed(with_timeout(source.op(), timers, 50ms));
  CHECK(timers.pass(0ms));
  CHECK(source.fire(1));
  CHECK(*limited.get() == 1);
  CHECK_FALSE(timers.pass(1000ms));
  const auto at_once = []() -> kvs::Task<Result<int>> { co_return 2; };
  CHECK(*kvs::sync_wait(with_timeout(at_once(), timers, 0ms)) == 2);
  CHECK(timers.wakes() == 1);
}

TEST_CASE("with_timeout gives up what comes too late, and drops it") {
  ManualTimers timers;
  ManualSource<Result<int>> source;
  auto limited = boxed(with_timeout(source.op(), timers, 50ms));
  CHECK_FALSE(timers.pass(1000ms));
  const Result<int> outcome = limited.get();
  CHECK(outcome.error().code() == Code::timeout);
  CHECK_FALSE(source.waited_for());
}

TEST_CASE("a timer and a value that come at once give one outcome") {
  for (int round = 0; round < 500; ++round) {
    ManualTimers timers;
    ManualSource<Result<int>> source;
    auto limited = boxed(with_timeout(source.op(), timers, 50ms));
    std::jthread time([&timers] { timers.pass(1000ms); });
    std::jthread value([&source] { source.fire(1); });
    const Result<int> outcome = limited.get();
    const bool sound = outcome ? *outcome == 1 : outcome.error().code() == Code::timeout;
    REQUIRE(sound);
  }
}
