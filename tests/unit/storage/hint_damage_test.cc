// hint_damage_test.cc - whatever is wrong with a hint, the state after an open is the same (C7).
//
// Exhaustive on a small directory: a hint of a log segment and one of a compacted segment are cut
// at every byte, have every bit flipped, are replaced by those of others, older and newer ones.
// Each time the engine must hold the same keys and values, count the same bytes as live, say that
// it did not believe the hint, and make it anew, byte for byte.
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "storage/log/hint.h"
#include "storage/log/segment.h"
#include "tests/support/seed.h"
#include "tests/support/storage_model.h"
#include "tests/unit/storage/storage_test_util.h"

using namespace kvs;
using namespace kvs::test;

namespace {

const std::string filler(60, 'f');

bool is_compacted(const std::string& segment) {
  const auto parsed = log::parse_segment_header(segment);
  REQUIRE(parsed.fault == nullptr);
  return parsed.header.kind == log::SegmentKind::compacted;
}

// A directory after a crash, with hints of both kinds; every value names its key.
struct Sample {
  std::shared_ptr<SimFs> fs = std::make_shared<SimFs>();
  State state;
  EngineStats stats;
  std::string of_log;        // name of a hint of a log segment
  std::string of_compacted;  // and of a compacted one

  Sample() {
    {
      auto engine = must_open(sim_options(fs));
      for (int i = 0; i < 16; ++i) REQUIRE(put(*engine, i));
      for (int i = 0; i < 16; i += 3) REQUIRE(remove(*engine, "k" + std::to_string(i)));
      REQUIRE(set(*engine, "other", "value of other", never, 3));
      compact(*engine);
      for (int i = 4; i < 30; ++i) REQUIRE(put(*engine, i));
      REQUIRE(clear(*engine, 3));
      REQUIRE(set(*engine, "later", "value of later", 1'900'000'000'000, 3));
      for (int i = 30; i < 40; ++i) REQUIRE(put(*engine, i));
      settle(*engine);
    }
    auto engine = must_open(sim_options(fs->fork()));
    state = contents(*engine);
    stats = engine->stats();
    REQUIRE(stats.hints_bad == 0);
    for (const auto& [name, inode] : fs->files()) {
      if (!name.ends_with(".hint")) continue;
      const std::string segment = name.substr(0, name.size() - 5) + ".log";
      // MANIFEST may not know yet that the last ones are sealed; their hints are not looked at.
      auto probe = fs->fork();
      probe->files().at(name)->now.clear();
      if (must_open(sim_options(probe))->stats().hints_bad == 0) continue;
      std::string& chosen = is_compacted(fs->files().at(segment)->now) ? of_compacted : of_log;
      if (chosen.empty()) chosen = name;
    }
    REQUIRE_FALSE(of_log.empty());
    REQUIRE_FALSE(of_compacted.empty());
  }

  static bool put(Engine& engine, int i) {
    const std::string key = "k" + std::to_string(i);
    return set(engine, key, filler + key).has_value();
  }
};

// Opens a copy whose hint `name` is replaced, or removed.
void check_with(const Sample& sample, const std::string& name,
                const std::optional<std::string>& bytes) {
  const auto fs = sample.fs->fork();
  const std::string good = fs->files().at(name)->now;
  if (bytes) {
    fs->files().at(name)->now = *bytes;
  } else {
    fs->files().erase(name);
  }
  auto engine = must_open(sim_options(fs));
  const EngineStats stats = engine->stats();
  REQUIRE(stats.hints_bad == (bytes ? 1 : 0));
  REQUIRE(stats.hints_used == sample.stats.hints_used - 1);
  REQUIRE(stats.live_bytes == sample.stats.live_bytes);
  REQUIRE(stats.dead_bytes == sample.stats.dead_bytes);
  REQUIRE(stats.recovered_records == sample.stats.recovered_records);
  REQUIRE(contents(*engine) == sample.state);
  // A segment that compaction takes does not need its hint any more.
  settle(*engine);
  const auto made = fs->files().find(name);
  const bool segment_there = fs->files().count(name.substr(0, name.size() - 5) + ".log") == 1;
  if (segment_there) {
    REQUIRE(made != fs->files().end());
    REQUIRE(made->second->now == good);
  } else {
    REQUIRE(made == fs->files().end());
  }
}

}  // namespace

TEST_CASE("a hint that is missing, empty or cut at any byte changes nothing") {
  const Sample sample;
  for (const std::string& name : {sample.of_log, sample.of_compacted}) {
    CAPTURE(name);
    check_with(sample, name, std::nullopt);
    const std::string good = sample.fs->files().at(name)->now;
    for (std::size_t size = 0; size < good.size(); ++size) {
      CAPTURE(size);
      check_with(sample, name, good.substr(0, size));
    }
    check_with(sample, name, good + '\0');
    check_with(sample, name, good + good);
  }
}

TEST_CASE("a hint with any bit flipped changes nothing") {
  const Sample sample;
  for (const std::string& name : {sample.of_log, sample.of_compacted}) {
    CAPTURE(name);
    const std::string good = sample.fs->files().at(name)->now;
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
      CAPTURE(bit);
      std::string flipped = good;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
      check_with(sample, name, flipped);
    }
  }
}

TEST_CASE("a hint of another segment, or of another life of this one, changes nothing") {
  const Sample sample;
  const Sample other;  // the same calls: names, lengths and LSNs are equal, the salts are not
  for (const std::string& name : {sample.of_log, sample.of_compacted}) {
    CAPTURE(name);
    for (const auto& [theirs, inode] : sample.fs->files()) {
      if (!theirs.ends_with(".hint") || theirs == name) continue;
      CAPTURE(theirs);
      check_with(sample, name, inode->now);
    }
    REQUIRE(other.fs->files().count(name) == 1);
    check_with(sample, name, other.fs->files().at(name)->now);
    check_with(sample, name, std::string(300, '\0'));
    check_with(sample, name, std::string(300, '\xff'));
    check_with(sample, name, sample.fs->files().at(name.substr(0, name.size() - 5) + ".log")->now);
  }
}

TEST_CASE("all hints bad at once change nothing") {
  const Sample sample;
  const std::uint64_t seed = test_seed("all hints bad");
  std::mt19937_64 random(seed);
  for (int round = 0; round < 100; ++round) {
    CAPTURE(seed);
    CAPTURE(round);
    const auto fs = sample.fs->fork();
    for (auto& [name, inode] : fs->files()) {
      if (!name.ends_with(".hint") || inode->now.empty()) continue;
      std::string& bytes = inode->now;
      if (random() % 4 == 0) bytes.resize(random() % bytes.size());
      if (!bytes.empty()) bytes[random() % bytes.size()] ^= static_cast<char>(1 + random() % 255);
    }
    auto options = sim_options(fs);
    options.recovery_threads = 1 + static_cast<unsigned>(random() % 3);
    auto engine = must_open(options);
    CHECK(engine->stats().hints_used == 0);
    CHECK(engine->stats().live_bytes == sample.stats.live_bytes);
    REQUIRE(contents(*engine) == sample.state);
  }
}

// What a hint keeps from being read at open is checked when it is read.
TEST_CASE("a bit flipped in a segment that has a hint never becomes a wrong value") {
  const Sample sample;
  for (const std::string& hint : {sample.of_log, sample.of_compacted}) {
    const std::string name = hint.substr(0, hint.size() - 5) + ".log";
    CAPTURE(name);
    const std::size_t bits = sample.fs->files().at(name)->now.size() * 8;
    std::size_t refused = 0;
    std::size_t found_at_read = 0;
    for (std::size_t bit = 0; bit < bits; ++bit) {
      CAPTURE(bit);
      const auto fs = sample.fs->fork();
      std::string& bytes = fs->files().at(name)->now;
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ 1 << bit % 8);
      auto engine = open_engine("", sim_options(fs));
      if (!engine) {
        REQUIRE(engine.error().code() == Code::corrupt);
        ++refused;
        continue;
      }
      for (const auto& [key, expected] : sample.state) {
        std::string value;
        const auto found = (*engine)->get({key.first, key.second}, Access::may_block, value);
        if (found) {
          REQUIRE(*found);
          REQUIRE(value == expected.value);
        } else {
          REQUIRE(found.error().code() == Code::corrupt);
          ++found_at_read;
        }
      }
    }
    // Header and seal at open, records when they are read.
    CHECK(refused > 0);
    CHECK(found_at_read > 0);
  }
}
