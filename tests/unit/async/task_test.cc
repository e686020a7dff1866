// task_test.cc - what Task promises about order, stack depth, threads and lifetime.
#include "protocol/async/task.h"

#include <atomic>
#include <coroutine>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "protocol/async/result.h"
#include "protocol/async/sync_wait.h"

using kvs::Code;
using kvs::Result;
using kvs::sync_wait;
using kvs::Task;

namespace {

// Suspends until somebody calls resume(); forgets its waiter when it is destroyed.
class Event {
 public:
  class Wait {
   public:
    explicit Wait(Event& event) : event_(event) {}
    ~Wait() {
      if (event_.waiting_ == this) event_.waiting_ = nullptr;
    }
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiter) noexcept {
      waiter_ = waiter;
      event_.waiting_ = this;
    }
    void await_resume() const noexcept {}

   private:
    friend Event;
    Event& event_;
    std::coroutine_handle<> waiter_;
  };

  bool waited_for() const { return waiting_ != nullptr; }
  void resume() { std::exchange(waiting_, nullptr)->waiter_.resume(); }

 private:
  Wait* waiting_ = nullptr;
};

// Goes on on a thread of its own; the thread is joined by the owner of `threads`.
class OnNewThread {
 public:
  explicit OnNewThread(std::vector<std::jthread>& threads) : threads_(threads) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiter) const {
    threads_.emplace_back([waiter] { waiter.resume(); });
  }
  void await_resume() const noexcept {}

 private:
  std::vector<std::jthread>& threads_;
};

Task<int> immediately(int value) {
  co_return value;
}

Task<long> sum_of_finished_tasks(long count) {
  long sum = 0;
  for (long i = 0; i < count; ++i) {
    Task<int> one = immediately(1);
    sum += co_await std::move(one);
  }
  co_return sum;
}

Task<long> sum_of_ready_awaitables(long count) {
  long sum = 0;
  for (long i = 0; i < count; ++i) {
    std::suspend_never ready;
    co_await ready;
    ++sum;
  }
  co_return sum;
}

Task<void> wait_for(Event& event, std::shared_ptr<int> held) {
  Event::Wait wait(event);
  co_await wait;
  ++*held;
}

Task<void> wait_through(Event& event, std::shared_ptr<int> held) {
  Task<void> inner = wait_for(event, held);
  co_await std::move(inner);
  ++*held;
}

Task<long> sum_of_suspending_tasks(Event& event, long count) {
  auto held = std::make_shared<int>(0);
  for (long i = 0; i < count; ++i) {
    Task<void> one = wait_through(event, held);
    co_await std::move(one);
  }
  co_return *held;
}

kvs::detail::Detached store(Task<long> task, long& result) {
  result = co_await std::move(task);
}

}  // namespace

TEST_CASE("a task does not start before it is awaited, and a task never awaited is just freed") {
  auto held = std::make_shared<int>(0);
  Event event;
  {
    Task<void> never = wait_for(event, held);
    CHECK(held.use_count() == 2);
    CHECK_FALSE(event.waited_for());
  }
  CHECK(held.use_count() == 1);
}

TEST_CASE("a loop over 100,000 tasks that never suspend does not use up the stack") {
  CHECK(sync_wait(sum_of_finished_tasks(100'000)) == 100'000);
}

TEST_CASE("a loop over 100,000 awaitables that are always ready does not use up the stack") {
  CHECK(sync_wait(sum_of_ready_awaitables(100'000)) == 100'000);
}

TEST_CASE("a loop over 100,000 tasks that suspend and are resumed one by one ends") {
  Event event;
  long result = -1;
  store(sum_of_suspending_tasks(event, 100'000), result);
  long resumed = 0;
  while (event.waited_for()) {
    event.resume();
    ++resumed;
  }
  CHECK(resumed == 100'000);
  CHECK(result == 200'000);
}

TEST_CASE("destroying a suspended task frees its frame, the inner frame and what they hold") {
  Event event;
  auto held = std::make_shared<int>(0);
  auto starter = [](Task<void> task, Event& stop) -> Task<void> {
    co_await std::move(task);
    Event::Wait wait(stop);
    co_await wait;
  };
  Event stop;
  {
    // Started by hand, as an owner that may drop it does: Task itself has no start.
    struct Owned {
      struct promise_type {
        Owned get_return_object() {
          return {std::coroutine_handle<promise_type>::from_promise(*this)};
        }
        std::suspend_never initial_suspend() const noexcept { return {}; }
        std::suspend_always final_suspend() const noexcept { return {}; }
        void return_void() const noexcept {}
        void unhandled_exception() const noexcept { std::terminate(); }
      };
      std::coroutine_handle<promise_type> frame;
    };
    auto run = [](Task<void> task) -> Owned { co_await std::move(task); };
    Owned owned = run(starter(wait_through(event, held), stop));
    CHECK(event.waited_for());
    CHECK(held.use_count() > 1);
    owned.frame.destroy();
  }
  CHECK_FALSE(event.waited_for());
  CHECK(held.use_count() == 1);
  CHECK(*held == 0);
}

namespace {

Task<std::thread::id> hop(std::vector<std::jthread>& threads) {
  OnNewThread hopped(threads);
  co_await hopped;
  co_return std::this_thread::get_id();
}

// True when the awaiter went on where the task finished.
Task<bool> stays_with(std::vector<std::jthread>& threads) {
  Task<std::thread::id> hopping = hop(threads);
  const std::thread::id finished_on = co_await std::move(hopping);
  co_return std::this_thread::get_id() == finished_on;
}

}  // namespace

TEST_CASE("an awaiter goes on on the thread on which its task finished") {
  // Often, so that the task sometimes finishes while its starter has not yet returned.
  for (int round = 0; round < 500; ++round) {
    std::vector<std::jthread> threads;
    REQUIRE(sync_wait(stays_with(threads)));
  }
}

namespace {

Task<std::unique_ptr<int>> make_value() {
  co_return std::make_unique<int>(7);
}

Task<Result<std::string>> failing() {
  co_return kvs::fail(Code::io, "no luck");
}

Task<Result<int>> passes_errors_on() {
  Task<Result<std::string>> inner = failing();
  const Result<std::string> text = co_await std::move(inner);
  if (!text) co_return std::unexpected(text.error());
  co_return static_cast<int>(text->size());
}

}  // namespace

TEST_CASE("a task hands over values that can only be moved") {
  CHECK(*sync_wait(make_value()) == 7);
}

TEST_CASE("an error travels through tasks as a value") {
  const Result<int> result = sync_wait(passes_errors_on());
  REQUIRE_FALSE(result);
  CHECK(result.error() == kvs::Error(Code::io, "no luck"));
}

TEST_CASE("a moved task leaves nothing behind") {
  Task<int> first = immediately(1);
  Task<int> second = std::move(first);
  second = immediately(2);
  CHECK(sync_wait(std::move(second)) == 2);
}
