// operation_test.cc - the concept, and the ways to run an operation to its end.
#include "protocol/async/operation.h"

#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "protocol/async/combinators.h"
#include "protocol/async/future.h"
#include "protocol/async/sync_wait.h"
#include "protocol/async/task.h"
#include "protocol/async/timer_queue.h"
#include "tests/support/manual_operation.h"

using kvs::Future;
using kvs::map;
using kvs::Operation;
using kvs::Result;
using kvs::Task;
using kvs::then;
using kvs::test::ManualSource;

static_assert(Operation<Task<int>>);
static_assert(Operation<Task<void>>);
static_assert(Operation<Future<Result<int>>>);
static_assert(Operation<Future<void>>);
static_assert(Operation<kvs::Ready<int>>);
static_assert(Operation<kvs::TimerQueue::Sleep>);
static_assert(Operation<ManualSource<int>::Op>);
static_assert(Operation<decltype(map(std::declval<Task<int>>(), std::negate<int>()))>);
static_assert(Operation<decltype(when_all(std::declval<Task<int>>(), std::declval<Task<void>>()))>);
static_assert(!Operation<int>);
static_assert(kvs::Cancellable<ManualSource<int>::Op>);
static_assert(!kvs::Cancellable<Task<int>>, "who runs a coroutine cannot be told from outside");

namespace {

Task<int> add_one(ManualSource<int>& source) {
  auto op = source.op();
  const int value = co_await op;
  co_return value + 1;
}

Task<void> sets(bool& done) {
  done = true;
  co_return;
}

// Runs posted work until it is told to stop, as a loop does.
class Queue {
 public:
  void run() {
    stopped_ = false;
    while (!stopped_) {
      REQUIRE_FALSE(work_.empty());
      auto next = std::move(work_.front());
      work_.pop_front();
      next();
    }
  }
  void stop() { stopped_ = true; }
  void post(std::function<void()> work) { work_.push_back(std::move(work)); }

 private:
  std::deque<std::function<void()>> work_;
  bool stopped_ = false;
};

Task<long> sum_of_mapped(long count) {
  long sum = 0;
  for (long i = 0; i < count; ++i) {
    auto one =
        then(map(kvs::ready(1), [](int x) { return x; }), [](int x) { return kvs::ready(x); });
    sum += co_await one;
  }
  co_return sum;
}

}  // namespace

TEST_CASE("sync_wait takes any operation and blocks until another thread completes it") {
  ManualSource<int> source;
  std::jthread other([&source] {
    while (!source.fire(41)) std::this_thread::yield();
  });
  CHECK(kvs::sync_wait(map(add_one(source), [](int value) { return value * 2; })) == 84);
}

TEST_CASE("sync_wait returns at once what is there already") {
  CHECK(kvs::sync_wait(kvs::ready(7)) == 7);
  bool done = false;
  kvs::sync_wait(sets(done));
  CHECK(done);
}

TEST_CASE("block_on runs its runner until the operation is complete") {
  Queue queue;
  ManualSource<int> source;
  queue.post([&source] { CHECK(source.fire(1)); });
  CHECK(kvs::block_on(queue, add_one(source)) == 2);
  CHECK(kvs::block_on(queue, kvs::ready(3)) == 3);
}

TEST_CASE("a task is an operation: started without a coroutine around it, dropped before its end") {
  struct Note final : kvs::Completion {
    bool told = false;
    void complete() noexcept override { told = true; }
  };
  ManualSource<int> source;
  Note note;
  {
    Task<int> task = add_one(source);
    CHECK_FALSE(task.start(note));
    CHECK(source.waited_for());
    CHECK(source.fire(1));
    CHECK(note.told);
    CHECK(task.take() == 2);
  }
  Note second;
  {
    Task<int> task = add_one(source);
    CHECK_FALSE(task.start(second));
  }
  CHECK_FALSE(source.waited_for());
  CHECK_FALSE(second.told);
}

TEST_CASE("a task that another thread finishes can be destroyed as soon as that is told") {
  for (int round = 0; round < 2000; ++round) {
    ManualSource<int> source;
    std::jthread other([&source] {
      while (!source.fire(1)) std::this_thread::yield();
    });
    REQUIRE(kvs::sync_wait(add_one(source)) == 2);
  }
}

TEST_CASE("a loop over 100,000 combinators that never wait does not use up the stack") {
  CHECK(kvs::sync_wait(sum_of_mapped(100'000)) == 100'000);
}
