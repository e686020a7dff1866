// reply_writer_test.cc - every reply in both protocols, byte by byte as Redis 7 writes it.
#include "protocol/resp/reply_writer.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <string>

#include <doctest/doctest.h>

#include "tests/support/seed.h"

using namespace std::string_literals;

namespace kvs::resp {
namespace {

template <class Write>
std::string written(Version version, Write write) {
  std::string out = "before";
  ReplyWriter writer(out, version);
  write(writer);
  REQUIRE(out.starts_with("before"));
  return out.substr(6);
}

template <class Write>
void check_both(Write write, const std::string& resp2, const std::string& resp3) {
  CHECK(written(Version::resp2, write) == resp2);
  CHECK(written(Version::resp3, write) == resp3);
}

template <class Write>
void check_same(Write write, const std::string& bytes) {
  check_both(write, bytes, bytes);
}

std::string number_text(double value) {
  const std::string line = written(Version::resp3, [&](ReplyWriter& w) { w.number(value); });
  REQUIRE(line.starts_with(","));
  REQUIRE(line.ends_with("\r\n"));
  const std::string text = line.substr(1, line.size() - 3);
  CHECK(written(Version::resp2, [&](ReplyWriter& w) { w.number(value); }) ==
        "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n");
  return text;
}

TEST_CASE("the writer says which protocol it writes") {
  std::string out;
  CHECK(ReplyWriter(out, Version::resp2).version() == Version::resp2);
  CHECK(ReplyWriter(out, Version::resp3).version() == Version::resp3);
}

TEST_CASE("replies that both protocols share") {
  check_same([](ReplyWriter& w) { w.ok(); }, "+OK\r\n");
  check_same([](ReplyWriter& w) { w.simple("PONG"); }, "+PONG\r\n");
  check_same([](ReplyWriter& w) { w.simple(""); }, "+\r\n");
  check_same([](ReplyWriter& w) { w.integer(0); }, ":0\r\n");
  check_same([](ReplyWriter& w) { w.integer(9); }, ":9\r\n");
  check_same([](ReplyWriter& w) { w.integer(10); }, ":10\r\n");
  check_same([](ReplyWriter& w) { w.integer(-1); }, ":-1\r\n");
  check_same([](ReplyWriter& w) { w.integer(std::numeric_limits<std::int64_t>::max()); },
             ":9223372036854775807\r\n");
  check_same([](ReplyWriter& w) { w.integer(std::numeric_limits<std::int64_t>::min()); },
             ":-9223372036854775808\r\n");
  check_same([](ReplyWriter& w) { w.bulk(""); }, "$0\r\n\r\n");
  check_same([](ReplyWriter& w) { w.bulk("a\r\nb\0c"s); }, "$6\r\na\r\nb\0c\r\n"s);
  check_same([](ReplyWriter& w) { w.bulk(std::string(12345, 'x')); },
             "$12345\r\n" + std::string(12345, 'x') + "\r\n");
  check_same([](ReplyWriter& w) { w.array(0); }, "*0\r\n");
  check_same([](ReplyWriter& w) { w.array(3); }, "*3\r\n");
  check_same([](ReplyWriter& w) { w.array(1000000); }, "*1000000\r\n");
}

TEST_CASE("a long value becomes the reply in its own memory, if that has room and comes first") {
  for (const bool has_room : {false, true}) {
    for (const std::string& before : {""s, "+OK\r\n"s}) {
      CAPTURE(has_room);
      CAPTURE(before);
      std::string value(1'000'000, 'x');
      if (has_room) value.reserve(value.size() + 64);
      const char* const memory = value.data();
      const bool fits = value.capacity() >= value.size() + 12;
      std::string out = before;
      ReplyWriter writer(out, Version::resp2);
      writer.bulk(std::move(value));
      writer.ok();
      const bool right =
          out == before + "$1000000\r\n" + std::string(1'000'000, 'x') + "\r\n+OK\r\n";
      CHECK(right);
      CHECK((out.data() == memory) == (fits && before.empty()));
    }
  }
}

TEST_CASE("replies that RESP3 has types for") {
  check_both([](ReplyWriter& w) { w.null(); }, "$-1\r\n", "_\r\n");
  check_both([](ReplyWriter& w) { w.null_array(); }, "*-1\r\n", "_\r\n");
  check_both([](ReplyWriter& w) { w.boolean(true); }, ":1\r\n", "#t\r\n");
  check_both([](ReplyWriter& w) { w.boolean(false); }, ":0\r\n", "#f\r\n");
  check_both([](ReplyWriter& w) { w.map(7); }, "*14\r\n", "%7\r\n");
  check_both([](ReplyWriter& w) { w.map(0); }, "*0\r\n", "%0\r\n");
  check_both([](ReplyWriter& w) { w.set(2); }, "*2\r\n", "~2\r\n");
  check_both([](ReplyWriter& w) { w.push(3); }, "*3\r\n", ">3\r\n");
  check_both([](ReplyWriter& w) { w.verbatim("some text"); }, "$9\r\nsome text\r\n",
             "=13\r\ntxt:some text\r\n");
  check_both([](ReplyWriter& w) { w.verbatim(""); }, "$0\r\n\r\n", "=4\r\ntxt:\r\n");
}

// S13: what a client sent comes back inside error texts.
TEST_CASE("an error stays one line whatever is in it") {
  check_same([](ReplyWriter& w) { w.error("ERR no such thing"); }, "-ERR no such thing\r\n");
  check_same([](ReplyWriter& w) { w.error("ERR unknown command 'a\r\n+OK\r\nbc'"); },
             "-ERR unknown command 'a  +OK  bc'\r\n");
  check_same([](ReplyWriter& w) { w.error("ERR \n\r\xff\0x"s); }, "-ERR   \xff\0x\r\n"s);
}

TEST_CASE("an error cleans only itself") {
  check_same(
      [](ReplyWriter& w) {
        w.bulk("a\r\nb");
        w.error("ERR x\ny");
        w.bulk("c\r\nd");
      },
      "$4\r\na\r\nb\r\n-ERR x y\r\n$4\r\nc\r\nd\r\n");
}

TEST_CASE("numbers are written as Redis writes them") {
  CHECK(number_text(0) == "0");
  CHECK(number_text(-0.0) == "-0");
  CHECK(number_text(3) == "3");
  CHECK(number_text(-3) == "-3");
  CHECK(number_text(10) == "10");
  CHECK(number_text(0.1) == "0.1");
  CHECK(number_text(-0.1) == "-0.1");
  CHECK(number_text(3.25) == "3.25");
  CHECK(number_text(1234.5678) == "1234.5678");
  CHECK(number_text(0.1 + 0.2) == "0.30000000000000004");
  CHECK(number_text(0.001) == "0.001");
  CHECK(number_text(0.00012) == "0.00012");
  CHECK(number_text(0.000001) == "0.000001");
  CHECK(number_text(1e-7) == "1e-7");
  CHECK(number_text(100000) == "100000");
  CHECK(number_text(10000000) == "10000000");
  CHECK(number_text(1e8) == "1e+8");
  CHECK(number_text(1234567890123) == "1234567890123");
  CHECK(number_text(9007199254740993.0) == "9007199254740992");
  CHECK(number_text(1e20) == "1e+20");
  CHECK(number_text(1.5e300) == "1.5e+300");
  CHECK(number_text(-2.5e-300) == "-2.5e-300");
  CHECK(number_text(std::numeric_limits<double>::max()) == "1.7976931348623157e+308");
  CHECK(number_text(std::numeric_limits<double>::denorm_min()) == "5e-324");
  CHECK(number_text(std::numeric_limits<double>::infinity()) == "inf");
  CHECK(number_text(-std::numeric_limits<double>::infinity()) == "-inf");
  CHECK(number_text(std::numeric_limits<double>::quiet_NaN()) == "nan");
  CHECK(number_text(-std::numeric_limits<double>::quiet_NaN()) == "nan");
}

TEST_CASE("every number reads back as itself") {
  std::mt19937_64 random(test::test_seed("numbers read back"));
  for (int round = 0; round < 20000; ++round) {
    double value = 0;
    const std::uint64_t bits = random();
    if (round % 2 == 0) {
      std::memcpy(&value, &bits, sizeof value);
      if (!std::isfinite(value)) continue;
    } else {
      value = static_cast<double>(static_cast<std::int64_t>(bits >> (bits % 60))) / 1000;
    }
    const std::string text = number_text(value);
    CAPTURE(text);
    REQUIRE(text.size() < 32);
    REQUIRE(std::strtod(text.c_str(), nullptr) == value);
  }
}

}  // namespace
}  // namespace kvs::resp
