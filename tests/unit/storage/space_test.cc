// space_test.cc - the bound on space under load, and what steers compaction (figure 12's small
// form).
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/seed.h"
#include "tests/support/storage_model.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/storage/storage_test_util.h"

using namespace kvs;
using namespace kvs::test;
using namespace std::chrono_literals;

namespace {

// Draws keys 0 to n - 1 with the given skew (0: uniform), the frequent ones scattered.
class Keys {
 public:
  Keys(unsigned count, double skew, std::uint64_t seed) : random_(seed), scattered_(count) {
    double sum = 0;
    for (unsigned i = 0; i < count; ++i) {
      scattered_[i] = i;
      sum += 1 / std::pow(i + 1, skew);
      upto_.push_back(sum);
    }
    std::shuffle(scattered_.begin(), scattered_.end(), random_);
  }

  std::string next() {
    std::uniform_real_distribution<double> pick(0, upto_.back());
    const auto at = std::lower_bound(upto_.begin(), upto_.end(), pick(random_)) - upto_.begin();
    return "key" + std::to_string(scattered_[static_cast<std::size_t>(at)]);
  }

 private:
  std::mt19937_64 random_;
  std::vector<double> upto_;
  std::vector<unsigned> scattered_;
};

struct Amplification {
  double write = 0;
  double space_max = 0;
};

// Overwrites `keys` values four times over, with as much maintenance as the engine asks for.
Amplification overwrite(unsigned space_percent, double skew, std::uint64_t seed) {
  constexpr unsigned keys = 10'000;
  const auto fs = std::make_shared<SimFs>();
  EngineOptions options = sim_options(fs, 100'000);
  options.compact_dead_percent = 90;
  options.space_amplification_percent = space_percent;
  auto engine = must_open(options);
  const std::string value(1000, 'v');
  for (unsigned i = 0; i < keys;) {
    auto session = engine->begin();
    REQUIRE(session);
    for (int n = 0; n < 16; ++n, ++i) {
      (*session)->put({0, "key" + std::to_string(i)}, value, never);
    }
    REQUIRE((*session)->commit());
  }
  const EngineStats before = engine->stats();
  Keys draw(keys, skew, seed);
  Amplification result;
  for (unsigned i = 0; i < 4 * keys;) {
    auto session = engine->begin();
    REQUIRE(session);
    for (int n = 0; n < 16; ++n, ++i) (*session)->put({0, draw.next()}, value, never);
    REQUIRE((*session)->commit());
    session->reset();
    // As the daemon does: back to back while there is more.
    for (int n = 0; n < 40 && engine->maintain(0us); ++n) {
    }
    if (i % 256 != 0) continue;
    const EngineStats now = engine->stats();
    result.space_max =
        std::max(result.space_max, static_cast<double>(now.disk_bytes - now.hint_bytes) /
                                       static_cast<double>(now.live_bytes));
  }
  const EngineStats after = engine->stats();
  const auto written = static_cast<double>(after.written_bytes - before.written_bytes);
  const auto copied = static_cast<double>(after.compacted_bytes - before.compacted_bytes);
  result.write = (written + copied) / written;
  CHECK(engine->database_stats(0).keys == keys);
  return result;
}

}  // namespace

TEST_CASE("uniform overwrites stay within the bound on space at the computed cost") {
  const std::uint64_t seed = test_seed("uniform overwrites");
  const Amplification found = overwrite(142, 0, seed);
  MESSAGE("write amplification " << found.write << ", space at most " << found.space_max);
  CHECK(found.space_max <= 1.42);
  CHECK(found.write <= 2.1);
  CHECK(found.write >= 1.3);  // or nothing was compacted, and space cannot have been right
}

TEST_CASE("skewed overwrites cost less than uniform ones at the same bound") {
  const std::uint64_t seed = test_seed("skewed overwrites");
  const Amplification found = overwrite(142, 0.99, seed);
  MESSAGE("write amplification " << found.write << ", space at most " << found.space_max);
  CHECK(found.space_max <= 1.42);
  CHECK(found.write <= 1.95);
}

TEST_CASE("writers are slowed when compaction cannot keep up, and the bound is held") {
  const TempDir directory;
  auto options = directory_options(directory.path());
  options.segment_bytes = 256 << 10;
  options.cache_bytes = 0;
  options.compact_rate_limit_bytes = 4 << 20;  // far below what the writer could do
  auto engine = must_open(options);
  std::atomic<bool> done = false;
  std::thread maintenance([&] {
    while (!done) {
      if (!engine->maintain(1ms)) std::this_thread::sleep_for(1ms);
      std::this_thread::sleep_for(engine->maintenance_rest());
    }
  });
  const std::string value(1000, 'v');
  std::mt19937_64 random(1);
  std::uint64_t excess_max = 0;
  const auto until = std::chrono::steady_clock::now() + 2s;
  std::uint64_t written = 0;
  // Two thirds of a segment live in each: every byte given back costs two.
  for (int i = 0; i < 4000; ++i) REQUIRE(set(*engine, "k" + std::to_string(i), value));
  while (std::chrono::steady_clock::now() < until) {
    REQUIRE(set(*engine, "k" + std::to_string(random() % 4000), value));
    if (++written % 64 != 0) continue;
    const EngineStats stats = engine->stats();
    const std::uint64_t disk_bytes = stats.disk_bytes - stats.hint_bytes;
    excess_max = std::max(excess_max, disk_bytes - std::min(disk_bytes, stats.space_allowed_bytes));
  }
  done = true;
  maintenance.join();
  const EngineStats stats = engine->stats();
  MESSAGE("wrote " << written << " values, " << stats.writer_delays
                   << " delays, beyond the bound by " << excess_max << " bytes at most");
  CHECK(stats.writer_delays > 0);
  CHECK(stats.writer_delay_us > 10'000);
  // A busy machine lets the writer run ahead for a moment.
  CHECK(excess_max <= 8 * options.segment_bytes);
  CHECK(stats.compacted_bytes > 0);
}

TEST_CASE("a paused compaction does nothing, slows nobody, and goes on where it was") {
  const auto fs = std::make_shared<SimFs>();
  auto options = sim_options(fs);
  options.space_amplification_percent = 150;
  auto engine = must_open(options);
  const std::string value(60, 'v');
  engine->pause_compaction();
  engine->request_compaction();
  for (int i = 0; i < 200; ++i) REQUIRE(set(*engine, "k" + std::to_string(i % 5), value));
  settle(*engine);
  EngineStats stats = engine->stats();
  CHECK(stats.compaction_paused);
  CHECK(stats.compactions == 0);
  CHECK(stats.compaction_debt_bytes > 0);
  CHECK(stats.writer_delays == 0);
  const std::uint64_t full = stats.disk_bytes;
  engine->resume_compaction();
  engine->maintain(0us);
  engine->pause_compaction();
  settle(*engine);
  for (int i = 0; i < 5; ++i) CHECK(get(*engine, "k" + std::to_string(i)) == value);
  engine->resume_compaction();
  settle(*engine);
  stats = engine->stats();
  CHECK_FALSE(stats.compaction_paused);
  CHECK(stats.disk_bytes < full / 3);
  CHECK(stats.compaction_debt_bytes == 0);
  for (int i = 0; i < 5; ++i) CHECK(get(*engine, "k" + std::to_string(i)) == value);
}

TEST_CASE("a rate limit holds for a compaction that was asked for") {
  const TempDir directory;
  auto options = directory_options(directory.path());
  options.segment_bytes = 128 << 10;
  auto engine = must_open(options);
  const std::string value(1000, 'v');
  for (int i = 0; i < 2000; ++i) REQUIRE(set(*engine, "k" + std::to_string(i), value));
  for (int i = 0; i < 2000; i += 50) REQUIRE(remove(*engine, "k" + std::to_string(i)));
  engine->limit_compaction(1 << 20);
  engine->request_compaction();
  const auto start = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() < start + 700ms) {
    engine->maintain(1ms);
    CHECK(engine->maintenance_rest() <= 10ms);
    std::this_thread::sleep_for(1ms);
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const auto copied = static_cast<double>(engine->stats().compacted_bytes);
  CHECK(copied > 200'000);
  CHECK(copied < seconds * (1 << 20) + 300'000);  // one frame ahead
  CHECK(engine->stats().compaction_rate_limit_bytes == 1 << 20);
  engine->limit_compaction(0);
  settle(*engine);
  CHECK(engine->stats().dead_bytes == 0);
}

TEST_CASE("tombstones behind old segments go, whoever holds them back") {
  const auto fs = std::make_shared<SimFs>();
  auto options = sim_options(fs, 4096);
  options.compact_dead_percent = 100;
  options.space_amplification_percent = 150;
  auto engine = must_open(options);
  const std::string value(100, 'v');
  // Segments that stay nearly live for ever, each with one dead record of a removed key.
  for (int i = 0; i < 1000; ++i) REQUIRE(set(*engine, "old" + std::to_string(i), value));
  for (int i = 0; i < 1000; i += 30) REQUIRE(remove(*engine, "old" + std::to_string(i)));
  // Short lives: what they leave is mostly tombstones.
  for (int i = 0; i < 20'000; ++i) {
    const std::string key = "a rather long name for a session, number " + std::to_string(i);
    REQUIRE(set(*engine, key, "1"));
    REQUIRE(remove(*engine, key));
    if (i % 20 == 0) settle(*engine);
  }
  settle(*engine);
  const EngineStats stats = engine->stats();
  MESSAGE(stats.tombstone_bytes << " bytes of tombstones on a disk of " << stats.disk_bytes);
  CHECK(stats.tombstone_bytes <= std::max<std::uint64_t>(4096, stats.disk_bytes / 8) + 4096);
  CHECK(engine->database_stats(0).keys == 1000 - 34);
  engine.reset();
  engine = must_open(options);
  CHECK(engine->database_stats(0).keys == 1000 - 34);
  CHECK(get(*engine, "old30") == "(absent)");
  CHECK(get(*engine, "old31") == value);
}
