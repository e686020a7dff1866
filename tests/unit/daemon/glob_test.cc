#include "daemon/glob.h"

#include <chrono>
#include <cstdlib>
#include <random>
#include <string>

#include <doctest/doctest.h>

namespace kvs::daemon {

namespace {

// The definition, as a recursion: what the matcher must agree with, but for the empty text. For
// patterns of * ? and letters.
bool matches_by_definition(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern.front() == '*') {
    for (std::size_t skipped = 0; skipped <= text.size(); ++skipped) {
      if (matches_by_definition(pattern.substr(1), text.substr(skipped))) return true;
    }
    return false;
  }
  if (text.empty() || (pattern.front() != '?' && pattern.front() != text.front())) return false;
  return matches_by_definition(pattern.substr(1), text.substr(1));
}

}  // namespace

TEST_CASE("patterns match as redis matches them") {
  CHECK_FALSE(glob_matches("*", ""));
  CHECK_FALSE(glob_matches("**", ""));
  CHECK(glob_matches("", ""));
  CHECK(glob_matches("a**", "a"));
  CHECK_FALSE(glob_matches("", "a"));
  CHECK(glob_matches("h?llo", "hello"));
  CHECK_FALSE(glob_matches("h?llo", "hllo"));
  CHECK(glob_matches("h*llo", "heeeello"));
  CHECK(glob_matches("h[ae]llo", "hallo"));
  CHECK_FALSE(glob_matches("h[ae]llo", "hillo"));
  CHECK(glob_matches("h[^e]llo", "hallo"));
  CHECK_FALSE(glob_matches("h[^e]llo", "hello"));
  CHECK(glob_matches("h[a-c]llo", "hbllo"));
  CHECK(glob_matches("h[c-a]llo", "hbllo"));
  CHECK(glob_matches("\\*", "*"));
  CHECK_FALSE(glob_matches("\\*", "a"));
  CHECK(glob_matches("[\\]]", "]"));
  CHECK(glob_matches("a\\", "a\\"));
  CHECK(glob_matches("a[", "a[") == false);
  CHECK(glob_matches("[ab", "a"));
  CHECK(glob_matches("*a*b*", "xxaxxbxx"));
  CHECK_FALSE(glob_matches("*a*b", "xxaxxbxx"));
  CHECK(glob_matches(std::string_view("\0*", 2), std::string_view("\0\r\n", 3)));
}

TEST_CASE("case is ignored only when asked") {
  CHECK_FALSE(glob_matches("ABC*", "abcd"));
  CHECK(glob_matches("ABC*", "abcd", Case::ignored));
  CHECK(glob_matches("[A-C]", "b", Case::ignored));
}

TEST_CASE("patterns of stars, question marks and letters match by definition") {
  const char* const given = std::getenv("KVS_SEED");
  const std::uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const auto word = [&random](std::string_view letters, std::size_t size_max) {
    std::string text(random() % (size_max + 1), ' ');
    for (char& c : text) c = letters[random() % letters.size()];
    return text;
  };
  for (int i = 0; i < 20000; ++i) {
    const std::string pattern = word("ab*?", 8);
    const std::string text = word("ab", 8);
    CAPTURE(pattern);
    CAPTURE(text);
    const bool expected = text.empty() ? pattern.empty() : matches_by_definition(pattern, text);
    REQUIRE(glob_matches(pattern, text) == expected);
  }
}

TEST_CASE("hostile patterns take bounded time and no stack") {
  const auto begin = std::chrono::steady_clock::now();
  std::string stars;
  for (int i = 0; i < 64; ++i) stars += "a*";
  stars += 'b';
  CHECK_FALSE(glob_matches(stars, std::string(1000, 'a')));
  CHECK_FALSE(glob_matches(std::string(1 << 20, '*') + "b", std::string(1000, 'a')));
  CHECK(glob_matches(std::string(1 << 20, '*'), "x"));
  CHECK_FALSE(glob_matches("[" + std::string(1 << 20, 'x'), "a"));
  std::string many;
  while (many.size() < (1 << 20)) many += "*a";
  CHECK_FALSE(glob_matches(many, std::string(1000, 'a') + "b"));
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(5));
}

}  // namespace kvs::daemon
