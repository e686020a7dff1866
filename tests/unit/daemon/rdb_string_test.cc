// rdb_string_test.cc - DUMP's payloads: what is written reads back, and what means harm is refused.
#include "daemon/rdb_string.h"

#include <random>
#include <string>

#include <doctest/doctest.h>

#include "tests/support/seed.h"
#include "tests/unit/daemon/harness.h"

namespace kvs::daemon::test {

namespace {

using namespace std::string_literals;
using rdb::Problem;

constexpr std::size_t no_limit = std::size_t{512} << 20;

// `body` with a footer that is right: so many harmful payloads come, since anybody can compute one.
// CRC-64/Jones, bit by bit.
std::string sealed(std::string_view body, char version = 10) {
  std::string payload(body);
  payload += {version, '\0'};
  std::uint64_t crc = 0;
  for (const char byte : payload) {
    crc ^= static_cast<std::uint8_t>(byte);
    for (int i = 0; i < 8; ++i) crc = crc & 1 ? crc >> 1 ^ 0x95ac9329ac4bc9b5u : crc >> 1;
  }
  for (int i = 0; i < 8; ++i) payload += static_cast<char>(crc >> (8 * i) & 0xff);
  return payload;
}

std::optional<Problem> problem_of(std::string_view body, std::size_t bytes_max = no_limit) {
  const std::string payload = sealed(body);
  REQUIRE(rdb::is_intact(payload));
  return rdb::load_string(payload, bytes_max).problem;
}

}  // namespace

TEST_CASE("every string reads back from its payload") {
  std::vector<std::string> values = {
      "",      "0",          "-1",         "127",         "128", "-128", "-129",
      "32768", "2147483647", "2147483648", "-2147483648", "007", "1.5"};
  for (const std::size_t bytes : {63, 64, 16'383, 16'384, 100'000}) {
    values.emplace_back(bytes, 'x');
  }
  values.push_back({'\0', '\r', '\n', '\xff'});
  for (const std::string& value : values) {
    const std::string payload = rdb::dump_string(value);
    CHECK(rdb::is_intact(payload));
    const rdb::Loaded loaded = rdb::load_string(payload, no_limit);
    CHECK(!loaded.problem);
    CHECK(loaded.value == value);
  }
}

TEST_CASE("long strings are compressed, as Redis does it") {
  // What redis-server 7.0.15 answers.
  const auto payload = [](std::string_view body) { return "\0"s.append(body); };
  CHECK(rdb::dump_string(std::string(20, 'x')) == sealed(payload("\x14" + std::string(20, 'x'))));
  CHECK(rdb::dump_string(std::string(21, 'x')) == sealed(payload("\xc3\x06\x15\x01xx\xe0\x0a\0"s)));
  std::string many = "\xc3\x40\x78\x67\x10\x01xx"s;
  for (int i = 0; i < 37; ++i) many += "\xe0\xff\0"s;
  many += "\xe0\xdb\0\x01xx"s;
  CHECK(rdb::dump_string(std::string(10'000, 'x')) == sealed(payload(many)));
  const std::string question = "to be, or not to be, that is the question";
  CHECK(rdb::dump_string(question) == sealed(payload(")" + question)));  // it would not save enough

  const std::uint64_t seed = kvs::test::test_seed("compressed strings");
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 2000; ++round) {
    std::string value(random() % 9000, '\0');
    const std::uint64_t letters = 1 + random() % 256;
    for (char& letter : value) letter = static_cast<char>(random() % letters);
    // What comes again may be far behind, or overlap itself.
    if (!value.empty()) value += value.substr(random() % value.size());
    const std::string dumped = rdb::dump_string(value);
    CHECK(dumped.size() <= value.size() + 16);
    const rdb::Loaded loaded = rdb::load_string(dumped, no_limit);
    REQUIRE(!loaded.problem);
    REQUIRE(loaded.value == value);
  }
}

TEST_CASE("one bit that is wrong, or one byte too few, makes a payload invalid") {
  const std::string payload = rdb::dump_string("some value or other");
  for (std::size_t bit = 0; bit < payload.size() * 8; ++bit) {
    std::string wrong = payload;
    wrong[bit / 8] = static_cast<char>(wrong[bit / 8] ^ 1 << bit % 8);
    CHECK_FALSE(rdb::is_intact(wrong));
  }
  for (std::size_t bytes = 0; bytes < payload.size(); ++bytes) {
    CHECK_FALSE(rdb::is_intact(std::string_view(payload).substr(0, bytes)));
  }
}

TEST_CASE("lengths that are not there, and encodings that are none, are bad format") {
  const std::string_view zero("\0", 1);
  const std::string type(zero);
  CHECK(problem_of("") == Problem::bad_format);
  CHECK(problem_of(type) == Problem::bad_format);
  CHECK(problem_of(type + "\x05"
                          "abcd") == Problem::bad_format);
  CHECK(problem_of(type + "\x7f") == Problem::bad_format);
  CHECK(problem_of(type + "\x80\x7f\xff\xff\xff") == Problem::bad_format);
  CHECK(problem_of(type + "\x81\xff\xff\xff\xff\xff\xff\xff\xff") == Problem::bad_format);
  CHECK(problem_of(type + "\x82\x01\x01") == Problem::bad_format);
  CHECK(problem_of(type + "\xc1\x01") == Problem::bad_format);
  CHECK(problem_of(type + "\xc4\x01") == Problem::bad_format);
  CHECK(problem_of("\x08") == Problem::bad_format);
  CHECK(problem_of("\xff") == Problem::bad_format);
  CHECK(problem_of("\x01\x01"
                   "a") == Problem::other_type);
  CHECK(problem_of("\x12") == Problem::other_type);
}

TEST_CASE("compressed strings that lie about themselves are refused, and cost what they hold") {
  const std::string lzf = std::string(1, '\0') + "\xc3";
  // Three bytes that claim to be half a gigabyte.
  CHECK(problem_of(lzf + "\x03" + "\x80\x1f\xff\xff\xff" + "\xe0\xff\x01") == Problem::bad_format);
  // More than may be stored is refused before it is made.
  CHECK(problem_of(lzf + "\x03" + "\x80\x1f\xff\xff\xff" + "\xe0\xff\x01", 1000) ==
        Problem::too_long);
  CHECK(problem_of(lzf + "\x81\xff\xff\xff\xff\xff\xff\xff\xff" + "\x05") == Problem::bad_format);
  // Back to before the beginning, and beyond the end.
  CHECK(problem_of(lzf + "\x02\x03" + std::string("\x20\0", 2)) == Problem::bad_format);
  CHECK(problem_of(lzf + "\x04\x03" + std::string("\0a\x20\0", 4)) == Problem::bad_format);
  CHECK(problem_of(lzf + "\x02\x05" +
                   std::string("\x05"
                               "a",
                               2)) == Problem::bad_format);
  // "a" and three more of it, as it should be.
  const std::string payload = sealed(lzf + "\x04\x04" + std::string("\0a\x20\0", 4));
  CHECK(rdb::load_string(payload, no_limit).value == "aaaa");
}

TEST_CASE("no payload with a right checksum makes more than an error") {
  std::mt19937_64 random(kvs::test::test_seed("rdb_string_test"));
  for (int round = 0; round < 20'000; ++round) {
    std::string body(1, random() % 4 == 0 ? static_cast<char>(random() % 256) : '\0');
    if (random() % 2 == 0) body += '\xc3';
    const std::size_t bytes = random() % 30;
    for (std::size_t i = 0; i < bytes; ++i) body += static_cast<char>(random() % 256);
    const rdb::Loaded loaded = rdb::load_string(sealed(body), 1 << 16);
    CHECK((loaded.problem.has_value() || loaded.value.size() <= 1 << 16));
  }
}

TEST_CASE("payloads of versions up to 12 are intact, of later ones they are not") {
  const std::string body("\0\x01v", 3);
  CHECK(rdb::is_intact(sealed(body, 1)));
  CHECK(rdb::is_intact(sealed(body, 12)));
  CHECK_FALSE(rdb::is_intact(sealed(body, 13)));
}

TEST_CASE("nothing is restored that could not be SET") {
  TestServer server;
  TestClient client(server);
  CHECK(client("CONFIG SET proto-max-bulk-len 1mb") == "+OK");
  const std::string large = rdb::dump_string(std::string((1 << 20) + 1, 'x'));
  CHECK(client.raw({"RESTORE", "large", "0", large}) ==
        "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n");
  CHECK(client("EXISTS large") == ":0");
}

}  // namespace kvs::daemon::test
