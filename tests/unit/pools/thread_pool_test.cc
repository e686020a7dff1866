// thread_pool_test.cc - what every pool promises, on each of them.
#include "protocol/async/thread_pool.h"

#include <atomic>
#include <chrono>
#include <filesystem>
#include <future>
#include <latch>
#include <memory>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/pools.h"

using kvs::Code;
using kvs::ThreadPool;
using kvs::test::open_pool;
using kvs::test::pool_kinds;
using kvs::test::PoolKind;
using namespace std::chrono_literals;

namespace {

// Runs `check` for each pool, naming it in failures.
template <class Check>
void on_each_pool(Check check) {
  for (const PoolKind& kind : pool_kinds) {
    INFO("pool: ", std::string(kind.name));
    check(kind);
  }
}

template <class Condition>
bool comes_true(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

std::ptrdiff_t threads_of_this_process() {
  std::ptrdiff_t count = 0;
  for ([[maybe_unused]] const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    ++count;
  }
  return count;
}

// libuv's threads stay for good: they must be there before anybody counts.
void warm_up(const PoolKind& kind) {
  const ThreadPool pool = open_pool(kind);
  std::latch done(1);
  pool.spawn([&done] { done.count_down(); });
  done.wait();
}

// 20 jobs that each add 1 a thousand times. Returns the sum when all have been run.
int count_in_jobs(const ThreadPool& pool) {
  std::atomic<int> counter = 0;
  std::latch done(20);
  for (int job = 0; job < 20; ++job) {
    pool.spawn([&] {
      for (int i = 0; i < 1000; ++i) counter.fetch_add(1);
      done.count_down();
    });
  }
  done.wait();
  return counter.load();
}

// A job of the caller's own.
struct Counted final : kvs::PoolJob {
  std::atomic<int> runs = 0;
  std::latch* release = nullptr;
  void run() noexcept override {
    if (release != nullptr) release->wait();
    runs.fetch_add(1);
    runs.notify_all();
  }
};

}  // namespace

TEST_CASE("20 jobs of 1000 increments each come to 20,000") {
  on_each_pool([](const PoolKind& kind) {
    const ThreadPool pool = open_pool(kind);
    CHECK(count_in_jobs(pool) == 20'000);
  });
}

TEST_CASE("1000 jobs that throw neither cost a thread nor break the pool") {
  on_each_pool([](const PoolKind& kind) {
    const ThreadPool pool = open_pool(kind);
    for (int i = 0; i < 1000; ++i) {
      pool.spawn([i] {
        if (i % 2 == 0) throw std::runtime_error("on purpose");
        throw i;
      });
    }
    CHECK(count_in_jobs(pool) == 20'000);
    CHECK(comes_true([&] { return pool.exceptions() == 1000; }));
    // All four threads are there: four jobs that wait for each other end.
    std::latch together(4);
    std::latch done(4);
    for (int i = 0; i < 4; ++i) {
      pool.spawn([&] {
        together.arrive_and_wait();
        done.count_down();
      });
    }
    CHECK(comes_true([&done] { return done.try_wait(); }));
  });
}

TEST_CASE("copies of a handle name the same pool") {
  on_each_pool([](const PoolKind& kind) {
    std::optional<ThreadPool> first(open_pool(kind));
    const ThreadPool second = *first;
    CHECK(second == *first);
    CHECK_FALSE(second == open_pool(kind));
    first.reset();
    CHECK(count_in_jobs(second) == 20'000);
  });
}

TEST_CASE("when the last handle is gone all jobs have run and every thread has stopped") {
  on_each_pool([](const PoolKind& kind) {
    warm_up(kind);
    const std::ptrdiff_t before = threads_of_this_process();
    std::atomic<int> runs = 0;
    {
      const ThreadPool pool = open_pool(kind);
      for (int i = 0; i < 100; ++i) {
        pool.spawn([&runs] {
          std::this_thread::sleep_for(100us);
          runs.fetch_add(1);
        });
      }
    }
    CHECK(runs == 100);
    // The kernel may take a moment to strike a joined thread from /proc.
    CHECK(comes_true([before] { return threads_of_this_process() <= before; }));
  });
}

TEST_CASE("the last handle may go inside a job, and in what a job owns") {
  on_each_pool([](const PoolKind& kind) {
    warm_up(kind);
    const std::ptrdiff_t before = threads_of_this_process();
    for (int round = 0; round < 20; ++round) {
      std::atomic<int> runs = 0;
      std::promise<void> dropped;
      auto handle = std::make_unique<ThreadPool>(open_pool(kind));
      const ThreadPool& pool = *handle;
      std::latch go(1);
      for (int i = 0; i < 10; ++i) pool.spawn([&runs] { runs.fetch_add(1); });
      std::atomic<ThreadPool*> owner = nullptr;
      if (round % 2 == 0) {
        pool.spawn([&] {
          go.wait();
          const std::unique_ptr<ThreadPool> last(owner.load());
          runs.fetch_add(1);
        });
        owner = handle.release();
        go.count_down();
      } else {
        // The function's captures are destroyed on the pool's thread.
        pool.spawn([copy = pool, &go, &runs] {
          go.wait();
          runs.fetch_add(1);
        });
        handle.reset();
        go.count_down();
      }
      REQUIRE(comes_true([&runs] { return runs == 11; }));
      REQUIRE(comes_true([before] { return threads_of_this_process() <= before; }));
    }
  });
}

TEST_CASE("jobs spawn jobs") {
  on_each_pool([](const PoolKind& kind) {
    std::atomic<int> runs = 0;
    {
      const ThreadPool pool = open_pool(kind, 2);
      std::latch done(50);
      for (int i = 0; i < 50; ++i) {
        pool.spawn([&runs, &done, pool] {
          pool.spawn([&runs, &done] {
            runs.fetch_add(1);
            done.count_down();
          });
        });
      }
      done.wait();
    }
    CHECK(runs == 50);
  });
}

TEST_CASE("a job of the caller's own is run once, or never when it was withdrawn") {
  on_each_pool([](const PoolKind& kind) {
    const ThreadPool pool = open_pool(kind, 1);
    std::latch release(1);
    Counted first;
    first.release = &release;
    Counted second;
    pool.spawn(first);
    pool.spawn(second);
    const bool withdrawn = pool.withdraw(second);
    // A thread per job has begun at once; the others have one thread, which waits.
    CHECK(withdrawn == (kind.name != "thread_per_job"));
    release.count_down();
    first.runs.wait(0);
    CHECK_FALSE(pool.withdraw(first));
    if (withdrawn) pool.spawn(second);
    second.runs.wait(0);
    CHECK(first.runs == 1);
    CHECK(second.runs == 1);
  });
}

TEST_CASE("jobs that are withdrawn while they are taken are run or withdrawn, not both") {
  on_each_pool([](const PoolKind& kind) {
    const ThreadPool pool = open_pool(kind, 2);
    int withdrawn = 0;
    for (int round = 0; round < 300; ++round) {
      Counted job;
      pool.spawn(job);
      // Some are begun, some not, some are begun just now.
      if (round % 3 == 0) std::this_thread::sleep_for(std::chrono::microseconds(round));
      if (round % 50 == 0) CHECK(comes_true([&job] { return job.runs == 1; }));
      if (pool.withdraw(job)) {
        ++withdrawn;
        REQUIRE(job.runs == 0);
      } else {
        job.runs.wait(0);
      }
    }
    CHECK(withdrawn < 300);
  });
}

TEST_CASE("a pool whose threads cannot all be started is an error, and those started are stopped") {
  on_each_pool([](const PoolKind& kind) {
    warm_up(kind);
    const std::ptrdiff_t before = threads_of_this_process();
    for (int refused_from : {0, 1, 3}) {
      int started = 0;
      const auto start = [&started, refused_from](std::function<void()> run) {
        if (started == refused_from) {
          throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again));
        }
        ++started;
        return std::thread(std::move(run));
      };
      auto pool = kind.open(4, start);
      // The other two start one thread only.
      if (refused_from > 0 && kind.name != "shared_queue") {
        CHECK(pool);
        continue;
      }
      REQUIRE_FALSE(pool);
      CHECK(pool.error().code() == Code::busy);
      CHECK(started == refused_from);
    }
    CHECK(comes_true([before] { return threads_of_this_process() <= before; }));
  });
}

TEST_CASE("a pool without threads is refused") {
  CHECK(kvs::open_shared_queue_pool({.threads = 0}).error().code() == Code::invalid);
  CHECK(kvs::uv::open_libuv_pool({.slots = 0}).error().code() == Code::invalid);
}

TEST_CASE("a thread per job: spawn succeeds when no thread can be had") {
  std::atomic<bool> refuse = false;
  const auto start = [&refuse](std::function<void()> run) {
    if (refuse) {
      throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again));
    }
    return std::thread(std::move(run));
  };
  const auto pool = kvs::open_thread_per_job_pool({.start_thread = start});
  REQUIRE(pool);
  refuse = true;
  CHECK(count_in_jobs(*pool) == 20'000);
  refuse = false;
  CHECK(count_in_jobs(*pool) == 20'000);
}
