// request_parser_cost_test.cc - what parsing may cost: no allocation in the steady state, memory in
// proportion to what arrived, and time in proportion to it too.
//
// This file counts the allocations of the whole test program by replacing operator new.
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <new>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "protocol/resp/request_parser.h"
#include "tests/support/request_feed.h"

namespace {
std::atomic<std::size_t> allocations{0};
}

void* operator new(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  void* const memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace kvs::test {
namespace {

using Status = resp::RequestParser::Status;

// Parses `bytes` to their end; returns the number of requests.
std::size_t parse_all(resp::RequestParser& parser, std::string_view bytes) {
  std::size_t requests = 0;
  while (!bytes.empty()) {
    const auto outcome = parser.parse(bytes);
    if (outcome.status == Status::incomplete || outcome.status == Status::error) break;
    bytes.remove_prefix(outcome.consumed);
    if (outcome.status == Status::complete) ++requests;
  }
  return requests;
}

TEST_CASE("parsing allocates nothing once it has seen requests of this size") {
  const std::string pipeline = encode_request({"SET", "key", std::string(100, 'v')}) +
                               "set \"quoted key\" 'value of some length'\r\n" +
                               encode_request(Request(50, "word"));
  resp::RequestParser parser;
  REQUIRE(parse_all(parser, pipeline) == 3);
  const std::size_t before = allocations;
  std::size_t requests = 0;
  for (int round = 0; round < 100; ++round) requests += parse_all(parser, pipeline);
  CHECK(allocations == before);
  CHECK(requests == 300);
}

// S23
TEST_CASE("announced words and bulks reserve nothing") {
  const std::size_t before = allocations;
  resp::RequestParser parser;
  CHECK(parser.parse("*1000000\r\n").status == Status::incomplete);
  CHECK(parser.parse("*1000000\r\n$536870912\r\nx").status == Status::incomplete);
  CHECK(allocations == before);
  CHECK(parser.memory_bytes() < 64);
}

TEST_CASE("the memory of a large request follows its words as they arrive, and is given back") {
  constexpr std::size_t words = 100'000;
  std::string bytes = "*1000000\r\n";
  for (std::size_t i = 0; i < words; ++i) bytes += "$0\r\n\r\n";
  resp::RequestParser parser;
  REQUIRE(parser.parse(bytes).status == Status::incomplete);
  CHECK(parser.memory_bytes() >= words * 16);
  CHECK(parser.memory_bytes() <= 2 * words * 16);  // a vector doubles

  resp::RequestParser other;
  std::string whole = "*" + std::to_string(words) + bytes.substr(bytes.find('\r'));
  REQUIRE(other.parse(whole).status == Status::complete);
  REQUIRE(other.parse("PING\r\n").status == Status::complete);
  CHECK(other.memory_bytes() < 16 * 1024);
}

// A scan that began anew at each byte would take hours here; the bound leaves room for sanitizers.
TEST_CASE("a request that comes byte by byte into moving buffers takes linear time") {
  constexpr std::size_t words = 200'000;
  std::string bytes = "*" + std::to_string(words) + "\r\n";
  for (std::size_t i = 0; i < words; ++i) bytes += "$1\r\nx\r\n";
  const std::string elsewhere = bytes;

  const auto begin = std::chrono::steady_clock::now();
  resp::RequestParser parser;
  for (std::size_t size = 1; size < bytes.size(); ++size) {
    const std::string& buffer = size % 2 == 0 ? bytes : elsewhere;
    if (parser.parse({buffer.data(), size}).status != Status::incomplete) {
      FAIL("not incomplete at byte ", size);
    }
  }
  REQUIRE(parser.parse(bytes).status == Status::complete);
  CHECK(parser.args().size() == words);
  CHECK(parser.args().back() == "x");
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(10));
}

TEST_CASE("a long line that comes byte by byte takes linear time") {
  const std::string line(64 * 1024, 'a');
  const std::string header = "*" + std::string(64 * 1024 - 1, '1');
  const auto begin = std::chrono::steady_clock::now();
  for (int round = 0; round < 20; ++round) {
    resp::RequestParser inline_parser;
    resp::RequestParser array_parser;
    for (std::size_t size = 1; size <= line.size(); ++size) {
      if (inline_parser.parse({line.data(), size}).status != Status::incomplete) FAIL("line");
      if (array_parser.parse({header.data(), size}).status != Status::incomplete) FAIL("header");
    }
  }
  // 20 * 2 * 64 Ki calls; a scan from the start each time would look at 80 Gi bytes.
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(5));
}

}  // namespace
}  // namespace kvs::test
