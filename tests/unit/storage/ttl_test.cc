// ttl_test.cc - deadlines, with a clock that goes where the test wants it to (C23).
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "tests/unit/storage/storage_test_util.h"

using namespace kvs;
using namespace kvs::test;

namespace {

struct Clocked {
  TestDisk disk;
  std::shared_ptr<UnixMs> clock = std::make_shared<UnixMs>(1000);

  std::unique_ptr<Engine> open() {
    auto options = disk.options();
    options.clock = [clock = clock] { return *clock; };
    return must_open(options);
  }
};

}  // namespace

TEST_CASE("a key past its deadline is absent, whether maintenance ran or not") {
  Clocked store;
  auto engine = store.open();
  REQUIRE(set(*engine, "soon", "1", 1100));
  REQUIRE(set(*engine, "later", "2", 1200));
  REQUIRE(set(*engine, "always", "3"));
  CHECK(get(*engine, "soon") == "1");
  const auto info = engine->find({0, "soon"}, Access::resident_only);
  REQUIRE(info);
  CHECK((*info)->expire_at == 1100);
  CHECK(engine->database_stats(0).volatiles == 2);

  *store.clock = 1099;
  CHECK(get(*engine, "soon") == "1");
  *store.clock = 1100;
  CHECK(get(*engine, "soon") == "(absent)");
  std::string value = "untouched";
  const auto gone = engine->get({0, "soon"}, Access::may_block, value);
  REQUIRE(gone);
  CHECK_FALSE(gone->has_value());
  CHECK(value == "untouched");
  int visited = 0;
  REQUIRE(engine->scan(0, 0, 100, [&](std::string_view key, const KeyInfo&) {
    CHECK(key != "soon");
    ++visited;
  }));
  CHECK(visited == 2);
  for (int i = 0; i < 50; ++i) {
    const auto key = engine->random_key(0);
    REQUIRE(key);
    CHECK(**key != "soon");
  }

  settle(*engine);
  CHECK(engine->stats().expired_keys == 1);
  CHECK(engine->database_stats(0).keys == 2);
  CHECK(engine->database_stats(0).volatiles == 1);
  CHECK(get(*engine, "soon") == "(absent)");
  CHECK(get(*engine, "later") == "2");
}

TEST_CASE("what has expired does not come back when the clock is turned back") {
  for (const bool stopped : {false, true}) {
    for (const bool maintained : {false, true}) {
      CAPTURE(stopped);
      CAPTURE(maintained);
      Clocked store;
      {
        auto engine = store.open();
        REQUIRE(set(*engine, "k", "older"));
        REQUIRE(set(*engine, "k", "v", 1100));
        *store.clock = 2000;
        CHECK(get(*engine, "k") == "(absent)");
        if (maintained) settle(*engine);
        // A frame carries the clock; a clean stop does too.
        if (!stopped) REQUIRE(set(*engine, "other", "v"));
        *store.clock = 1050;
        if (!stopped) CHECK(get(*engine, "k") == "(absent)");
        if (stopped) {
          *store.clock = 2000;
          REQUIRE(engine->close());
          *store.clock = 1050;
        }
      }
      auto engine = store.open();
      CHECK(get(*engine, "k") == "(absent)");
      compact(*engine);
      CHECK(get(*engine, "k") == "(absent)");
      engine.reset();
      engine = store.open();
      CHECK(get(*engine, "k") == "(absent)");
    }
  }
}

TEST_CASE("compaction does not let an expired value uncover an older one" *
          doctest::test_suite("kvs only")) {
  Clocked store;
  auto engine = store.open();
  // The older value in a segment of its own, kept alive by neighbours.
  REQUIRE(set(*engine, "neighbour", std::string(60, 'n')));
  REQUIRE(set(*engine, "k", "older"));
  for (int i = 0; i < 6; ++i)
    REQUIRE(set(*engine, "fill" + std::to_string(i), std::string(60, 'f')));
  REQUIRE(set(*engine, "k", "newer", 1100));
  for (int i = 0; i < 20; ++i) REQUIRE(set(*engine, "churn", std::string(60, 'c')));
  *store.clock = 3000;
  settle(*engine);
  for (int i = 0; i < 20; ++i) {
    REQUIRE(set(*engine, "churn", std::string(60, 'c')));
    settle(*engine);
  }
  CHECK(engine->stats().compactions > 0);
  for (int i = 0; i < 3; ++i) {
    CHECK(get(*engine, "k") == "(absent)");
    CHECK(get(*engine, "neighbour") == std::string(60, 'n'));
    engine.reset();
    engine = store.open();
    compact(*engine);
  }
}

TEST_CASE("a new value takes the deadline away, and a deadline in the past makes a key absent") {
  Clocked store;
  {
    auto engine = store.open();
    REQUIRE(set(*engine, "k", "1", 1100));
    REQUIRE(set(*engine, "k", "2"));
    REQUIRE(set(*engine, "past", "1", 500));
    REQUIRE(set(*engine, "before 1970", "1", -5));
    auto session = engine->begin();
    REQUIRE(session);
    (*session)->put({0, "pending"}, "1", 999);
    CHECK(get(**session, "pending") == "(absent)");
    REQUIRE((*session)->commit());
    session->reset();
    *store.clock = 1500;
    settle(*engine);
    CHECK(get(*engine, "k") == "2");
    CHECK(get(*engine, "past") == "(absent)");
    CHECK(get(*engine, "before 1970") == "(absent)");
    CHECK(engine->database_stats(0).keys == 1);
  }
  auto engine = store.open();
  CHECK(get(*engine, "k") == "2");
  CHECK(get(*engine, "past") == "(absent)");
  CHECK(engine->database_stats(0).volatiles <= 3);
}

TEST_CASE("keys leave when their deadline comes, without any maintenance" *
          doctest::test_suite("kvs only")) {
  Clocked store;
  auto engine = store.open();
  CHECK(engine->next_deadline() == never);
  REQUIRE(set(*engine, "later", "2", 1200));
  REQUIRE(set(*engine, "soon", "1", 1100));
  REQUIRE(set(*engine, "always", "3"));
  CHECK(engine->next_deadline() == 1100);
  const std::uint64_t dead = engine->stats().dead_bytes;

  *store.clock = 1099;
  CHECK_FALSE(engine->expire(std::chrono::milliseconds(20)));
  CHECK(engine->database_stats(0).keys == 3);
  *store.clock = 1100;
  CHECK_FALSE(engine->expire(std::chrono::milliseconds(20)));
  CHECK(engine->database_stats(0).keys == 2);
  CHECK(engine->stats().expired_keys == 1);
  CHECK(engine->next_deadline() == 1200);
  // Its record is of use to nobody any more, and counts for compaction at once.
  CHECK(engine->stats().dead_bytes > dead);
}

TEST_CASE("the clock may leap over deadlines and back again" * doctest::test_suite("kvs only")) {
  for (const bool restarted : {false, true}) {
    CAPTURE(restarted);
    Clocked store;
    auto engine = store.open();
    REQUIRE(set(*engine, "short", "1", 2000));
    REQUIRE(set(*engine, "long", "2", 100'000));
    *store.clock = 50'000;  // forward, over the first
    engine->expire(std::chrono::milliseconds(20));
    REQUIRE(set(*engine, "written then", "3", 60'000));
    *store.clock = 1000;  // and back, behind where it was
    if (restarted) {
      engine.reset();
      engine = store.open();
    }
    // Gone is gone; what was not yet due stays, and is removed on time once the clock is there.
    CHECK(get(*engine, "short") == "(absent)");
    CHECK(get(*engine, "long") == "2");
    CHECK(get(*engine, "written then") == "3");
    engine->expire(std::chrono::milliseconds(20));
    CHECK(get(*engine, "written then") == "3");
    *store.clock = 60'000;
    engine->expire(std::chrono::milliseconds(20));
    CHECK(get(*engine, "written then") == "(absent)");
    CHECK(get(*engine, "long") == "2");
    CHECK(engine->database_stats(0).keys == 1);
    // A deadline that is set again is what counts.
    REQUIRE(set(*engine, "long", "2", 200'000));
    *store.clock = 150'000;
    engine->expire(std::chrono::milliseconds(20));
    CHECK(get(*engine, "long") == "2");
  }
}

TEST_CASE("keys that expire while compaction moves them are gone for good") {
  Clocked store;
  auto engine = store.open();
  std::atomic<bool> stop{false};
  std::thread expiry([&] {
    while (!stop) engine->expire(std::chrono::milliseconds(1));
  });
  // Deadlines all the time, in small segments that are compacted all the time.
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < 8; ++i) {
      const std::string name = "k" + std::to_string(i);
      REQUIRE(set(*engine, name, std::to_string(round), i % 2 ? 500 : never));
      REQUIRE(set(*engine, "stays" + std::to_string(i), std::to_string(round), 1'000'000));
    }
    compact(*engine);
  }
  stop = true;
  expiry.join();
  for (int restarts = 0; restarts < 2; ++restarts) {
    for (int i = 0; i < 8; ++i) {
      CAPTURE(i);
      CHECK(get(*engine, "k" + std::to_string(i)) == (i % 2 ? "(absent)" : "99"));
      CHECK(get(*engine, "stays" + std::to_string(i)) == "99");
    }
    settle(*engine);
    CHECK(engine->database_stats(0).keys == 12);
    engine.reset();
    engine = store.open();
    compact(*engine);
  }
}
