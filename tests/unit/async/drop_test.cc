// drop_test.cc - operations that are dropped while another thread completes them.
//
// Each case makes a pipeline, starts it with a completion on the stack, and races its destruction
// against threads that complete its parts. ASan and TSan see what touches freed memory; the case
// itself sees a completion after the drop.
#include <array>
#include <atomic>
#include <chrono>
#include <optional>
#include <random>
#include <thread>

#include <doctest/doctest.h>

#include "protocol/async/combinators.h"
#include "protocol/async/future.h"
#include "protocol/async/timer_queue.h"
#include "tests/support/manual_operation.h"
#include "tests/support/seed.h"

using kvs::boxed;
using kvs::Completion;
using kvs::first;
using kvs::map;
using kvs::Operation;
using kvs::Result;
using kvs::then;
using kvs::when_all;
using kvs::when_any;
using kvs::with_timeout;
using kvs::test::ManualSource;

namespace {

class Note final : public Completion {
 public:
  ~Note() { alive_ = 0; }
  void complete() noexcept override {
    REQUIRE(alive_ == 0x600d);
    told_.fetch_add(1);
  }
  int told() const { return told_.load(); }

 private:
  unsigned alive_ = 0x600d;
  std::atomic<int> told_ = 0;
};

struct Sources {
  std::array<ManualSource<Result<int>>, 3> each;
};

constexpr int rounds = 2000;

// Drops what `make` returns at a random moment while two threads complete its sources.
template <class Make>
void race_drops(const char* name, Make make) {
  std::minstd_rand random(static_cast<unsigned>(kvs::test::test_seed(name)));
  std::uniform_int_distribution<int> short_waits(0, 2000);
  std::uniform_int_distribution<int> long_waits(0, 60);
  Sources sources;
  std::atomic<bool> stop = false;
  const auto complete_always = [&sources, &stop] {
    while (!stop) {
      for (auto& source : sources.each) source.fire(1);
      std::this_thread::yield();
    }
  };
  int completed = 0;
  {
    std::jthread one(complete_always);
    std::jthread two(complete_always);
    // On a busy machine the two threads may have had no turn all the while: longer then, and
    // slower.
    for (int round = 0; round < rounds || (completed == 0 && round < 2 * rounds); ++round) {
      Note note;
      {
        auto operation = make(sources);
        static_assert(Operation<decltype(operation)>);
        const bool at_once = operation.start(note);
        // Most completions are a matter of microseconds, some take the scheduler's turn.
        for (int i = short_waits(random); i > 0; --i) {
          std::atomic_signal_fence(std::memory_order_seq_cst);
        }
        if (round % 2 == 0) {
          for (int i = long_waits(random); i > 0 && note.told() == 0; --i) {
            std::this_thread::yield();
            if (round >= rounds) std::this_thread::sleep_for(std::chrono::microseconds(100));
          }
        }
        if (at_once || note.told() == 1) ++completed;
      }
      const int told = note.told();
      REQUIRE(told <= 1);
    }
    stop = true;
  }
  // What futures left to itself ends here.
  for (bool fired = true; fired;) {
    fired = false;
    for (auto& source : sources.each) fired = source.fire(1) || fired;
  }
  // Both must happen, or the race was none.
  INFO(name, ": completed before the drop: ", completed, " of ", rounds);
  CHECK(completed > 0);
  CHECK(completed < rounds);
}

class QuietTimers final : public kvs::TimerQueue {
  void earliest_changed() noexcept override {}
};

}  // namespace

TEST_CASE("a single operation can be dropped at every moment") {
  race_drops("single", [](Sources& s) { return s.each[0].op(); });
}

TEST_CASE("map can be dropped at every moment") {
  race_drops("map", [](Sources& s) { return map(s.each[0].op(), [](int x) { return x; }); });
}

TEST_CASE("then can be dropped at every moment") {
  race_drops("then",
             [](Sources& s) { return then(s.each[0].op(), [&s](int) { return s.each[1].op(); }); });
}

TEST_CASE("when_all can be dropped at every moment") {
  race_drops("when_all", [](Sources& s) { return when_all(s.each[0].op(), s.each[1].op()); });
}

TEST_CASE("when_any can be dropped at every moment") {
  race_drops("when_any", [](Sources& s) { return when_any(s.each[0].op(), s.each[1].op()); });
}

TEST_CASE("a future can be dropped at every moment") {
  race_drops("boxed", [](Sources& s) { return boxed(s.each[0].op()); });
}

TEST_CASE("a future on a chain of futures can be dropped at every moment") {
  race_drops("nested", [](Sources& s) {
    return boxed(then(boxed(s.each[0].op()), [&s](int) { return s.each[1].op(); }));
  });
}

TEST_CASE("a deep pipeline can be dropped at every moment") {
  race_drops("deep", [](Sources& s) {
    return first(then(map(s.each[0].op(), [](int x) { return x; }),
                      [&s](int) { return boxed(s.each[1].op()); }),
                 map(s.each[2].op(), [](int x) { return x + 1; }));
  });
}

TEST_CASE("with_timeout can be dropped while its timer fires") {
  QuietTimers timers;
  std::atomic<bool> stop = false;
  std::jthread time([&] {
    while (!stop) timers.fire_due(kvs::TimerQueue::Clock::now());
  });
  race_drops("with_timeout", [&timers](Sources& s) {
    return with_timeout(then(s.each[0].op(), [&s](int) { return s.each[1].op(); }), timers,
                        std::chrono::milliseconds(0));
  });
  stop = true;
}

TEST_CASE("an operation can be dropped inside its own completion") {
  ManualSource<Result<int>> source;
  const auto make = [&source] {
    return then(boxed(source.op()), [](int x) { return kvs::ready(Result<int>(x)); });
  };
  struct Owner final : Completion {
    std::optional<decltype(make())> owned;
    int value = 0;
    void complete() noexcept override {
      value = *owned->take();
      owned.reset();
    }
  } owner;
  owner.owned.emplace(make());
  CHECK_FALSE(owner.owned->start(owner));
  CHECK(source.fire(4));
  CHECK(owner.value == 4);

  struct Direct final : Completion {
    std::optional<ManualSource<Result<int>>::Op> owned;
    int value = 0;
    void complete() noexcept override {
      value = *owned->take();
      owned.reset();
    }
  } direct;
  direct.owned.emplace(source.op());
  CHECK_FALSE(direct.owned->start(direct));
  CHECK(source.fire(5));
  CHECK(direct.value == 5);
}
