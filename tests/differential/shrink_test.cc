// shrink_test.cc - what finds the smallest failing script, and the script generator, on their own.
#include "tests/differential/shrink.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include <doctest/doctest.h>

#include "tests/differential/grammar.h"
#include "tests/differential/pair.h"

using namespace kvs::test;

TEST_CASE("a failing sequence is reduced to the items that it takes") {
  std::vector<int> items(1000);
  std::iota(items.begin(), items.end(), 0);
  const auto fails = [](const std::vector<int>& part) {
    return std::count(part.begin(), part.end(), 17) == 1 &&
           std::count(part.begin(), part.end(), 901) == 1;
  };
  CHECK(shrink(items, fails, std::chrono::seconds(10)) == std::vector<int>{17, 901});
}

TEST_CASE("one seed gives one script, another gives another") {
  const auto all = [](std::string_view) { return true; };
  const auto text = [&](std::uint64_t seed) {
    std::string out;
    for (const Step& step : random_script(seed, 500, all)) out += shown(step) + "\n";
    return out;
  };
  CHECK(text(1) == text(1));
  CHECK(text(1) != text(2));
}

TEST_CASE("every command of the table is asked for, and in a wrong form now and then") {
  const Script script = random_script(7, 100'000, [](std::string_view) { return true; });
  for (const std::string& name : commands_of_grammar()) {
    CAPTURE(name);
    CHECK(std::any_of(script.begin(), script.end(),
                      [&](const Step& step) { return name_of(step.words).starts_with(name); }));
  }
}

TEST_CASE("replies that differ are told apart, and the clock is allowed to go on") {
  CHECK_FALSE(compare_replies({"GET", "k"}, "$1\r\na\r\n", "$1\r\na\r\n"));
  CHECK(compare_replies({"GET", "k"}, "$1\r\na\r\n", "$1\r\nb\r\n"));
  CHECK(compare_replies({"GET", "k"}, "$-1\r\n", "_\r\n"));
  CHECK_FALSE(compare_replies({"pttl", "k"}, ":5000\r\n", ":4990\r\n"));
  CHECK(compare_replies({"PTTL", "k"}, ":50000\r\n", ":4990\r\n"));
  CHECK(compare_replies({"PTTL", "k"}, ":-1\r\n", ":5\r\n"));
  CHECK_FALSE(compare_replies({"KEYS", "*"}, "*2\r\n+a\r\n+b\r\n", "*2\r\n+b\r\n+a\r\n"));
  CHECK(compare_replies({"KEYS", "*"}, "*2\r\n+a\r\n+b\r\n", "*2\r\n+b\r\n+b\r\n"));
  CHECK(compare_replies({"TIME"}, "*2\r\n+a\r\n+b\r\n", "-ERR no\r\n"));
}
