// random_life_test.cc - a long random life of an engine on a directory, against the model.
//
// tests/crash does the same to kvs on a simulated disk, with power cuts; here whatever engine is
// tested is stopped, or dropped as SIGKILL would, and opened again.
#include <random>

#include "tests/support/seed.h"
#include "tests/support/storage_model.h"
#include "tests/unit/storage/storage_test_util.h"

using namespace kvs;
using namespace kvs::test;

namespace {

// The counts say what a scan would count when nothing is past its deadline.
void check_counts(Engine& engine, const Workload& workload) {
  settle(engine);
  std::array<DatabaseStats, databases_count> counted{};
  for (const auto& [key, value] : visible(workload.newest(), workload.now())) {
    ++counted[key.first].keys;
    if (value.expire_at != never) ++counted[key.first].volatiles;
  }
  for (unsigned number = 0; number < databases_count; ++number) {
    const auto stats = engine.database_stats(static_cast<Database>(number));
    CHECK(stats.keys == counted[number].keys);
    CHECK(stats.volatiles == counted[number].volatiles);
  }
}

}  // namespace

TEST_CASE("an engine on a directory agrees with a map through a long random life") {
  const std::uint64_t seed = test_seed("random life on a directory");
  for (std::uint64_t round = 0; round < 2 * effort; ++round) {
    CAPTURE(seed);
    CAPTURE(round);
    std::mt19937_64 random(seed + round);
    const TempDir directory;
    Workload workload(seed + round, {.keys = round % 2 == 0 ? 4U : 40U,
                                     .value_bytes_max = round % 3 == 0 ? 6000U : 60U});
    for (int life = 0; life < 8; ++life) {
      CAPTURE(life);
      auto options = directory_options(directory.path());
      options.segment_bytes = 16 << 10;
      options.clock = [clock = workload.clock()] { return *clock; };
      auto engine = must_open(options);
      REQUIRE(contents(*engine) == visible(workload.newest(), workload.now()));
      for (int i = 0; i < 100; ++i) {
        REQUIRE(workload.step(*engine));
        if (i % 20 == 0) REQUIRE(contents(*engine) == visible(workload.newest(), workload.now()));
      }
      check_counts(*engine, workload);
      if (random() % 2 == 0) REQUIRE(engine->close());
      workload.adopt(workload.newest());
    }
  }
}
