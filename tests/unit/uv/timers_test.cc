// timers_test.cc - uv::Timers: the queue's times pass on a loop.
#include "protocol/uv/timers.h"

#include <chrono>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "protocol/async/combinators.h"
#include "protocol/async/future.h"
#include "protocol/uv/loop.h"

using kvs::boxed;
using kvs::uv::Loop;
using kvs::uv::Timers;
using namespace std::chrono_literals;

namespace {

using Clock = std::chrono::steady_clock;

// Ends the loop after ten seconds if nothing else does.
class Watchdog {
 public:
  explicit Watchdog(Loop& loop)
      : timer_(kvs::uv::make_handle<uv_timer_t>(
            [&](uv_timer_t* timer) { uv_timer_init(loop.raw(), timer); })) {
    uv_timer_start(
        timer_.get(), [](uv_timer_t* timer) { uv_stop(timer->loop); }, 10'000, 0);
  }

 private:
  kvs::uv::HandlePtr<uv_timer_t> timer_;
};

}  // namespace

TEST_CASE("sleeps on a loop end in the order of their times, on its thread, and not too early") {
  Loop loop;
  const Watchdog watchdog(loop);
  Timers timers(loop);
  const auto begin = Clock::now();
  std::vector<int> order;
  std::vector<kvs::Future<void>> sleeps;
  for (const int delay : {60, 20, 40}) {
    sleeps.push_back(boxed(map(timers.after(std::chrono::milliseconds(delay)), [&, delay] {
      CHECK(Clock::now() - begin >= std::chrono::milliseconds(delay));
      CHECK(loop.on_this_thread());
      order.push_back(delay);
      if (order.size() == 3) loop.stop();
    })));
  }
  loop.run();
  CHECK(order == std::vector<int>{20, 40, 60});
  CHECK(Clock::now() - begin < 5s);
}

TEST_CASE("a sleep that another thread starts wakes a loop that waits for a later one") {
  Loop loop;
  const Watchdog watchdog(loop);
  Timers timers(loop);
  const auto begin = Clock::now();
  auto late = boxed(timers.after(8s));
  std::atomic<bool> on_loop = false;
  std::optional<kvs::Future<void>> early;
  std::thread other([&] {
    std::this_thread::sleep_for(20ms);
    early.emplace(boxed(map(timers.after(10ms), [&] {
      on_loop = loop.on_this_thread();
      loop.stop();
    })));
  });
  loop.run();
  other.join();
  CHECK(on_loop);
  CHECK(Clock::now() - begin < 5s);
}

TEST_CASE("a sleep that is dropped never fires, and the loop goes on to the next") {
  Loop loop;
  const Watchdog watchdog(loop);
  Timers timers(loop);
  bool fired = false;
  auto dropped = std::make_optional(boxed(map(timers.after(10ms), [&] { fired = true; })));
  auto last = boxed(map(timers.after(50ms), [&] { loop.stop(); }));
  dropped.reset();
  loop.run();
  CHECK_FALSE(fired);
}
