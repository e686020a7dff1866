// sync_wait_test.cc - blocking for a task, finished here or on another thread.
#include "protocol/async/sync_wait.h"

#include <chrono>
#include <coroutine>
#include <memory>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "protocol/async/task.h"

using kvs::sync_wait;
using kvs::Task;

namespace {

struct Later {
  std::vector<std::jthread>& threads;
  std::chrono::milliseconds delay;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiter) const {
    threads.emplace_back([waiter, wait = delay] {
      std::this_thread::sleep_for(wait);
      waiter.resume();
    });
  }
  void await_resume() const noexcept {}
};

Task<int> answer_later(std::vector<std::jthread>& threads, std::chrono::milliseconds delay) {
  Later later{threads, delay};
  co_await later;
  co_return 42;
}

Task<void> finish_later(std::vector<std::jthread>& threads, bool& finished) {
  Later later{threads, std::chrono::milliseconds(20)};
  co_await later;
  finished = true;
}

Task<std::thread::id> where() {
  co_return std::this_thread::get_id();
}

Task<int> hold(std::vector<std::jthread>& threads, std::shared_ptr<int> held) {
  Later later{threads, std::chrono::milliseconds(0)};
  co_await later;
  co_return *held;
}

}  // namespace

TEST_CASE("sync_wait starts the task on the calling thread") {
  CHECK(sync_wait(where()) == std::this_thread::get_id());
}

TEST_CASE("sync_wait blocks until a task has finished on another thread") {
  std::vector<std::jthread> threads;
  CHECK(sync_wait(answer_later(threads, std::chrono::milliseconds(20))) == 42);
  bool finished = false;
  sync_wait(finish_later(threads, finished));
  CHECK(finished);
}

TEST_CASE("the task's frame is gone when sync_wait returns") {
  for (int round = 0; round < 500; ++round) {
    std::vector<std::jthread> threads;
    auto held = std::make_shared<int>(round);
    REQUIRE(sync_wait(hold(threads, held)) == round);
    REQUIRE(held.use_count() == 1);
  }
}
