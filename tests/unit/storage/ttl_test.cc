// ttl_test.cc - deadlines, with a clock that goes where the test wants it to (C23).
#include <memory>

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
