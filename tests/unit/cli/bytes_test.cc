// bytes_test.cc - bytes as text: UTF-8, base64, JSON, and in quotes.
#include "cli/bytes.h"

#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include <doctest/doctest.h>

#include "tests/support/seed.h"

namespace kvs::cli {

TEST_CASE("what is UTF-8 and what is not, at every border of RFC 3629") {
  for (const std::string text :
       {"", "a", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
        "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "gr\xc3\xbc\xc3\x9f"}) {
    CAPTURE(in_quotes(text));
    CHECK(is_utf8(text));
  }
  CHECK(is_utf8(std::string("\0", 1)));
  for (const std::string text :
       {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xe2\x82",
        "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "ok\xc2"}) {
    CAPTURE(in_quotes(text));
    CHECK_FALSE(is_utf8(text));
  }
}

TEST_CASE("base64 as in RFC 4648") {
  CHECK(to_base64("") == "");
  CHECK(to_base64("f") == "Zg==");
  CHECK(to_base64("fo") == "Zm8=");
  CHECK(to_base64("foobar") == "Zm9vYmFy");
  CHECK(to_base64("\xff\xff\xfe") == "///+");
  CHECK(from_base64("Zm9vYmE=") == "fooba");
  for (const std::string text :
       {"Z", "Zg", "Zg=", "Zh==", "Zm9=", "====", "Zg==Zg==", "Z===", "Zm 9", "Zm9v\n"}) {
    CAPTURE(text);
    CHECK(from_base64(text) == std::nullopt);
  }
}

TEST_CASE("any bytes come back from base64 and from JSON") {
  std::mt19937_64 random(test::test_seed("bytes_test"));
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 40, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random() % (round % 2 == 0 ? 256 : 128));
    CHECK(from_base64(to_base64(bytes)) == bytes);
    CHECK(from_json(Json::parse(to_line(to_json(std::string_view(bytes))))) == bytes);
  }
}

TEST_CASE("JSON that is no bytes is refused") {
  for (const char* const text : {"1", "null", "[]", "{}", R"({"base64": 1})", R"({"base64": "?"})",
                                 R"({"base64": "", "more": 1})", R"({"text": "a"})"}) {
    CAPTURE(text);
    CHECK(from_json(Json::parse(text)) == std::nullopt);
  }
}

TEST_CASE("in quotes nothing reaches a terminal that it would obey") {
  CHECK(in_quotes("a\"b\\\n\r\t\a\b") == R"("a\"b\\\n\r\t\a\b")");
  CHECK(in_quotes("\x1b[2J\x7f\x80") == R"("\x1b[2J\x7f\x80")");
  CHECK(in_quotes("gr\xc3\xbc") == "\"gr\xc3\xbc\"");
  // C1 controls, which are UTF-8 and begin escape sequences all the same.
  CHECK(in_quotes("\xc2\x9b") == R"("\xc2\x9b")");
}

}  // namespace kvs::cli
