// future_test.cc - the boxed form: values, threads, promises that are kept, broken or not wanted.
#include "protocol/async/future.h"

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "protocol/async/sync_wait.h"
#include "protocol/async/task.h"
#include "tests/support/manual_operation.h"

using kvs::boxed;
using kvs::Code;
using kvs::Future;
using kvs::Promise;
using kvs::Result;
using kvs::Task;
using kvs::test::ManualSource;

namespace {

Task<Result<int>> twice(Future<Result<int>> future) {
  const Result<int> value = co_await future;
  if (!value) co_return std::unexpected(value.error());
  co_return *value * 2;
}

Task<std::unique_ptr<int>> hold(ManualSource<int>& source, std::shared_ptr<int> held) {
  auto op = source.op();
  const int value = co_await op;
  co_return std::make_unique<int>(*held + value);
}

}  // namespace

TEST_CASE("a future yields what its promise is given, before or after it is asked") {
  Promise<Result<int>> early;
  Future<Result<int>> of_early = early.future();
  early.set(1);
  CHECK(of_early.ready());
  CHECK(*of_early.get() == 1);

  Promise<Result<int>> late;
  Future<Result<int>> of_late = late.future();
  CHECK_FALSE(of_late.wait_for(std::chrono::milliseconds(1)));
  std::jthread other([&late] { late.set(2); });
  CHECK(*of_late.get() == 2);
}

TEST_CASE("a future is awaited from a coroutine, which goes on where the promise is set") {
  Promise<Result<int>> promise;
  Future<Result<int>> doubled = boxed(twice(promise.future()));
  CHECK_FALSE(doubled.ready());
  promise.set(21);
  REQUIRE(doubled.ready());
  CHECK(*doubled.get() == 42);
}

TEST_CASE("a promise that is dropped cancels its future") {
  Future<Result<int>> future = Promise<Result<int>>().future();
  REQUIRE(future.ready());
  CHECK(future.get().error().code() == Code::cancelled);

  Promise<Result<int>> promise;
  Future<Result<int>> doubled = boxed(twice(promise.future()));
  promise = Promise<Result<int>>();
  CHECK(doubled.get().error().code() == Code::cancelled);
}

TEST_CASE("a promise learns that its future has been dropped, and may be set all the same") {
  Promise<Result<int>> promise;
  {
    Future<Result<int>> future = promise.future();
    Future<Result<int>> moved = std::move(future);
    CHECK_FALSE(future.valid());
    CHECK_FALSE(promise.abandoned());
  }
  CHECK(promise.abandoned());
  promise.set(1);
  CHECK(promise.abandoned());
}

TEST_CASE("a future that another replaces is dropped") {
  Promise<Result<int>> first;
  Promise<Result<int>> second;
  Future<Result<int>> future = first.future();
  future = second.future();
  CHECK(first.abandoned());
  CHECK_FALSE(second.abandoned());
}

TEST_CASE("boxing starts the operation, and what it holds is freed before the future is told") {
  ManualSource<int> source;
  auto held = std::make_shared<int>(40);
  Future<std::unique_ptr<int>> future = boxed(hold(source, held));
  CHECK(held.use_count() == 2);
  CHECK(source.fire(2));
  CHECK(held.use_count() == 1);
  CHECK(*future.get() == 42);
}

TEST_CASE("dropping a boxed operation that can be cancelled withdraws it") {
  ManualSource<int> source;
  {
    Future<int> future = boxed(source.op());
    CHECK(source.waited_for());
  }
  CHECK_FALSE(source.waited_for());
}

TEST_CASE("dropping a boxed operation that cannot be cancelled lets it run to its end") {
  ManualSource<int> source;
  auto held = std::make_shared<int>(0);
  { Future<std::unique_ptr<int>> future = boxed(hold(source, held)); }
  CHECK(held.use_count() == 2);
  CHECK(source.fire(0));
  CHECK(held.use_count() == 1);
}

TEST_CASE("a future of nothing can be waited for") {
  auto nothing = []() -> Task<void> { co_return; };
  Future<void> future = boxed(nothing());
  CHECK(future.wait_for(std::chrono::seconds(10)));
  future.get();
}

TEST_CASE("many threads set promises that one thread waits for") {
  constexpr int count = 500;
  std::vector<Promise<Result<int>>> promises(count);
  std::vector<Future<Result<int>>> futures;
  for (auto& promise : promises) futures.push_back(promise.future());
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&promises, t] {
      for (int i = t; i < count; i += 4) promises[static_cast<std::size_t>(i)].set(i);
    });
  }
  for (int i = 0; i < count; ++i) CHECK(*futures[static_cast<std::size_t>(i)].get() == i);
}
