// model_test.cc - long random lives with kills, clean stops and power cuts, against the model.
#include <chrono>
#include <memory>

#include <doctest/doctest.h>

#include "storage/options.h"
#include "tests/support/seed.h"
#include "tests/support/sim_fs.h"
#include "tests/support/storage_model.h"

using namespace kvs;
using namespace kvs::test;

namespace {

EngineOptions options_for(const std::shared_ptr<SimFs>& fs, const Workload& workload,
                          std::uint64_t cache_bytes) {
  EngineOptions options;
  options.directory = "/sim";
  options.segment_bytes = 400;
  options.compact_dead_percent = 50;  // compaction happens all the time
  options.cache_bytes = cache_bytes;
  options.fs = fs;
  options.clock = [clock = workload.clock()] { return *clock; };
  return options;
}

}  // namespace

TEST_CASE("an engine of 400-byte segments agrees with a map through a long random life") {
  const std::uint64_t seed = test_seed("long random life");
  for (std::uint64_t round = 0; round < 6 * effort; ++round) {
    CAPTURE(seed);
    CAPTURE(round);
    std::mt19937_64 random(seed + round);
    auto fs = std::make_shared<SimFs>();
    WorkloadOptions shape;
    shape.keys = round % 3 == 0 ? 3 : 12;
    shape.clears = round % 4 != 0;
    shape.deadlines = round % 2 == 0;
    shape.value_bytes_max = round % 5 == 0 ? 600 : 60;
    Workload workload(seed + round, shape);
    const std::uint64_t cache_bytes = round % 2 == 0 ? 0 : 4096;
    for (int life = 0; life < 12; ++life) {
      CAPTURE(life);
      auto engine = open_engine("", options_for(fs, workload, cache_bytes));
      REQUIRE_MESSAGE(engine, engine.error().message());
      const State found = contents(**engine);
      REQUIRE_MESSAGE(workload.allows(found), "found " << to_text(found));
      workload.adopt(found);
      for (int i = 0; i < 60; ++i) {
        REQUIRE(workload.step(**engine));
        if (i % 10 == 0) {
          REQUIRE(contents(**engine) == visible(workload.newest(), workload.now()));
        }
      }
      // Figures are exact when nobody is writing.
      const EngineStats stats = (*engine)->stats();
      CHECK(stats.corrupt_reads == 0);
      CHECK(stats.live_bytes + stats.dead_bytes <= stats.disk_bytes);
      switch (random() % 3) {
        case 0:  // stop
          REQUIRE((*engine)->close());
          workload.adopt(workload.newest());
          engine->reset();
          break;
        case 1:  // SIGKILL: nothing that reached the kernel is lost
          engine->reset();
          workload.adopt(workload.newest());
          break;
        default:  // power cut
          engine->reset();
          fs = fs->fork();
          fs->power_cut(SimFs::Keep::some, random());
      }
    }
  }
}
