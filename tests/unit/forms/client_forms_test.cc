// client_forms_test.cc - the suite of contract.md 4 through the client library, in every form, on
// one connection and on several of a pool.
#include <memory>
#include <string>

#include <doctest/doctest.h>

#include "tests/unit/forms/client_store.h"
#include "tests/unit/forms/forms.h"
#include "tests/unit/forms/store_suite.h"

using namespace kvs::test;

// The thousand rounds are the engine's (engine_rounds_test.cc).
constexpr SuiteScale scale{.concurrent = 10'000, .rounds = 10, .keys_per_round = 1000};

TEST_CASE_TEMPLATE("a server behaves as a store through the client library", Form, Boxed, Combined,
                   Coroutine, ByHand) {
  for (const std::size_t connections : {std::size_t{1}, std::size_t{4}}) {
    INFO("form ", std::string(Form::name), ", connections ", connections);
    run_store_suite([&] { return std::make_unique<ClientStore<Form>>(connections); }, scale);
  }
}
