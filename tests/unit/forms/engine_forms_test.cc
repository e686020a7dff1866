// engine_forms_test.cc - the suite of contract.md 4 on every form, pool and engine.
#include <memory>
#include <string>

#include <doctest/doctest.h>

#include "tests/support/pools.h"
#include "tests/unit/forms/engine_store.h"
#include "tests/unit/forms/forms.h"
#include "tests/unit/forms/store_suite.h"

using kvs::Reads;
using namespace kvs::test;

// Rounds that end within the budget of a matrix; engine_rounds_test.cc has the thousand.
constexpr SuiteScale scale{.concurrent = 10'000, .rounds = 20, .keys_per_round = 1000};

TEST_CASE_TEMPLATE("a store behaves the same on every pool and engine", Form, Boxed, Combined,
                   Coroutine, ByHand) {
  for (const std::string& engine : all_engines()) {
    for (const PoolKind& kind : pool_kinds) {
      for (const Reads reads : {Reads::memory_first, Reads::pool_only}) {
        // One pool is enough to see that both kinds of reads agree.
        if (reads == Reads::pool_only && kind.name != "shared_queue") continue;
        INFO("form ", std::string(Form::name), ", pool ", std::string(kind.name), ", engine ",
             engine);
        run_store_suite([&] { return std::make_unique<EngineStore<Form>>(engine, kind, reads); },
                        scale);
      }
    }
  }
}
