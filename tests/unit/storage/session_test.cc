// session_test.cc - what a write session sees, and what others see of it.
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "storage/limits.h"
#include "tests/support/seed.h"
#include "tests/unit/storage/storage_test_util.h"

using namespace kvs;
using namespace kvs::test;

TEST_CASE("a session sees its own pending writes, and nobody else does before the commit") {
  const TestDisk disk;
  auto engine = must_open(disk.options());
  REQUIRE(set(*engine, "a", "old"));
  REQUIRE(set(*engine, "b", "old"));
  auto session = engine->begin();
  REQUIRE(session);
  (*session)->put({0, "a"}, "new", never);
  (*session)->remove({0, "b"});
  (*session)->put({0, "c"}, "new", never);
  CHECK(get(**session, "a") == "new");
  CHECK(get(**session, "b") == "(absent)");
  CHECK(get(**session, "c") == "new");
  CHECK(get(*engine, "a") == "old");
  CHECK(get(*engine, "b") == "old");
  CHECK(get(*engine, "c") == "(absent)");
  const auto pending = (*session)->find({0, "c"}, Access::resident_only);
  REQUIRE(pending);
  const Lsn promised = (*pending)->lsn;
  CHECK((*session)->pending_bytes() > 0);
  auto committed = (*session)->commit();
  REQUIRE(committed);
  CHECK((*session)->pending_bytes() == 0);
  CHECK(get(*engine, "a") == "new");
  CHECK(get(*engine, "b") == "(absent)");
  CHECK(get(*engine, "c") == "new");
  const auto now = engine->find({0, "c"}, Access::resident_only);
  REQUIRE(now);
  CHECK((*now)->lsn == promised);
  CHECK(*committed == promised);
}

TEST_CASE("a session that is dropped leaves nothing behind") {
  const TestDisk disk;
  auto engine = must_open(disk.options());
  {
    auto session = engine->begin();
    REQUIRE(session);
    (*session)->put({0, "a"}, "1", never);
    (*session)->clear(0);
  }
  auto session = engine->begin();
  REQUIRE(session);
  CHECK((*session)->pending_bytes() == 0);
  CHECK(get(**session, "a") == "(absent)");
  auto committed = (*session)->commit();
  REQUIRE(committed);
  CHECK(*committed == 0);
}

TEST_CASE("a value that is put to last is as one that was copied") {
  const std::uint64_t seed = test_seed("lasting values");
  std::mt19937_64 random(seed);
  const TestDisk disk;
  auto options = disk.options();
  options.lasting_value_bytes = 100;
  std::map<std::string, std::string> model;
  for (int round = 0; round < 20; ++round) {
    CAPTURE(round);
    auto engine = must_open(options);
    for (const auto& [key, value] : model) REQUIRE(get(*engine, key) == value);
    for (int commit = 0; commit < 20; ++commit) {
      auto session = engine->begin();
      REQUIRE(session);
      std::map<std::string, std::string> after = model;
      std::vector<std::unique_ptr<const std::string>> lasting;
      for (std::uint64_t i = random() % 6; i > 0; --i) {
        const std::string key(1, static_cast<char>('a' + random() % 5));
        if (random() % 5 == 0) {
          (*session)->remove({0, key});
          after.erase(key);
          continue;
        }
        const std::string value(random() % 200, static_cast<char>('a' + random() % 26));
        if (random() % 3 == 0) {
          (*session)->put({0, key}, value, never);
        } else {
          lasting.push_back(std::make_unique<const std::string>(value));
          (*session)->put_lasting({0, key}, *lasting.back(), never);
        }
        after[key] = value;
        REQUIRE(get(**session, key) == value);
      }
      for (const auto& [key, value] : after) REQUIRE(get(**session, key) == value);
      if (random() % 4 == 0) continue;  // dropped
      REQUIRE((*session)->commit());
      model = std::move(after);
      session->reset();
      for (const auto& [key, value] : model) REQUIRE(get(*engine, key) == value);
    }
    settle(*engine);
  }
}

TEST_CASE("a session can be used again after its commit") {
  const TestDisk disk;
  auto engine = must_open(disk.options());
  auto session = engine->begin();
  REQUIRE(session);
  (*session)->put({0, "a"}, "1", never);
  REQUIRE((*session)->commit());
  CHECK(get(**session, "a") == "1");
  (*session)->put({0, "a"}, "2", never);
  (*session)->put({0, "b"}, "2", never);
  auto committed = (*session)->commit();
  REQUIRE(committed);
  CHECK(*committed == 3);
  CHECK(get(*engine, "a") == "2");
}

TEST_CASE("the order of clear and writes in one session is kept, also after a restart") {
  const TestDisk disk;
  {
    auto engine = must_open(disk.options());
    REQUIRE(set(*engine, "committed", "1"));
    REQUIRE(set(*engine, "other", "1", never, 1));
    auto session = engine->begin();
    REQUIRE(session);
    (*session)->put({0, "before"}, "1", never);
    (*session)->put({0, "both"}, "1", never);
    (*session)->clear(0);
    CHECK(get(**session, "committed") == "(absent)");
    CHECK(get(**session, "before") == "(absent)");
    CHECK(get(**session, "other", 1) == "1");
    (*session)->put({0, "both"}, "2", never);
    (*session)->put({0, "after"}, "2", never);
    (*session)->remove({0, "before"});
    CHECK(get(**session, "both") == "2");
    REQUIRE((*session)->commit());
    CHECK(get(*engine, "both") == "2");
    CHECK(engine->database_stats(0).keys == 2);
  }
  for (int i = 0; i < 2; ++i) {
    auto engine = must_open(disk.options());
    CHECK(get(*engine, "committed") == "(absent)");
    CHECK(get(*engine, "before") == "(absent)");
    CHECK(get(*engine, "both") == "2");
    CHECK(get(*engine, "after") == "2");
    CHECK(get(*engine, "other", 1) == "1");
    CHECK(engine->database_stats(0).keys == 2);
    compact(*engine);
  }
}

TEST_CASE("a key that was set and removed in one session stays absent after a restart") {
  const TestDisk disk;
  {
    auto engine = must_open(disk.options());
    auto session = engine->begin();
    REQUIRE(session);
    (*session)->put({0, "a"}, "1", never);
    (*session)->remove({0, "a"});
    CHECK(get(**session, "a") == "(absent)");
    REQUIRE((*session)->commit());
  }
  auto engine = must_open(disk.options());
  CHECK(get(*engine, "a") == "(absent)");
}

TEST_CASE("the overlay of pending writes agrees with a map, few keys or many") {
  const std::uint64_t seed = test_seed("overlay");
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (const int keys : {3, 9, 500}) {
    const TestDisk disk;
    auto engine = must_open(disk.options(1 << 20));
    std::map<std::string, std::string> model;
    for (int round = 0; round < 20; ++round) {
      auto session = engine->begin();
      REQUIRE(session);
      auto pending = model;
      for (int i = 0; i < 3 * keys; ++i) {
        const std::string key = "k" + std::to_string(random() % static_cast<unsigned>(keys));
        switch (random() % 8) {
          case 0:
            (*session)->remove({0, key});
            pending.erase(key);
            break;
          case 1:
            if (random() % 50 == 0) {
              (*session)->clear(0);
              pending.clear();
            }
            break;
          default: {
            const std::string value = std::to_string(random());
            (*session)->put({0, key}, value, never);
            pending[key] = value;
          }
        }
        const std::string probe = "k" + std::to_string(random() % static_cast<unsigned>(keys));
        const auto expected = pending.find(probe);
        REQUIRE(get(**session, probe) ==
                (expected == pending.end() ? "(absent)" : expected->second));
      }
      if (random() % 4 != 0) {
        REQUIRE((*session)->commit());
        model = pending;
      }
      session->reset();
      REQUIRE(engine->database_stats(0).keys == model.size());
      for (const auto& [key, value] : model) REQUIRE(get(*engine, key) == value);
    }
  }
}

TEST_CASE("who has seen one write of a session published together sees all of them") {
  const TestDisk disk;
  auto options = disk.options(1 << 20);
  options.cache_bytes = 1 << 20;
  auto engine = must_open(options);
  std::atomic<bool> done = false;
  std::atomic<int> torn = 0;
  constexpr int keys = 40;
  std::thread reader([&] {
    while (!done) {
      // Read in the order of writing: what comes later must not be older.
      int last = 0;
      for (int i = 0; i < keys; ++i) {
        const std::string value = get(*engine, "key" + std::to_string(i));
        const int round = value == "(absent)" ? 0 : std::stoi(value);
        if (round < last) ++torn;
        last = round;
      }
    }
  });
  for (int round = 1; round <= 1000; ++round) {
    auto session = engine->begin();
    REQUIRE(session);
    for (int i = 0; i < keys; ++i) {
      (*session)->put({0, "key" + std::to_string(i)}, std::to_string(round), never);
    }
    (*session)->publish_together();
    REQUIRE((*session)->commit());
  }
  done = true;
  reader.join();
  CHECK(torn == 0);
}
