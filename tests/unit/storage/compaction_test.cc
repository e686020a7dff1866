// compaction_test.cc - what compaction keeps, drops and gives back (C11, C12, C13).
#include <string>
#include <vector>

#include "tests/support/storage_model.h"
#include "tests/unit/storage/storage_test_util.h"

using namespace kvs;
using namespace kvs::test;

namespace {

const std::string filler(60, 'f');

}  // namespace

TEST_CASE("a removed key stays removed whichever of its segments are compacted") {
  const auto fs = std::make_shared<SimFs>();
  auto engine = must_open(sim_options(fs));
  // The oldest segment holds k and mostly live neighbours, so that it is no victim.
  for (int i = 0; i < 2; ++i) REQUIRE(set(*engine, "old" + std::to_string(i), filler));
  REQUIRE(set(*engine, "k", "1"));
  for (int i = 0; i < 3; ++i) REQUIRE(set(*engine, "old" + std::to_string(i + 2), filler));
  // The tombstone among records that die.
  for (int i = 0; i < 4; ++i) REQUIRE(set(*engine, "churn" + std::to_string(i), filler));
  REQUIRE(remove(*engine, "k"));
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < 4; ++i) REQUIRE(set(*engine, "churn" + std::to_string(i), filler));
    settle(*engine);
  }
  CHECK(engine->stats().compactions > 0);
  for (int i = 0; i < 3; ++i) {
    CHECK(get(*engine, "k") == "(absent)");
    CHECK(engine->database_stats(0).keys == 9);
    engine.reset();
    engine = must_open(sim_options(fs));
    settle(*engine);
  }
}

TEST_CASE("a requested compaction gives back everything that is dead") {
  const auto fs = std::make_shared<SimFs>();
  auto engine = must_open(sim_options(fs, 4096));
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 20; ++i) REQUIRE(set(*engine, "k" + std::to_string(i), filler));
  }
  for (int i = 10; i < 20; ++i) REQUIRE(remove(*engine, "k" + std::to_string(i)));
  const auto before = contents(*engine);
  compact(*engine);
  const EngineStats stats = engine->stats();
  CHECK(stats.dead_bytes == 0);
  CHECK(stats.live_bytes < 10 * 100);
  CHECK(stats.disk_bytes < 4096 + 4096 + 2000);
  CHECK_FALSE(stats.compaction_running);
  CHECK(contents(*engine) == before);
  // With nothing dead there is nothing to do.
  const std::uint64_t compactions = stats.compactions;
  compact(*engine);
  settle(*engine);
  CHECK(engine->stats().compactions == compactions);
  engine.reset();
  engine = must_open(sim_options(fs, 4096));
  CHECK(contents(*engine) == before);
  CHECK(engine->stats().dead_bytes == 0);
}

TEST_CASE("a log of which everything is dead shrinks to nothing, and positions go on") {
  const auto fs = std::make_shared<SimFs>();
  Position last = 0;
  {
    auto engine = must_open(sim_options(fs));
    for (int i = 0; i < 50; ++i) REQUIRE(set(*engine, "k" + std::to_string(i), filler));
    for (int i = 0; i < 50; ++i) REQUIRE(remove(*engine, "k" + std::to_string(i)));
    compact(*engine);
    const EngineStats stats = engine->stats();
    CHECK(stats.live_bytes == 0);
    CHECK(stats.dead_bytes == 0);
    CHECK(stats.segments <= 2);
    last = engine->committed();
  }
  for (int i = 0; i < 3; ++i) {
    auto engine = must_open(sim_options(fs));
    CHECK(engine->committed() == last);
    auto position = set(*engine, "again", "1");
    REQUIRE(position);
    CHECK(*position == last + 1);
    REQUIRE(remove(*engine, "again"));
    last += 2;
    compact(*engine);
    if (i == 1) REQUIRE(engine->close());
  }
}

TEST_CASE("an emptied database stays empty through compactions, and its space comes back") {
  const auto fs = std::make_shared<SimFs>();
  auto engine = must_open(sim_options(fs));
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 20; ++i) REQUIRE(set(*engine, "k" + std::to_string(i), filler));
    REQUIRE(set(*engine, "other", "stays", never, 1));
    REQUIRE(clear(*engine));
    REQUIRE(set(*engine, "after", std::to_string(round)));
    compact(*engine);
    CHECK(engine->database_stats(0).keys == 1);
    CHECK(engine->stats().dead_bytes == 0);
    CHECK(engine->stats().segments <= 4);
    engine.reset();
    engine = must_open(sim_options(fs));
    CHECK(engine->database_stats(0).keys == 1);
    CHECK(get(*engine, "after") == std::to_string(round));
    CHECK(get(*engine, "other", 1) == "stays");
  }
}

TEST_CASE("compaction comes to an end, whatever the segments hold") {
  const auto fs = std::make_shared<SimFs>();
  auto engine = must_open(sim_options(fs));
  for (int i = 0; i < 30; ++i) REQUIRE(set(*engine, std::to_string(i), ""));
  for (int i = 0; i < 30; ++i) REQUIRE(clear(*engine, static_cast<Database>(i % 16)));
  for (int i = 0; i < 40; ++i) REQUIRE(set(*engine, std::to_string(i), "", 5));
  for (int i = 0; i < 40; i += 2) REQUIRE(remove(*engine, std::to_string(i)));
  bool more = true;
  for (int i = 0; i < 200 && more; ++i) more = engine->maintain(std::chrono::milliseconds(5));
  CHECK_FALSE(more);
  const std::uint64_t compactions = engine->stats().compactions;
  for (int i = 0; i < 20; ++i) engine->maintain(std::chrono::milliseconds(5));
  CHECK(engine->stats().compactions == compactions);
  for (int i = 0; i < 5; ++i) compact(*engine);
  CHECK_FALSE(engine->maintain(std::chrono::milliseconds(5)));
}

TEST_CASE("a compaction that is interrupted by a stop leaves nothing behind") {
  const auto fs = std::make_shared<SimFs>();
  State state;
  for (int slices = 0; slices < 40; ++slices) {
    CAPTURE(slices);
    auto engine = must_open(sim_options(fs));
    for (int i = 0; i < 30; ++i) REQUIRE(set(*engine, "k" + std::to_string(i % 7), filler));
    engine->request_compaction();
    for (int i = 0; i < slices; ++i) engine->maintain(std::chrono::microseconds(0));
    state = contents(*engine);
    REQUIRE(engine->close());
    engine.reset();
    std::size_t files = 0;
    for (const auto& [name, inode] : fs->files()) files += name.ends_with(".log") ? 1 : 0;
    engine = must_open(sim_options(fs));
    CHECK(engine->stats().segments <= files);
    CHECK(files <= engine->stats().segments + 1);
    CHECK(contents(*engine) == state);
  }
}

TEST_CASE("a victim that cannot be read is left alone, and the rest goes on") {
  const auto fs = std::make_shared<SimFs>();
  auto options = sim_options(fs);
  std::vector<std::string> lines;
  options.log = [&](EngineOptions::Severity severity, std::string_view line) {
    if (severity == EngineOptions::Severity::error) lines.emplace_back(line);
  };
  auto engine = must_open(options);
  for (int i = 0; i < 10; ++i) REQUIRE(set(*engine, "k" + std::to_string(i), filler));
  fs->files().at("0000000000000001.log")->now[100] ^= 1;
  for (int i = 0; i < 10; ++i) REQUIRE(set(*engine, "k" + std::to_string(i), filler));
  settle(*engine);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].find("compaction failed: corrupt segment 0000000000000001.log") !=
        std::string::npos);
  for (int i = 0; i < 10; ++i) CHECK(get(*engine, "k" + std::to_string(i)) == filler);
  REQUIRE(set(*engine, "still", "writable"));
}
