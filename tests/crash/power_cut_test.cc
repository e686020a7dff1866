// power_cut_test.cc - the machine loses power at any call that changes a file (C9, C10, C11, C24).
//
// Everything small, so that rotation and compaction happen all the time: segments of 400 bytes. A
// workload is run once to count its calls, then again for each of them with the power going there,
// and each time several of the states that the disk may be in are opened.
#include <chrono>
#include <memory>
#include <optional>
#include <random>
#include <string>

#include <doctest/doctest.h>

#include "storage/options.h"
#include "tests/support/seed.h"
#include "tests/support/sim_fs.h"
#include "tests/support/storage_model.h"

using namespace kvs;
using namespace kvs::test;

namespace {

constexpr int steps = 60;

EngineOptions options_for(const std::shared_ptr<SimFs>& fs, const Workload& workload) {
  EngineOptions options;
  options.directory = "/sim";
  options.segment_bytes = 400;
  options.compact_dead_percent = 50;  // compaction happens all the time
  options.lasting_value_bytes = 24;   // frames with and without a value of their own
  options.cache_bytes = 0;
  options.fs = fs;
  options.clock = [clock = workload.clock()] { return *clock; };
  return options;
}

// Runs until something fails; true: nothing did.
bool live(Workload& workload, const std::shared_ptr<SimFs>& fs, int steps_max) {
  auto engine = open_engine("", options_for(fs, workload));
  if (!engine) return false;
  for (int i = 0; i < steps_max; ++i) {
    if (!workload.step(**engine)) return false;
  }
  return true;
}

// Opens what the cut has left, compares, lives on a little, and opens it once more.
void check_survivor(const std::shared_ptr<SimFs>& fs, Workload workload, const char* what) {
  {
    auto engine = open_engine("", options_for(fs, workload));
    REQUIRE_MESSAGE(engine, what << ": " << engine.error().message());
    const State found = contents(**engine);
    const bool allowed = workload.allows(found);
    REQUIRE_MESSAGE(allowed, what << ": found " << to_text(found) << " but the oldest allowed is "
                                  << to_text(visible(workload.states().front(), workload.now()))
                                  << " and the newest is "
                                  << to_text(visible(workload.newest(), workload.now())));
    workload.adopt(found);
    CHECK((*engine)->committed() == (*engine)->synced());
    for (int i = 0; i < 12; ++i) REQUIRE(workload.step(**engine));
    (*engine)->request_compaction();
    for (int i = 0; i < 100 && (*engine)->maintain(std::chrono::milliseconds(20)); ++i) {
    }
    REQUIRE(contents(**engine) == visible(workload.newest(), workload.now()));
    REQUIRE((*engine)->close());
  }
  auto again = open_engine("kvs", options_for(fs, workload));
  REQUIRE_MESSAGE(again, what << ": " << again.error().message());
  CHECK((*again)->stats().torn_bytes_cut == 0);
  CHECK(contents(**again) == visible(workload.newest(), workload.now()));
}

void cut_everywhere(std::uint64_t seed, int cuts_per_call) {
  const auto rehearsal = std::make_shared<SimFs>();
  Workload counted(seed, {});
  REQUIRE(live(counted, rehearsal, steps));
  const std::uint64_t calls = rehearsal->calls();
  REQUIRE(calls > 100);

  for (std::uint64_t at = 1; at <= calls; ++at) {
    CAPTURE(at);
    const auto fs = std::make_shared<SimFs>();
    fs->power_off_at = at;
    Workload workload(seed, {});
    live(workload, fs, steps);
    for (int cut = 0; cut < cuts_per_call; ++cut) {
      CAPTURE(cut);
      const auto after = fs->fork();
      using Keep = SimFs::Keep;
      const Keep keep = cut == 0 ? Keep::nothing : cut == 1 ? Keep::everything : Keep::some;
      after->power_cut(keep, seed * 1000 + at * 10 + static_cast<std::uint64_t>(cut));
      check_survivor(after, workload, "after the cut");
    }
  }
}

}  // namespace

TEST_CASE(
    "after a power cut at any call the engine holds a state that was committed, none older "
    "than the last synced one") {
  const std::uint64_t seed = test_seed("power cut at any call");
  for (std::uint64_t round = 0; round < effort; ++round) {
    CAPTURE(seed);
    CAPTURE(round);
    cut_everywhere(seed + round, 6);
  }
}

TEST_CASE("what an open has found survives a power cut at any time after it") {
  const std::uint64_t seed = test_seed("power cut after an open");
  for (std::uint64_t round = 0; round < 30 * effort; ++round) {
    CAPTURE(seed);
    CAPTURE(round);
    std::mt19937_64 random(seed + round);
    auto fs = std::make_shared<SimFs>();
    Workload workload(seed + round, {});
    REQUIRE(live(workload, fs, 10 + static_cast<int>(random() % 40)));
    for (int life = 0; life < 6; ++life) {
      CAPTURE(life);
      // Killed (nothing is lost but nothing is synced either), or cut off.
      fs = fs->fork();
      if (random() % 2 == 0) fs->power_cut(SimFs::Keep::some, random());
      {
        auto engine = open_engine("", options_for(fs, workload));
        REQUIRE_MESSAGE(engine, engine.error().message());
        const State found = contents(**engine);
        REQUIRE(workload.allows(found));
        workload.adopt(found);
        const std::uint64_t steps_now = random() % 8;
        for (std::uint64_t i = 0; i < steps_now; ++i) REQUIRE(workload.step(**engine));
      }
      fs = fs->fork();
      fs->power_cut(random() % 2 == 0 ? SimFs::Keep::nothing : SimFs::Keep::some, random());
      auto engine = open_engine("", options_for(fs, workload));
      REQUIRE_MESSAGE(engine, engine.error().message());
      const State found = contents(**engine);
      REQUIRE_MESSAGE(workload.allows(found),
                      "found " << to_text(found) << " instead of " << to_text(workload.newest()));
      workload.adopt(found);
    }
  }
}

TEST_CASE("a power cut during recovery changes nothing that the next recovery finds") {
  const std::uint64_t seed = test_seed("power cut during recovery");
  for (std::uint64_t round = 0; round < 12 * effort; ++round) {
    CAPTURE(seed);
    CAPTURE(round);
    auto fs = std::make_shared<SimFs>();
    Workload workload(seed + round, {});
    REQUIRE(live(workload, fs, 20 + static_cast<int>(round)));
    fs = fs->fork();
    fs->power_cut(SimFs::Keep::some, seed + round);
    std::optional<State> first;
    for (std::uint64_t at = 1; at < 200; ++at) {
      CAPTURE(at);
      // Ten times at the same call, each time with something else lost.
      for (std::uint64_t cut = 0; cut < 3; ++cut) {
        fs->power_off_at = at;
        auto engine = open_engine("", options_for(fs, workload));
        const bool opened = engine.has_value();
        if (engine) engine->reset();
        const auto after = fs->fork();
        after->power_cut(SimFs::Keep::some, seed + at * 10 + cut);
        auto reopened = open_engine("", options_for(after->fork(), workload));
        REQUIRE_MESSAGE(reopened, reopened.error().message());
        const State found = contents(**reopened);
        REQUIRE(workload.allows(found));
        if (!first) first = found;
        CHECK(found == *first);
        fs = after;
        if (opened && at > fs->calls() + 50) at = 200;
      }
    }
  }
}
