// swap_test.cc - two databases change their numbers: at once, whatever they hold, and for good.
#include <algorithm>
#include <atomic>
#include <functional>
#include <set>
#include <string>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include "storage/database_map.h"
#include "storage/log/check.h"
#include "storage/log/restore.h"
#include "storage/log/salvage.h"
#include "tests/support/storage_model.h"
#include "tests/unit/storage/storage_test_util.h"

using namespace kvs;
using namespace kvs::test;

namespace {

std::set<std::string> scanned(Engine& engine, Database database) {
  std::set<std::string> names;
  std::uint64_t cursor = 0;
  do {
    auto next = engine.scan(database, cursor, 10,
                            [&](std::string_view name, const KeyInfo&) { names.emplace(name); });
    REQUIRE(next);
    cursor = *next;
  } while (cursor != 0);
  return names;
}

}  // namespace

TEST_CASE("a map of databases is a permutation, and says so") {
  DatabaseMap map;
  for (unsigned i = 0; i < databases_count; ++i) {
    CHECK(map.stored(static_cast<Database>(i)) == i);
    CHECK(map.named(static_cast<Database>(i)) == i);
  }
  map.swap(0, 15);
  map.swap(15, 7);
  map.swap(3, 3);
  CHECK(map.stored(Database{0}) == 15);
  CHECK(map.stored(Database{15}) == 7);
  CHECK(map.stored(Database{7}) == 0);
  CHECK(map.stored(Database{3}) == 3);
  CHECK(map.named(Database{0}) == 7);
  const DatabaseMap::Encoded bytes = map.encoded();
  const std::string text(bytes.begin(), bytes.end());
  CHECK(text == "\x1f\x32\x54\x06\x98\xba\xdc\x7e");
  REQUIRE(DatabaseMap::parse(text));
  CHECK(*DatabaseMap::parse(text) == map);
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string wrong = text;
      wrong[i] = static_cast<char>(wrong[i] ^ 1 << bit);
      CHECK_FALSE(DatabaseMap::parse(wrong));
    }
  }
  CHECK_FALSE(DatabaseMap::parse(text.substr(1)));
  CHECK_FALSE(DatabaseMap::parse(text + '\0'));
}

TEST_CASE("a swap exchanges all that two databases hold, and writes next to nothing") {
  const TestDisk disk;
  auto engine = must_open(disk.options(1 << 20));
  const UnixMs far = UnixMs{4'000'000'000'000};
  std::set<std::string> names;
  for (int i = 0; i < 500; ++i) {
    const std::string name = "key" + std::to_string(i);
    names.insert(name);
    REQUIRE(set(*engine, name, std::string(1000, 'v'), i % 5 == 0 ? far : never, 2));
  }
  REQUIRE(set(*engine, "alone", "in 9", never, 9));
  const std::uint64_t before = engine->stats().written_bytes;
  const Position committed = engine->committed();
  CHECK(engine->swapped() == 0);
  REQUIRE(swap(*engine, 2, 9));
  CHECK(engine->stats().written_bytes - before < 200);
  CHECK(engine->committed() == committed + 1);
  CHECK(engine->swapped() == committed + 1);

  CHECK(engine->database_stats(9).keys == 500);
  CHECK(engine->database_stats(9).volatiles == 100);
  CHECK(engine->database_stats(2).keys == 1);
  CHECK(engine->database_stats(2).volatiles == 0);
  CHECK(scanned(*engine, 9) == names);
  CHECK(scanned(*engine, 2) == std::set<std::string>{"alone"});
  CHECK(*engine->random_key(2) == "alone");
  CHECK(names.contains(**engine->random_key(9)));
  CHECK(get(*engine, "alone", 2) == "in 9");
  CHECK(get(*engine, "alone", 9) == "(absent)");
  const auto found = engine->find({9, "key5"}, Access::may_block);
  REQUIRE((found && *found));
  CHECK((*found)->expire_at == far);

  // What comes afterwards goes where the numbers point now.
  REQUIRE(remove(*engine, "key5", 9));
  REQUIRE(set(*engine, "key5", "new", never, 2));
  REQUIRE(clear(*engine, 9));
  CHECK(engine->database_stats(9).keys == 0);
  CHECK(scanned(*engine, 2) == std::set<std::string>{"alone", "key5"});
  REQUIRE(swap(*engine, 2, 9));
  CHECK(scanned(*engine, 9) == std::set<std::string>{"alone", "key5"});
  CHECK(scanned(*engine, 2).empty());
}

TEST_CASE("swaps are there after a stop and after a kill, many of them as few") {
  const TestDisk disk;
  State state;
  Position newest = 0;
  const auto reopened = [&] { return must_open(disk.options()); };
  {
    auto engine = reopened();
    for (Database i = 0; i < databases_count; ++i) {
      REQUIRE(set(*engine, "k", "of " + std::to_string(i), never, i));
    }
    // Each to its neighbour, all the way round.
    for (Database i = 0; i + 1U < databases_count; ++i) {
      REQUIRE(swap(*engine, i, static_cast<Database>(i + 1)));
    }
    CHECK(get(*engine, "k", 15) == "of 0");
    CHECK(get(*engine, "k", 0) == "of 1");
    state = contents(*engine);
    newest = engine->committed();
    CHECK(engine->swapped() == newest);
  }
  for (int round = 0; round < 4; ++round) {
    CAPTURE(round);
    auto engine = reopened();
    CHECK(contents(*engine) == state);
    CHECK(engine->swapped() == newest);
    CHECK(engine->committed() == newest);
    if (round == 1) REQUIRE(engine->close());
  }
  auto engine = reopened();
  REQUIRE(swap(*engine, 15, 0));
  CHECK(engine->swapped() == newest + 1);
  CHECK(get(*engine, "k", 0) == "of 0");
  CHECK(get(*engine, "k", 15) == "of 1");
}

TEST_CASE("a session sees the swap that it has pending, and nobody else does") {
  const TestDisk disk;
  auto engine = must_open(disk.options());
  REQUIRE(set(*engine, "a", "zero", never, 0));
  REQUIRE(set(*engine, "b", "one", never, 1));
  const State before = contents(*engine);
  {
    auto session = engine->begin();
    REQUIRE(session);
    WriteSession& pending = **session;
    pending.put({0, "new"}, "put in 0", never);
    pending.swap(0, 1);
    CHECK(get(pending, "a", 1) == "zero");
    CHECK(get(pending, "a", 0) == "(absent)");
    CHECK(get(pending, "b", 0) == "one");
    CHECK(get(pending, "new", 1) == "put in 0");
    CHECK(pending.committed_as(0) == 1);
    CHECK(pending.committed_as(1) == 0);
    CHECK(pending.committed_as(2) == 2);
    std::set<std::string> names;
    pending.visit_pending(1, [&](std::string_view name) { names.emplace(name); });
    CHECK(names == std::set<std::string>{"new"});
    pending.visit_pending(0, [&](std::string_view name) { FAIL(name); });
    pending.remove({1, "a"});
    CHECK(get(pending, "a", 1) == "(absent)");
    pending.clear(0);
    CHECK(pending.cleared(0));
    CHECK_FALSE(pending.cleared(1));
    CHECK(get(pending, "b", 0) == "(absent)");
    pending.swap(1, 2);
    CHECK(pending.committed_as(2) == 0);
    CHECK(pending.committed_as(1) == 2);
    CHECK(pending.committed_as(0) == 1);
    CHECK(pending.cleared(0));
    CHECK(get(pending, "new", 2) == "put in 0");
    CHECK(contents(*engine) == before);
    CHECK(engine->swapped() == 0);
  }
  CHECK(contents(*engine) == before);  // it was dropped
  auto session = engine->begin();
  REQUIRE(session);
  CHECK((*session)->committed_as(0) == 0);
  CHECK((*session)->pending_bytes() == 0);
  (*session)->swap(3, 3);
  CHECK((*session)->pending_bytes() == 0);
  (*session)->put({0, "both"}, "first", never);
  (*session)->swap(0, 1);
  (*session)->put({0, "both"}, "second", never);
  CHECK((*session)->pending_bytes() > 0);
  REQUIRE((*session)->commit());
  CHECK((*session)->committed_as(0) == 0);  // the engine knows by now
  (*session)->put({0, "later"}, "x", never);
  REQUIRE((*session)->commit());
  session->reset();
  for (int round = 0; round < 2; ++round) {
    CHECK(get(*engine, "both", 1) == "first");
    CHECK(get(*engine, "both", 0) == "second");
    CHECK(get(*engine, "later", 0) == "x");
    CHECK(get(*engine, "a", 1) == "zero");
    CHECK(get(*engine, "b", 0) == "one");
    engine.reset();
    engine = must_open(disk.options());
  }
}

TEST_CASE("a read beside swaps sees a database as it was under one number") {
  const TestDisk disk;
  EngineOptions options = disk.options(1 << 20);
  options.cache_bytes = 1 << 20;
  auto engine = must_open(options);
  // At every moment k is even in database 0 and odd in database 1.
  REQUIRE(set(*engine, "k", "0", never, 0));
  REQUIRE(set(*engine, "k", "1", never, 1));
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> wrong{0};
  std::atomic<std::uint64_t> reads{0};
  std::vector<std::thread> readers;
  for (Database database = 0; database < 2; ++database) {
    readers.emplace_back([&, database] {
      std::string value;
      while (!stop.load(std::memory_order_relaxed)) {
        const auto found = engine->get({database, "k"}, Access::may_block, value);
        const bool right = found && *found && (value.back() - '0') % 2 == database;
        if (!right) ++wrong;
        ++reads;
      }
    });
  }
  for (int round = 1; round < 1000; ++round) {
    auto session = engine->begin();
    if (!session) break;
    // So much that it takes a while to appear.
    for (int i = 0; round % 50 == 1 && i < 5000; ++i) {
      (*session)->put({2, "filler" + std::to_string(i)}, "x", never);
    }
    if (round % 2 == 0) {
      (*session)->put({0, "k"}, std::to_string(2 * round), never);
      (*session)->put({1, "k"}, std::to_string(2 * round + 1), never);
    } else {
      (*session)->swap(0, 1);
      (*session)->put({1, "k"}, std::to_string(2 * round + 1), never);
      (*session)->put({0, "k"}, std::to_string(2 * round), never);
    }
    // Key by key is enough of a promise for the others: a swap makes it an instant by itself.
    if (!(*session)->commit()) break;
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  CHECK(wrong == 0);
  CHECK(reads > 1000);
}

TEST_SUITE_BEGIN("kvs only");

TEST_CASE("a read that a swap has overtaken is made again") {
  const auto fs = std::make_shared<SimFs>();
  EngineOptions options = sim_options(fs);
  options.cache_bytes = 1 << 20;
  // The clock is asked in the middle of a read of a key with a deadline.
  std::function<void()> meanwhile;
  options.clock = [&meanwhile] {
    if (meanwhile) std::exchange(meanwhile, {})();
    return UnixMs{1000};
  };
  auto engine = must_open(std::move(options));
  const UnixMs far = 1'000'000;
  REQUIRE(set(*engine, "k", "of 0", far, 0));
  REQUIRE(set(*engine, "k", "of 1", far, 1));
  REQUIRE(set(*engine, "only", "here", far, 0));
  const auto swap_and_write = [&] {
    auto session = engine->begin();
    REQUIRE(session);
    (*session)->swap(0, 1);
    REQUIRE((*session)->commit());
    (*session)->put({1, "k"}, "never in 0", far);
    REQUIRE((*session)->commit());
  };
  meanwhile = swap_and_write;
  CHECK(get(*engine, "k", 0) == "of 1");
  CHECK_FALSE(meanwhile);
  CHECK(get(*engine, "k", 1) == "never in 0");
  // A value that was found first does not stay when the key is absent in the end.
  std::string value = "before";
  meanwhile = [&] { REQUIRE(swap(*engine, 0, 1)); };
  const auto found = engine->get({1, "only"}, Access::may_block, value);
  REQUIRE(found);
  CHECK_FALSE(*found);
  CHECK(value.empty());
}

TEST_CASE("the newest swap outlives every compaction, with hints and without") {
  const auto fs = std::make_shared<SimFs>();
  auto engine = must_open(sim_options(fs));
  REQUIRE(set(*engine, "k", "of 0", never, 0));
  REQUIRE(set(*engine, "k", "of 1", never, 1));
  State expected;
  for (int round = 0; round < 12; ++round) {
    CAPTURE(round);
    REQUIRE(swap(*engine, 0, 1));
    if (round % 3 == 0) REQUIRE(swap(*engine, 1, static_cast<Database>(2 + round)));
    for (int i = 0; i < 30; ++i) {
      REQUIRE(set(*engine, "churn" + std::to_string(i % 3), std::string(60, 'f')));
    }
    if (round % 4 == 0) REQUIRE(clear(*engine, 0));
    expected = contents(*engine);
    const Position swapped = engine->swapped();
    compact(*engine);
    CHECK(contents(*engine) == expected);
    CHECK(engine->stats().dead_bytes == 0);
    if (round % 2 == 0) REQUIRE(engine->close());
    engine.reset();
    const auto bare = fs->fork();
    std::erase_if(bare->files(), [](const auto& file) { return file.first.ends_with(".hint"); });
    for (const auto& disk : {bare, fs}) {
      engine = must_open(sim_options(disk));
      CHECK(contents(*engine) == expected);
      CHECK(engine->swapped() == swapped);
      CHECK(engine->stats().dead_bytes == 0);
      CHECK((engine->stats().hints_used > 0) == (disk == fs));
    }
  }
}

TEST_CASE("a key that expires is told of under the number that its database has") {
  const TempDir dir;
  UnixMs now = 1000;
  std::vector<std::pair<Database, std::string>> told;
  EngineOptions options = directory_options(dir.path());
  options.clock = [&now] { return now; };
  options.on_expired = [&told](Key key) { told.emplace_back(key.database, key.name); };
  auto engine = must_open(std::move(options));
  REQUIRE(set(*engine, "early", "x", 2000, 3));
  REQUIRE(set(*engine, "late", "x", 3000, 3));
  now = 2500;
  settle(*engine);
  REQUIRE(swap(*engine, 3, 4));
  now = 3500;
  settle(*engine);
  CHECK(told == std::vector<std::pair<Database, std::string>>{{3, "early"}, {4, "late"}});
}

TEST_CASE("a value that was being read when its database changed its number is read again") {
  const TempDir dir;
  EngineOptions options = directory_options(dir.path());
  options.cache_bytes = 0;
  auto engine = must_open(std::move(options));
  REQUIRE(set(*engine, "k", "of 0", never, 0));
  REQUIRE(set(*engine, "k", "of 1", never, 1));
  auto cold = engine->plan_cold_read({0, "k"});
  REQUIRE((cold && *cold));
  std::string bytes((*cold)->bytes, '\0');
  REQUIRE(::pread((*cold)->descriptor, bytes.data(), bytes.size(),
                  static_cast<off_t>((*cold)->offset_bytes)) == static_cast<ssize_t>(bytes.size()));
  REQUIRE(swap(*engine, 0, 1));
  std::string of_another = bytes;
  CHECK_FALSE(engine->finish_cold_read({0, "k"}, **cold, of_another));
  CHECK(engine->finish_cold_read({1, "k"}, **cold, bytes));
  CHECK(bytes == "of 0");
  CHECK(get(*engine, "k", 0) == "of 1");
}

TEST_CASE("damage is told of under the number that the key's database has") {
  const auto fs = std::make_shared<SimFs>();
  std::vector<std::string> told;
  EngineOptions options = sim_options(fs);
  options.log = [&told](EngineOptions::Severity, std::string_view text) {
    told.emplace_back(text);
  };
  auto engine = must_open(options);
  REQUIRE(set(*engine, "key", "precious", never, 2));
  for (int i = 0; i < 10; ++i) REQUIRE(set(*engine, "k" + std::to_string(i), "filler"));
  REQUIRE(swap(*engine, 2, 11));
  for (auto& [name, inode] : fs->files()) {
    const std::size_t at = inode->now.find("precious");
    if (at != std::string::npos) inode->now[at] ^= 1;
  }
  CHECK(get(*engine, "key", 11).find("\"key\" of database 11") != std::string::npos);
  REQUIRE(engine->request_scrub());
  for (int i = 0; i < 1000 && engine->stats().scrub.passes == 0; ++i) {
    engine->maintain(std::chrono::milliseconds(20));
  }
  const auto names_it = [](const std::string& text) {
    return text.starts_with("scrub: ") && text.find("\"key\" of database 11") != text.npos;
  };
  CHECK(std::any_of(told.begin(), told.end(), names_it));
  engine.reset();

  auto directory = fs->open_directory("/sim");
  REQUIRE(directory);
  const auto report = log::check(**directory);
  REQUIRE(report);
  REQUIRE(report->damages.size() == 1);
  CHECK(report->damages[0].key == "\"key\" of database 11");
  const auto salvaged = log::salvage(*fs, "/sim", **directory, 1'700'000'000'000);
  REQUIRE(salvaged);
  REQUIRE(salvaged->losses.size() == 1);
  CHECK_MESSAGE(salvaged->losses[0].find("\"key\" of database 11") != std::string::npos,
                salvaged->losses[0]);
  engine = must_open(sim_options(fs));
  CHECK(get(*engine, "key", 11) == "(absent)");
  CHECK(engine->swapped() > 0);
}

TEST_CASE("a backup and what is restored from it have the numbers of their moment") {
  const auto fs = std::make_shared<SimFs>();
  auto engine = must_open(sim_options(fs));
  REQUIRE(set(*engine, "k", "of 0", never, 0));
  REQUIRE(swap(*engine, 0, 5));
  REQUIRE(fs->create_directory("/backups"));
  const auto before = contents(*engine);
  REQUIRE(engine->backup({.root = "/backups", .name = "one", .cancelled = {}}));
  REQUIRE(swap(*engine, 5, 6));
  CHECK(get(*engine, "k", 6) == "of 0");
  REQUIRE(log::restore(*fs, "/backups/one", "/restored"));
  EngineOptions options = sim_options(fs);
  options.directory = "/restored";
  const auto restored = must_open(std::move(options));
  CHECK(contents(*restored) == before);
}

TEST_SUITE_END();
