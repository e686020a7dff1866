#include "daemon/commands/arguments.h"

#include <limits>

#include <doctest/doctest.h>

namespace kvs::daemon {

TEST_CASE("integers have one canonical form") {
  CHECK(parse_integer("0") == 0);
  CHECK(parse_integer("-1") == -1);
  CHECK(parse_integer("9223372036854775807") == std::numeric_limits<std::int64_t>::max());
  CHECK(parse_integer("-9223372036854775808") == std::numeric_limits<std::int64_t>::min());
  for (const char* text : {"", "-", "+1", "01", "-0", "-01", " 1", "1 ", "1.0", "0x1", "abc", "1a",
                           "9223372036854775808", "-9223372036854775809", "99999999999999999999"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_integer(text).has_value());
  }
  CHECK_FALSE(parse_integer(std::string_view("1\0", 2)).has_value());
}

TEST_CASE("floats are what strtold reads, whole") {
  CHECK(parse_float("1.5") == 1.5L);
  CHECK(parse_float("0x10") == 16.0L);
  CHECK(parse_float("-inf").has_value());
  for (const char* text : {"", " 1", "1 ", "nan", "abc", "1e5000", "1e-5000", "1.5x"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_float(text).has_value());
  }
  CHECK_FALSE(parse_float(std::string_view("1\0", 2)).has_value());
  CHECK_FALSE(parse_float(std::string(5 * 1024, '1')).has_value());
}

TEST_CASE("floats are written with 17 digits and no zeros at the end") {
  CHECK(format_float(3.0L) == "3");
  CHECK(format_float(10.6L) == "10.6");
  CHECK(format_float(-0.0L) == "0");
  CHECK(format_float(100.0L) == "100");
  CHECK(format_float(1e-17L) == "0.00000000000000001");
  CHECK(format_float(std::numeric_limits<long double>::max()).size() == 4933);
}

TEST_CASE("errors of the engine become redis' error codes") {
  const auto line = [](Code code) {
    std::string out;
    resp::ReplyWriter reply(out, resp::Version::resp2);
    reply_error(reply, Error(code, "why"));
    return out;
  };
  CHECK(line(Code::corrupt) == "-ERR corrupt record: why\r\n");
  CHECK(line(Code::io) == "-ERR why\r\n");
  CHECK(line(Code::no_space) == "-MISCONF Errors writing to the log: why\r\n");
  CHECK(line(Code::read_only) == "-MISCONF Errors writing to the log: why\r\n");
}

TEST_CASE("option words are compared without case") {
  CHECK(is_word("KeepTtl", "KEEPTTL"));
  CHECK_FALSE(is_word("KEEPTTL ", "KEEPTTL"));
  CHECK_FALSE(is_word("", "KEEPTTL"));
}

}  // namespace kvs::daemon
