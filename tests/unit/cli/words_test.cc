// words_test.cc - lines as words; and which of them must not be kept.
#include "cli/words.h"

#include <doctest/doctest.h>

#include "cli/history_file.h"

namespace kvs::cli {

using Words = std::vector<std::string>;

TEST_CASE("a line is split at blanks, quotes keep them, and escapes are redis-cli's") {
  CHECK(split_words("") == Words{});
  CHECK(split_words("  get   a\t b ") == Words{"get", "a", "b"});
  CHECK(split_words(R"(set k "a b\"c\x41\n\\\z")") == Words{"set", "k", "a b\"cA\n\\z"});
  CHECK(split_words(R"(set 'a\'b\n' '')") == Words{"set", R"(a'b\n)", ""});
  CHECK(split_words(R"("\x4")") == Words{"x4"});
}

TEST_CASE("a quote that is open, or that does not end its word, is refused") {
  CHECK(split_words("get \"a") == std::nullopt);
  CHECK(split_words("get 'a") == std::nullopt);
  CHECK(split_words("get \"a\"b") == std::nullopt);
  CHECK(split_words("get \"a\\") == std::nullopt);
}

TEST_CASE("a line that is being typed has the word that has been begun as its last") {
  CHECK(split_typed("") == Words{""});
  CHECK(split_typed("ge") == Words{"ge"});
  CHECK(split_typed("get ") == Words{"get", ""});
  CHECK(split_typed("get \"a b") == Words{"get", "a b"});
}

TEST_CASE("lines with a password are not for the history") {
  for (const Words& words :
       {Words{"AUTH", "x"}, Words{"auth", "u", "x"}, Words{"HELLO", "2", "auth", "u", "x"},
        Words{"ACL", "SETUSER", "u"}, Words{"config", "set", "requirepass", "x"},
        Words{"CONFIG", "SET", "masterauth", "x"},
        Words{"MIGRATE", "h", "1", "k", "0", "1", "AUTH2"}}) {
    CHECK(has_secret(words));
  }
  CHECK_FALSE(has_secret({}));
  CHECK_FALSE(has_secret({"GET", "auth"}));
  CHECK_FALSE(has_secret({"CONFIG", "GET", "maxmemory"}));
}

}  // namespace kvs::cli
