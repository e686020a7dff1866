// allocation_test.cc - what each form costs on the heap. Values are ints, so that every allocation
// is the machinery's.
#include <cstdint>
#include <optional>

#include <doctest/doctest.h>

#include "protocol/async/combinators.h"
#include "protocol/async/future.h"
#include "protocol/async/task.h"
#include "protocol/async/timer_queue.h"
#include "tests/support/allocations.h"
#include "tests/support/manual_operation.h"

using kvs::boxed;
using kvs::Completion;
using kvs::first;
using kvs::map;
using kvs::map_error;
using kvs::or_else;
using kvs::Result;
using kvs::Task;
using kvs::then;
using kvs::when_all;
using kvs::when_any;
using kvs::with_timeout;
using kvs::test::allocations;
using kvs::test::ManualSource;

namespace {

struct Note final : Completion {
  bool told = false;
  void complete() noexcept override { told = true; }
};

class QuietTimers final : public kvs::TimerQueue {
  void earliest_changed() noexcept override {}
};

Task<Result<int>> coroutine(ManualSource<Result<int>>& source) {
  auto op = source.op();
  co_return co_await op;
}

// Allocations of one life: made, started, completed by `complete`, taken, dropped.
template <class Make, class Complete>
std::uint64_t cost(Make make, Complete complete) {
  const std::uint64_t before = allocations();
  {
    auto operation = make();
    Note note;
    if (!operation.start(note)) {
      complete();
      if (!note.told) return ~std::uint64_t{0};
    }
    operation.take();
  }
  return allocations() - before;
}

}  // namespace

TEST_CASE("an operation written by hand allocates nothing") {
  ManualSource<Result<int>> source;
  CHECK(cost([&] { return source.op(); }, [&] { source.fire(1); }) == 0);
}

TEST_CASE("explicit combinators allocate nothing") {
  ManualSource<Result<int>> a;
  ManualSource<Result<int>> b;
  QuietTimers timers;
  const auto fire = [&] {
    a.fire(1);
    b.fire(2);
  };
  const auto same = [](int x) { return x; };
  CHECK(cost([&] { return map(a.op(), same); }, fire) == 0);
  CHECK(cost([&] { return map_error(a.op(), [](kvs::Error e) { return e; }); }, fire) == 0);
  CHECK(cost([&] { return then(a.op(), [&](int) { return b.op(); }); }, fire) == 0);
  CHECK(cost([&] { return or_else(a.op(), [&](kvs::Error) { return b.op(); }); }, fire) == 0);
  CHECK(cost([&] { return when_all(a.op(), b.op()); }, fire) == 0);
  CHECK(cost([&] { return when_any(a.op(), b.op()); }, fire) == 0);
  CHECK(cost([&] { return first(a.op(), b.op()); }, fire) == 0);
  CHECK(cost([&] { return with_timeout(a.op(), timers, std::chrono::seconds(1)); }, fire) == 0);
  const auto pipeline = [&] {
    return with_timeout(
        map(when_all(map(a.op(), same),
                     then(b.op(), [](int x) { return kvs::ready(Result<int>(x)); })),
            [](auto values) { return Result<int>(*std::get<0>(values) + *std::get<1>(values)); }),
        timers, std::chrono::seconds(1));
  };
  CHECK(cost(pipeline, fire) == 0);
}

TEST_CASE("a coroutine allocates one frame") {
  ManualSource<Result<int>> source;
  CHECK(cost([&] { return coroutine(source); }, [&] { source.fire(1); }) == 1);
}

TEST_CASE("a boxed future allocates one state, whatever pipeline is inside") {
  ManualSource<Result<int>> source;
  CHECK(cost([&] { return boxed(source.op()); }, [&] { source.fire(1); }) == 1);
  const auto pipeline = [&] {
    return boxed(then(map(source.op(), [](int x) { return x; }),
                      [](int x) { return kvs::ready(Result<int>(x)); }));
  };
  CHECK(cost(pipeline, [&] { source.fire(1); }) == 1);
  const std::uint64_t before = allocations();
  {
    kvs::Promise<Result<int>> promise;
    auto future = promise.future();
    promise.set(1);
    CHECK(future.ready());
  }
  CHECK(allocations() - before == 1);
}

TEST_CASE("a vector of operations allocates for its storage alone") {
  std::vector<ManualSource<Result<int>>> sources(8);
  const auto make = [&sources] {
    std::vector<ManualSource<Result<int>>::Op> ops;
    ops.reserve(sources.size());
    for (auto& source : sources) ops.push_back(source.op());
    return when_all(std::move(ops));
  };
  const auto fire = [&sources] {
    for (auto& source : sources) source.fire(1);
  };
  // The vector that goes in and the one that comes out.
  CHECK(cost(make, fire) == 2);
}
