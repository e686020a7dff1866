// async_engine_test.cc - the engine behind futures: options, errors, memory first, dropping.
//
// What every form must do alike is in tests/unit/forms.
#include "storage/async_engine.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <latch>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "protocol/async/combinators.h"
#include "protocol/async/sync_wait.h"
#include "storage/options.h"
#include "storage/thread_pool/thread_pools.h"
#include "tests/support/map_engine.h"
#include "tests/support/pools.h"
#include "tests/support/seed.h"
#include "tests/support/temp_dir.h"

using kvs::AsyncEngine;
using kvs::boxed;
using kvs::Code;
using kvs::fail;
using kvs::first;
using kvs::map;
using kvs::Reads;
using kvs::Result;
using kvs::SetOptions;
using kvs::sync_wait;
using kvs::Task;
using kvs::then;
using kvs::ThreadPool;
using kvs::WriteSession;
using kvs::test::MapEngine;
using kvs::test::open_pool;
using kvs::test::pool_kinds;
using namespace std::chrono_literals;

namespace {

struct Fixture {
  std::shared_ptr<MapEngine> map_engine = std::make_shared<MapEngine>();
  AsyncEngine engine{map_engine, open_pool(pool_kinds[0], 1)};
};

struct Note final : kvs::Completion {
  std::atomic<int> told = 0;
  void complete() noexcept override { told.fetch_add(1); }
};

// Keeps the pool's only thread until it is let go.
class Blocker {
 public:
  explicit Blocker(const AsyncEngine& engine)
      : done_(engine.write_future([this](WriteSession&) -> Result<void> {
          begun_.count_down();
          release_.wait();
          return {};
        })) {
    begun_.wait();
  }
  void release() { release_.count_down(); }
  ~Blocker() {
    if (!release_.try_wait()) release_.count_down();
    done_.wait();
  }

 private:
  std::latch begun_{1};
  std::latch release_{1};
  kvs::Future<Result<kvs::Position>> done_;
};

bool stored(const Result<bool>& done) {
  return done && *done;
}

bool holds(const Result<std::optional<std::string>>& found, std::string_view value) {
  return found && *found && **found == value;
}

}  // namespace

TEST_CASE("set takes NX, XX and a time to live") {
  Fixture f;
  CHECK_FALSE(*sync_wait(f.engine.set("k", "1", {.when = SetOptions::When::present})));
  CHECK(*sync_wait(f.engine.set("k", "2", {.when = SetOptions::When::absent})));
  CHECK_FALSE(*sync_wait(f.engine.set("k", "3", {.when = SetOptions::When::absent})));
  CHECK(holds(sync_wait(f.engine.get("k")), "2"));
  CHECK(
      *sync_wait(f.engine.set("k", "4", {.when = SetOptions::When::present, .expire_after = 1h})));
  const auto info = sync_wait(f.engine.find("k"));
  REQUIRE(info);
  REQUIRE(*info);
  const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
                       std::chrono::system_clock::now().time_since_epoch())
                       .count();
  CHECK((*info)->expire_at > now + 3'500'000);
  CHECK((*info)->expire_at <= now + 3'600'000);
  CHECK(sync_wait(f.engine.set("k", "5", {.expire_after = 0ms})).error().code() == Code::invalid);
  CHECK(sync_wait(f.engine.set("k", "5", {.expire_after = std::chrono::milliseconds::max()}))
            .error()
            .code() == Code::invalid);
  CHECK(holds(sync_wait(f.engine.get("k")), "4"));
}

TEST_CASE("databases are apart") {
  Fixture f;
  CHECK(stored(sync_wait(f.engine.set("k", "in 3", {.database = 3}))));
  CHECK_FALSE(*sync_wait(f.engine.get("k")));
  CHECK(holds(sync_wait(f.engine.get("k", 3)), "in 3"));
  CHECK(sync_wait(f.engine.remove("k")).error().code() == Code::not_found);
  CHECK(sync_wait(f.engine.remove("k", 3)));
}

TEST_CASE("a write session is one unit, and nothing of it happens after an error or a throw") {
  Fixture f;
  const auto two = [](WriteSession& session) -> Result<void> {
    session.put({0, "a"}, "1", kvs::never);
    session.put({0, "b"}, "2", kvs::never);
    return {};
  };
  const auto position = sync_wait(f.engine.write(two));
  REQUIRE(position);
  CHECK(*position == f.map_engine->committed());
  CHECK(holds(sync_wait(f.engine.get("b")), "2"));

  const auto refused = [](WriteSession& session) -> Result<void> {
    session.put({0, "a"}, "never", kvs::never);
    return fail(Code::invalid, "changed my mind");
  };
  CHECK(f.engine.write_future(refused).get().error().message() == "changed my mind");
  const auto thrown = [](WriteSession& session) -> Result<void> {
    session.put({0, "a"}, "never", kvs::never);
    throw std::runtime_error("oh");
  };
  CHECK(f.engine.write_future(thrown).get().error() == kvs::Error(Code::exception, "oh"));
  CHECK(holds(sync_wait(f.engine.get("a")), "1"));
}

TEST_CASE("a scan in steps sees every key once, and sync covers what was committed") {
  Fixture f;
  for (int i = 0; i < 100; ++i) {
    REQUIRE(stored(sync_wait(f.engine.set("key" + std::to_string(i), "x"))));
  }
  std::vector<std::string> keys;
  std::uint64_t cursor = 0;
  do {
    const auto step = sync_wait(f.engine.scan(cursor, 7));
    REQUIRE(step);
    keys.insert(keys.end(), step->keys.begin(), step->keys.end());
    cursor = step->cursor;
  } while (cursor != 0);
  std::sort(keys.begin(), keys.end());
  CHECK(keys.size() == 100);
  CHECK(std::unique(keys.begin(), keys.end()) == keys.end());
  const auto synced = f.engine.sync_future().get();
  REQUIRE(synced);
  CHECK(*synced == f.map_engine->committed());
}

TEST_CASE("the engine's errors arrive as they are") {
  Fixture f;
  f.map_engine->fail_next_commit(kvs::Error(Code::no_space, "full"));
  CHECK(sync_wait(f.engine.set("k", "v")).error() == kvs::Error(Code::no_space, "full"));
  f.map_engine->refuse_writes(kvs::Error(Code::read_only, "broken"));
  CHECK(f.engine.set_future("k", "v").get().error().code() == Code::read_only);
  CHECK(sync_wait(f.engine.remove_op("k")).error().code() == Code::read_only);
  f.map_engine->refuse_writes(std::nullopt);
  REQUIRE(stored(sync_wait(f.engine.set("k", "v"))));
  f.map_engine->fail_reads(kvs::Error(Code::corrupt, "bits"));
  CHECK(sync_wait(f.engine.get("k")).error().code() == Code::corrupt);
}

TEST_CASE("a read that memory can answer does not go to the pool, unless it is told to") {
  Fixture f;
  REQUIRE(stored(sync_wait(f.engine.set("k", "v"))));
  Note note;
  {
    auto resident = f.engine.get_op("k");
    CHECK(resident.start(note));
    CHECK(holds(resident.take(), "v"));
  }
  f.map_engine->set_cold(true);
  {
    auto cold = f.engine.get_op("k");
    CHECK_FALSE(cold.start(note));
  }
  CHECK(holds(f.engine.get_future("k").get(), "v"));
  f.map_engine->set_cold(false);
  const AsyncEngine pooled(f.map_engine, open_pool(pool_kinds[0], 1), Reads::pool_only);
  auto find = pooled.find_op("k");
  CHECK_FALSE(find.start(note));
}

namespace {

Task<std::thread::id> thread_after_set(AsyncEngine engine) {
  auto set = engine.set_op("k", "v");
  const auto done = co_await set;
  CHECK(stored(done));
  co_return std::this_thread::get_id();
}

}  // namespace

TEST_CASE("what ran on the pool goes on there") {
  Fixture f;
  CHECK(sync_wait(thread_after_set(f.engine)) != std::this_thread::get_id());
}

TEST_CASE("an operation that is dropped before it has begun never happens") {
  Fixture f;
  {
    Blocker blocker(f.engine);
    Note note;
    {
      auto by_hand = f.engine.set_op("by hand", "x");
      CHECK_FALSE(by_hand.start(note));
      auto future = f.engine.set_future("boxed", "x");
      auto mapped = boxed(map(f.engine.set_op("mapped", "x"), [](bool done) { return done; }));
      auto task = f.engine.set("task", "x");
      CHECK_FALSE(task.start(note));
    }
    CHECK(note.told == 0);
  }
  REQUIRE(stored(sync_wait(f.engine.set("after", "x"))));
  for (const char* key : {"by hand", "boxed", "mapped", "task"}) {
    CHECK_FALSE(*sync_wait(f.engine.get(key)));
  }
}

TEST_CASE("dropping a future does not wait for a job that has begun; dropping the operation does") {
  Fixture f;
  std::latch begun(1);
  std::latch release(1);
  std::atomic<bool> ended = false;
  const auto slow = [&](WriteSession&) -> Result<void> {
    begun.count_down();
    release.wait();
    ended = true;
    return {};
  };
  SUBCASE("future") {
    {
      auto future = f.engine.write_future(slow);
      begun.wait();
    }
    CHECK_FALSE(ended);
    release.count_down();
    CHECK(stored(f.engine.set_future("after", "x").get()));
    CHECK(ended);
  }
  SUBCASE("by hand") {
    Note note;
    std::jthread releaser;
    {
      auto operation = f.engine.write_op(slow);
      CHECK_FALSE(operation.start(note));
      begun.wait();
      releaser = std::jthread([&release] {
        std::this_thread::sleep_for(20ms);
        release.count_down();
      });
    }
    CHECK(ended);
    CHECK(note.told == 0);
  }
}

TEST_CASE("operations can be dropped at every moment of a pool's work") {
  for (const auto& kind : pool_kinds) {
    INFO("pool ", std::string(kind.name));
    std::minstd_rand random(static_cast<unsigned>(kvs::test::test_seed("drop")));
    std::uniform_int_distribution<int> waits(0, 3000);
    auto map_engine = std::make_shared<MapEngine>();
    const AsyncEngine engine(map_engine, open_pool(kind, 2), Reads::pool_only);
    REQUIRE(stored(sync_wait(engine.set("k", "v"))));
    const auto pause = [&] {
      for (int i = waits(random); i > 0; --i) std::atomic_signal_fence(std::memory_order_seq_cst);
      if (waits(random) < 600) std::this_thread::yield();
    };
    for (int round = 0; round < 500; ++round) {
      Note note;
      {
        auto operation = engine.get_op("k");
        REQUIRE_FALSE(operation.start(note));
        pause();
      }
      {
        auto chained = then(engine.get_op("k"), [&engine](auto value) {
          return engine.set_op("k", value.value_or(""));
        });
        REQUIRE_FALSE(chained.start(note));
        pause();
      }
      {
        auto future = engine.set_future("k", "v");
        pause();
      }
      {
        auto any = first(engine.get_op("k"), engine.get_op("k"));
        any.start(note);  // the first read may be over before the second begins
        pause();
      }
      const int told = note.told;
      REQUIRE(told <= 3);
    }
    CHECK(holds(sync_wait(engine.get("k")), "v"));
  }
}

TEST_CASE("engine and pool live until the last operation is gone, which may be on the pool") {
  for (const auto& kind : pool_kinds) {
    INFO("pool ", std::string(kind.name));
    for (int round = 0; round < 50; ++round) {
      auto map_engine = std::make_shared<MapEngine>();
      std::weak_ptr<MapEngine> alive = map_engine;
      kvs::Future<Result<bool>> left = [&] {
        AsyncEngine engine(std::move(map_engine), open_pool(kind, 2));
        auto dropped = engine.set_future("a", "1");
        return engine.set_future("b", "2");
      }();
      REQUIRE(stored(left.get()));
      const auto deadline = std::chrono::steady_clock::now() + 10s;
      while (!alive.expired() && std::chrono::steady_clock::now() < deadline) {
        std::this_thread::yield();
      }
      REQUIRE(alive.expired());
    }
  }
}

TEST_CASE("a real engine behind futures: cold values are read on the pool") {
  kvs::test::TempDir dir;
  kvs::EngineOptions options;
  options.directory = dir.path();
  options.cache_bytes = 0;
  auto opened = kvs::open_engine("kvs", std::move(options));
  REQUIRE(opened);
  const AsyncEngine engine(std::move(*opened), open_pool(pool_kinds[0], 2));
  const std::string value(10'000, 'v');
  REQUIRE(stored(sync_wait(engine.set("k", value))));
  Note note;
  {
    auto cold = engine.get_op("k");
    REQUIRE_FALSE(cold.start(note));
  }
  CHECK(holds(sync_wait(engine.get("k")), value));
  CHECK(engine.engine().close());
}
