// combinators_test.cc - what each combinator yields, in every order of completion.
#include "protocol/async/combinators.h"

#include <array>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "protocol/async/future.h"
#include "protocol/async/sync_wait.h"
#include "protocol/async/task.h"
#include "tests/support/manual_operation.h"

using kvs::boxed;
using kvs::Code;
using kvs::Error;
using kvs::fail;
using kvs::first;
using kvs::Future;
using kvs::map;
using kvs::map_error;
using kvs::or_else;
using kvs::ready;
using kvs::Result;
using kvs::sync_wait;
using kvs::Task;
using kvs::then;
using kvs::when_all;
using kvs::when_any;
using kvs::test::ManualSource;

namespace {

Result<int> broken() {
  return fail(Code::io, "broken");
}

}  // namespace

TEST_CASE("map sees the value inside a Result and is skipped on an error") {
  CHECK(*sync_wait(map(ready(Result<int>(20)), [](int x) { return x + 1; })) == 21);
  bool called = false;
  const auto never = [&called](int x) {
    called = true;
    return x;
  };
  CHECK(sync_wait(map(ready(broken()), never)).error() == Error(Code::io, "broken"));
  CHECK_FALSE(called);
}

TEST_CASE("map keeps a Result that its function returns, and wraps anything else") {
  const auto text = sync_wait(map(ready(Result<int>(5)), [](int x) { return std::to_string(x); }));
  CHECK(*text == "5");
  const Result<int> odd = sync_wait(map(ready(Result<int>(5)), [](int x) -> Result<int> {
    if (x % 2 != 0) return fail(Code::invalid, "odd");
    return x;
  }));
  CHECK(odd.error().code() == Code::invalid);
  CHECK(sync_wait(map(ready(5), [](int x) { return x + 1; })) == 6);
}

TEST_CASE("map goes from nothing to a value and back") {
  auto nothing = []() -> Task<void> { co_return; };
  CHECK(sync_wait(map(nothing(), [] { return 3; })) == 3);
  int seen = 0;
  sync_wait(map(ready(4), [&seen](int x) { seen = x; }));
  CHECK(seen == 4);
  const Result<void> done = sync_wait(map(ready(Result<int>(5)), [&seen](int x) { seen = x; }));
  CHECK(done);
  CHECK(seen == 5);
  CHECK(*sync_wait(map(ready(Result<void>()), [] { return 6; })) == 6);
}

TEST_CASE("map_error changes the error and lets a value pass") {
  const auto explain = [](Error error) {
    return Error(Code::unreachable, "because " + error.message());
  };
  CHECK(sync_wait(map_error(ready(broken()), explain)).error() ==
        Error(Code::unreachable, "because broken"));
  CHECK(*sync_wait(map_error(ready(Result<int>(1)), explain)) == 1);
}

TEST_CASE("then goes on with a second operation, and not after an error") {
  ManualSource<Result<int>> one;
  ManualSource<Result<std::string>> two;
  Future<Result<std::string>> chained = boxed(then(one.op(), [&two](int x) {
    CHECK(x == 1);
    return two.op();
  }));
  CHECK_FALSE(two.waited_for());
  CHECK(one.fire(1));
  CHECK(two.waited_for());
  CHECK(two.fire("two"));
  CHECK(*chained.get() == "two");

  Future<Result<std::string>> failed = boxed(then(one.op(), [&two](int) { return two.op(); }));
  CHECK(one.fire(broken()));
  CHECK(failed.get().error() == Error(Code::io, "broken"));
  CHECK(two.started() == 1);
}

TEST_CASE("then chains values that are no Results, and nothing at all") {
  auto nothing = []() -> Task<void> { co_return; };
  CHECK(sync_wait(then(ready(2), [](int x) { return ready(x * 3); })) == 6);
  CHECK(sync_wait(then(nothing(), [] { return ready(1); })) == 1);
  sync_wait(then(ready(2), [&nothing](int) { return nothing(); }));
  CHECK(*sync_wait(then(ready(Result<void>()), [] { return ready(Result<int>(9)); })) == 9);
}

TEST_CASE("or_else recovers with another operation, and lets a value pass") {
  const auto recover = [](Error error) {
    return ready(Result<int>(static_cast<int>(error.message().size())));
  };
  CHECK(*sync_wait(or_else(ready(broken()), recover)) == 6);
  CHECK(*sync_wait(or_else(ready(Result<int>(1)), recover)) == 1);
  const auto give_up = [](Error error) { return ready(Result<int>(std::unexpected(error))); };
  CHECK(sync_wait(or_else(ready(broken()), give_up)).error().code() == Code::io);
}

TEST_CASE("when_all waits for the last, whatever the order, and keeps every outcome") {
  ManualSource<Result<int>> a;
  ManualSource<std::string> b;
  for (const bool a_first : {true, false}) {
    auto nothing = []() -> Task<void> { co_return; };
    auto all = boxed(when_all(a.op(), b.op(), nothing()));
    if (a_first) CHECK(a.fire(broken()));
    CHECK_FALSE(all.ready());
    CHECK(b.fire("b"));
    if (!a_first) CHECK(a.fire(broken()));
    REQUIRE(all.ready());
    auto [value_a, value_b, value_c] = all.get();
    CHECK(value_a.error().code() == Code::io);
    CHECK(value_b == "b");
    static_assert(std::is_same_v<decltype(value_c), std::monostate>);
  }
}

TEST_CASE("when_all takes vectors and arrays, also empty ones") {
  std::vector<ManualSource<int>> sources(5);
  std::vector<ManualSource<int>::Op> ops;
  for (auto& source : sources) ops.push_back(source.op());
  auto all = boxed(when_all(std::move(ops)));
  for (int i = 4; i >= 0; --i) {
    CHECK_FALSE(all.ready());
    CHECK(sources[static_cast<std::size_t>(i)].fire(i));
  }
  CHECK(all.get() == std::vector<int>{0, 1, 2, 3, 4});
  CHECK(sync_wait(when_all(std::vector<kvs::Ready<int>>())).empty());
  CHECK(sync_wait(when_all(std::array{ready(1), ready(2)})) == std::vector<int>{1, 2});
}

TEST_CASE("when_any yields the first and drops the others") {
  ManualSource<int> a;
  ManualSource<int> b;
  auto any = boxed(when_any(a.op(), b.op()));
  CHECK(b.fire(2));
  CHECK_FALSE(a.waited_for());
  const auto won = any.get();
  CHECK(won.index == 1);
  CHECK(won.value == 2);
}

TEST_CASE("when_any does not start what comes after an operation that is complete at once") {
  ManualSource<int> never;
  CHECK(sync_wait(when_any(ready(1), ready(2))).index == 0);
  auto task = [](ManualSource<int>& source) -> Task<int> {
    auto op = source.op();
    co_return co_await op;
  };
  CHECK(sync_wait(first(map(ready(5), [](int x) { return x; }), task(never))) == 5);
  CHECK(never.started() == 0);
}

TEST_CASE("when_any takes vectors and arrays") {
  std::vector<ManualSource<int>> sources(3);
  std::vector<ManualSource<int>::Op> ops;
  for (auto& source : sources) ops.push_back(source.op());
  auto any = boxed(when_any(std::move(ops)));
  CHECK(sources[2].fire(7));
  const auto won = any.get();
  CHECK(won.index == 2);
  CHECK(won.value == 7);
  for (auto& source : sources) CHECK_FALSE(source.waited_for());
  CHECK(sync_wait(first(std::array{ready(1), ready(2)})) == 1);
}

TEST_CASE("exactly one of many racing threads wins") {
  for (int round = 0; round < 300; ++round) {
    std::vector<ManualSource<int>> sources(3);
    std::vector<std::jthread> threads;
    std::atomic<bool> go = false;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&sources, &go, i] {
        while (!go) std::this_thread::yield();
        sources[static_cast<std::size_t>(i)].fire(i);
      });
    }
    std::vector<ManualSource<int>::Op> ops;
    for (auto& source : sources) ops.push_back(source.op());
    auto any = boxed(when_any(std::move(ops)));
    go = true;
    const auto won = any.get();
    REQUIRE(static_cast<int>(won.index) == won.value);
  }
}

TEST_CASE("combinators nest, and futures and tasks go into them") {
  ManualSource<Result<int>> slow;
  ManualSource<Result<int>> other;
  auto task = [](ManualSource<Result<int>>& source) -> Task<Result<int>> {
    auto op = source.op();
    co_return co_await op;
  };
  auto pipeline = map(when_all(task(slow), boxed(map(other.op(), [](int x) { return x * 10; }))),
                      [](auto values) { return *std::get<0>(values) + *std::get<1>(values); });
  Future<int> sum = boxed(std::move(pipeline));
  CHECK(other.fire(4));
  CHECK(slow.fire(2));
  CHECK(sum.get() == 42);
}
