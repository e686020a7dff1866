// micro_timer_test.cc - uv::MicroTimer: short times on a loop.
#include "protocol/uv/micro_timer.h"

#include <chrono>
#include <optional>

#include <doctest/doctest.h>

#include "protocol/uv/loop.h"
#include "protocol/uv/timer.h"

using kvs::uv::Loop;
using kvs::uv::MicroTimer;
using kvs::uv::Timer;
using namespace std::chrono_literals;

namespace {
using Clock = std::chrono::steady_clock;
}

TEST_CASE("a micro timer runs out once, not too early, and can be started again") {
  Loop loop;
  Timer watchdog(loop, [&] { loop.stop(); });
  watchdog.start_once(10s);
  int fired = 0;
  Clock::time_point began = Clock::now();
  std::optional<MicroTimer> timer;
  timer.emplace(loop, [&] {
    CHECK(Clock::now() - began >= 300us);
    if (++fired == 3) {
      loop.stop();
      return;
    }
    began = Clock::now();
    REQUIRE(timer->start_once(300us));
  });
  REQUIRE(timer->start_once(300us));
  loop.run();
  CHECK(fired == 3);
  timer.reset();
}

TEST_CASE("a micro timer that is started again forgets the earlier start") {
  Loop loop;
  int fired = 0;
  const Clock::time_point began = Clock::now();
  Clock::time_point fired_at;
  std::optional<MicroTimer> timer;
  timer.emplace(loop, [&] {
    ++fired;
    fired_at = Clock::now();
  });
  Timer end(loop, [&] { loop.stop(); });
  end.start_once(150ms);
  REQUIRE(timer->start_once(1us));
  REQUIRE(timer->start_once(20ms));
  loop.run();
  CHECK(fired == 1);
  CHECK(fired_at - began >= 20ms);
  timer.reset();
}

TEST_CASE("a micro timer may be destroyed while it runs") {
  Loop loop;
  int fired = 0;
  std::optional<MicroTimer> timer;
  timer.emplace(loop, [&] { ++fired; });
  REQUIRE(timer->start_once(1ms));
  Timer end(loop, [&] { loop.stop(); });
  end.start_once(30ms);
  timer.reset();
  loop.run();
  CHECK(fired == 0);
}
