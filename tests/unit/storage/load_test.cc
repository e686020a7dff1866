// load_test.cc - loading on several threads, how it tells how far it is, and how it is stopped.
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <stop_token>
#include <string>
#include <vector>

#include "tests/support/seed.h"
#include "tests/support/storage_model.h"
#include "tests/unit/storage/storage_test_util.h"

using namespace kvs;
using namespace kvs::test;

namespace {

const std::string filler(60, 'f');

// The names and bytes of everything there.
std::map<std::string, std::string> snapshot(SimFs& fs) {
  std::map<std::string, std::string> files;
  for (const auto& [name, inode] : fs.files()) files[name] = inode->now;
  return files;
}

EngineOptions options_for(const std::shared_ptr<SimFs>& fs, const Workload& workload) {
  EngineOptions options = sim_options(fs);
  options.clock = [clock = workload.clock()] { return *clock; };
  return options;
}

}  // namespace

TEST_CASE("any number of threads finds what one finds, with any of the hints") {
  const std::uint64_t seed = test_seed("parallel recovery");
  for (std::uint64_t round = 0; round < 40 * effort; ++round) {
    CAPTURE(seed);
    CAPTURE(round);
    std::mt19937_64 random(seed + round);
    const auto fs = std::make_shared<SimFs>();
    Workload workload(seed + round, {.keys = 30, .databases = 4});
    {
      auto engine = must_open(options_for(fs, workload));
      for (std::uint64_t i = 0; i < 40 + random() % 160; ++i) REQUIRE(workload.step(*engine));
      if (random() % 4 == 0) REQUIRE(engine->close());
    }
    const State expected = visible(workload.newest(), workload.now());
    std::optional<EngineStats> first;
    std::vector<std::uint64_t> keys;  // per database, and those with deadlines
    for (const unsigned threads : {1U, 2U, 4U, 7U}) {
      CAPTURE(threads);
      const auto copy = fs->fork();
      std::vector<std::string> hints;
      for (const auto& [name, inode] : copy->files()) {
        if (name.ends_with(".hint")) hints.push_back(name);
      }
      for (const std::string& name : hints) {
        const auto fate = random() % 4;
        if (fate == 0) copy->files().erase(name);
        if (fate == 1) copy->files().at(name)->now.append("x");
      }
      auto options = options_for(copy, workload);
      options.recovery_threads = threads;
      auto engine = must_open(options);
      REQUIRE(contents(*engine) == expected);
      const EngineStats stats = engine->stats();
      if (!first) first = stats;
      CHECK(stats.live_bytes == first->live_bytes);
      CHECK(stats.dead_bytes == first->dead_bytes);
      CHECK(stats.recovered_records == first->recovered_records);
      CHECK(stats.torn_bytes_cut == first->torn_bytes_cut);
      std::vector<std::uint64_t> now;
      for (unsigned i = 0; i < databases_count; ++i) {
        const DatabaseStats figures = engine->database_stats(static_cast<Database>(i));
        now.insert(now.end(), {figures.keys, figures.volatiles});
      }
      if (threads == 1) keys = now;
      CHECK(now == keys);
    }
  }
}

TEST_CASE("a segment without a hint may have more records than a scan gathers before the index") {
  constexpr int sessions = 40;
  constexpr int keys_per_session = 10'000;
  const auto fs = std::make_shared<SimFs>();
  EngineOptions options = sim_options(fs, std::uint64_t{6} << 20);
  {
    auto engine = must_open(options);
    for (int session = 0; session < sessions; ++session) {
      auto writes = engine->begin();
      REQUIRE(writes);
      for (int i = 0; i < keys_per_session; ++i) {
        const std::string key = std::to_string(session * keys_per_session / 2 + i);
        (*writes)->put({0, key}, session % 2 == 0 ? "a" : "b", never);
      }
      REQUIRE((*writes)->commit());
    }
    REQUIRE(engine->stats().segments >= 2);  // the first one is full
  }
  for (const unsigned threads : {1U, 3U}) {
    options.fs = fs->fork();
    options.recovery_threads = threads;
    auto engine = must_open(options);
    CHECK(engine->stats().hints_used == 0);
    CHECK(engine->database_stats(0).keys == (sessions + 1) * keys_per_session / 2);
    std::string value;
    for (int session = 0; session < sessions; ++session) {
      const std::string key = std::to_string(session * keys_per_session / 2);
      REQUIRE(engine->get({0, key}, Access::may_block, value));
      CHECK(value == (session % 2 == 0 ? "a" : "b"));
    }
  }
}

TEST_CASE("ten recoveries that are cut short change nothing that the eleventh finds") {
  const std::uint64_t seed = test_seed("interrupted recoveries");
  for (std::uint64_t round = 0; round < 10 * effort; ++round) {
    CAPTURE(seed);
    CAPTURE(round);
    auto fs = std::make_shared<SimFs>();
    Workload workload(seed + round, {});
    {
      auto engine = must_open(options_for(fs, workload));
      for (int i = 0; i < 60; ++i) REQUIRE(workload.step(*engine));
    }
    fs = fs->fork();
    fs->power_cut(SimFs::Keep::some, seed + round);
    std::optional<State> found;
    for (std::uint64_t crash = 1; crash <= 11; ++crash) {
      CAPTURE(crash);
      auto options = options_for(fs, workload);
      options.recovery_threads = 1 + static_cast<unsigned>(crash % 3);
      if (crash <= 10) fs->power_off_at = fs->calls() + crash;
      auto engine = open_engine("", options);
      // Hints are being made when the power goes.
      if (engine) settle(**engine);
      if (engine) engine->reset();
      fs = fs->fork();
      fs->power_cut(SimFs::Keep::some, seed + crash);
      auto looked = must_open(options_for(fs->fork(), workload));
      const State now = contents(*looked);
      REQUIRE(workload.allows(now));
      if (!found) found = now;
      REQUIRE(now == *found);
    }
  }
}

TEST_CASE("loading tells how far it is") {
  const auto fs = std::make_shared<SimFs>();
  {
    auto engine = must_open(sim_options(fs));
    for (int i = 0; i < 50; ++i) REQUIRE(set(*engine, "k" + std::to_string(i), filler));
    settle(*engine);
  }
  auto options = sim_options(fs);
  options.recovery_threads = 3;
  std::mutex mutex;
  std::vector<LoadProgress> told;
  options.on_load_progress = [&](const LoadProgress& progress) {
    std::scoped_lock lock(mutex);
    told.push_back(progress);
  };
  auto engine = must_open(options);
  REQUIRE_FALSE(told.empty());
  CHECK(told.back().bytes_total > 50 * 60);
  CHECK(told.back().bytes_done == told.back().bytes_total);
  CHECK(told.back().keys == 50);
  for (const LoadProgress& progress : told) CHECK(progress.bytes_done <= progress.bytes_total);
}

TEST_CASE("loading that is stopped has changed nothing") {
  const auto fs = std::make_shared<SimFs>();
  {
    auto engine = must_open(sim_options(fs));
    for (int i = 0; i < 50; ++i) REQUIRE(set(*engine, "k" + std::to_string(i), filler));
    settle(*engine);
  }
  // The next open would have something to repair.
  fs->files()["MANIFEST.tmp"] = std::make_shared<SimFs::Inode>();
  const auto before = snapshot(*fs);
  for (const unsigned threads : {1U, 3U}) {
    std::stop_source stop;
    auto options = sim_options(fs);
    options.recovery_threads = threads;
    options.stop_loading = stop.get_token();
    // From the first report on, that is in the middle.
    options.on_load_progress = [&stop](const LoadProgress&) { stop.request_stop(); };
    auto engine = prepare_engine("", options);
    REQUIRE(engine);
    CHECK(!(*engine)->begin());
    auto loaded = (*engine)->load();
    REQUIRE_FALSE(loaded);
    CHECK(loaded.error().code() == Code::cancelled);
    engine->reset();
    CHECK(snapshot(*fs) == before);
  }
  CHECK(contents(*must_open(sim_options(fs))).size() == 50);
}
