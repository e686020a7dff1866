// hyperloglog_test.cc - HyperLogLogs: the bytes that Redis has, and bytes that mean harm.
#include "daemon/hyperloglog.h"

#include <cmath>
#include <random>
#include <string>

#include <doctest/doctest.h>

#include "daemon/commands/value_condition.h"
#include "tests/support/seed.h"
#include "tests/unit/daemon/harness.h"

namespace kvs::daemon::test {

namespace {

std::string with_elements(int count) {
  std::string value = HyperLogLog::empty();
  HyperLogLog log(value);
  for (int i = 0; i < count; ++i) {
    REQUIRE(log.add("element:" + std::to_string(i)) != HyperLogLog::Change::corrupt);
  }
  log.forget_count();
  return value;
}

}  // namespace

TEST_CASE("elements make the bytes, and the count, that they make in redis") {
  // Of `PFADD h element:0 element:1 ...` in redis-server 7.0.15: digest of GET h, PFCOUNT h.
  struct Golden {
    int elements;
    std::size_t bytes;
    std::string_view digest;
    std::uint64_t count;
  };
  for (const Golden& golden : {
           Golden{1, 21, "384509d82e838532", 1},
           Golden{100, 285, "bbd26fbba82bfe6f", 99},
           Golden{700, 1401, "d362c87b05294352", 703},
           Golden{900, 1736, "12b0edfa3bd7d320", 897},
           Golden{1000, 1897, "1bf87987b1147db4", 997},
           Golden{1500, 2722, "0eef19b0872cb9b6", 1500},
           Golden{5000, 12304, "827e4e00771020a1", 5005},
           Golden{100000, 12304, "277d234d1d6bd8eb", 100039},
       }) {
    std::string value = with_elements(golden.elements);
    CHECK(value.size() == golden.bytes);
    CHECK(value_digest(value) == golden.digest);
    CHECK(HyperLogLog(value).count() == golden.count);
  }
}

TEST_CASE("a run that is cut off at the end is split as redis splits it") {
  // As SETRANGE can make it: 16,128 zeros, and half of a long run. Of redis-server 7.0.15.
  std::string value = HyperLogLog::empty().substr(0, 16) + "\x7e\xff\x5d";
  CHECK(HyperLogLog(value).add("element:59") == HyperLogLog::Change::changed);
  CHECK(value.substr(16) == "\x7e\xff\x40\xb1\x84\x5c");
}

TEST_CASE("the count is within two percent of the truth, however many there are") {
  for (const int elements : {10, 1000, 20'000, 300'000}) {
    std::string value = with_elements(elements);
    const auto count = HyperLogLog(value).count();
    REQUIRE(count.has_value());
    CHECK(std::abs(static_cast<double>(*count) - elements) <= 0.02 * elements);
  }
}

TEST_CASE("what was merged has counted what both have, sparse or dense") {
  std::string first = with_elements(500);
  std::string second = with_elements(900);
  HyperLogLog dense(first);
  REQUIRE(dense.make_dense());
  HyperLogLog::Registers registers{};
  REQUIRE(dense.merge_into(registers));
  REQUIRE(HyperLogLog(second).merge_into(registers));
  CHECK(count_of(registers) == HyperLogLog(second).count());
}

TEST_CASE("a count that was kept is believed until something is added") {
  std::string value = with_elements(3);
  HyperLogLog log(value);
  CHECK(log.cached_count() == std::nullopt);
  log.remember_count(12345);
  CHECK(log.cached_count() == 12345);
  log.forget_count();
  CHECK(log.cached_count() == std::nullopt);
}

TEST_CASE("no bytes that a client may have stored make more than an error") {
  std::mt19937_64 random(kvs::test::test_seed("hyperloglog_test"));
  const auto byte = [&random] { return static_cast<char>(random() & 0xff); };
  for (int round = 0; round < 20'000; ++round) {
    std::string value = HyperLogLog::empty().substr(0, 16);
    if (random() % 8 == 0) {
      value = with_elements(2000);  // dense
      for (int i = 0; i < 3000; ++i) value[16 + random() % (value.size() - 16)] = byte();
    } else {
      const std::size_t runs = random() % 40;
      for (std::size_t i = 0; i < runs; ++i) value += byte();
      // Long runs of zeros, which add up to about as many registers as there are.
      if (random() % 2 == 0) value += {static_cast<char>(0x7f), byte()};
    }
    if (!HyperLogLog::looks_valid(value)) continue;
    HyperLogLog::Registers registers{};
    const bool complete = HyperLogLog(value).merge_into(registers);
    if (!complete) CHECK(HyperLogLog(value).count() == std::nullopt);
    for (int i = 0; i < 20; ++i) HyperLogLog(value).add(std::to_string(random()));
    HyperLogLog(value).raise(random() % HyperLogLog::registers_count,
                             static_cast<std::uint8_t>(1 + random() % 63));
    if (HyperLogLog(value).make_dense()) CHECK(HyperLogLog::looks_valid(value));
  }
}

TEST_CASE("counting keeps the count in the value, but not where nothing can be written") {
  TestServer server;
  TestClient client(server);
  CHECK(client("PFADD h a b c") == ":1");
  CHECK(client("MULTI") == "+OK");
  CHECK(client("PFCOUNT h") == "+QUEUED");
  CHECK(client("GET h") == "+QUEUED");
  const std::string both = client("EXEC");
  CHECK(both.starts_with("*2 :3 $27 HYLL\x01<00><00><00>\x03<00>"));
  CHECK(client("WATCH h") == "+OK");
  CHECK(client("PFCOUNT h") == ":3");  // nothing to keep this time: WATCH sees no change
  CHECK(client("MULTI") == "+OK");
  CHECK(client("PING") == "+QUEUED");
  CHECK(client("EXEC") == "*1 +PONG");
}

}  // namespace kvs::daemon::test
