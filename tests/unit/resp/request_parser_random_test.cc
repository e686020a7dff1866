// request_parser_random_test.cc - random requests through random cuts: what was encoded comes out,
// and bytes damaged at random give the same outcome however they are cut.
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "protocol/resp/request_parser.h"
#include "tests/support/request_feed.h"
#include "tests/support/seed.h"

namespace kvs::test {
namespace {

using Random = std::mt19937_64;

std::size_t up_to(Random& random, std::size_t max) {
  return std::uniform_int_distribution<std::size_t>(0, max)(random);
}

std::string random_word(Random& random) {
  std::string word(up_to(random, up_to(random, 9) == 0 ? 300 : 12), '\0');
  for (char& byte : word) byte = static_cast<char>(up_to(random, 255));
  return word;
}

// A word that needs quotes, as redis-cli would print it.
std::string quoted(const std::string& word) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : word) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < ' ' || byte > '~') {
      out += "\\x";
      out += digits[byte >> 4];
      out += digits[byte & 15];
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string encode_inline(const Request& words) {
  std::string out;
  for (const std::string& word : words) out += quoted(word) + ' ';
  return out;
}

struct Session {
  std::string bytes;
  std::vector<Request> requests;
};

Session random_session(Random& random) {
  static const std::string empties[] = {"*0\r\n", "*-1\r\n", "\r\n", "\n", " \r\n"};
  Session session;
  for (std::size_t count = 1 + up_to(random, 5); count > 0; --count) {
    if (up_to(random, 3) == 0) session.bytes += empties[up_to(random, std::size(empties) - 1)];
    Request words(1 + up_to(random, 6));
    for (std::string& word : words) word = random_word(random);
    session.bytes += up_to(random, 2) == 0
                         ? encode_inline(words) + (up_to(random, 1) == 0 ? "\r\n" : "\n")
                         : encode_request(words);
    session.requests.push_back(std::move(words));
  }
  return session;
}

Transcript feed_in_random_chunks(Random& random, std::string_view bytes,
                                 const FeedOptions& options = {}) {
  RequestFeed feed(options);
  const std::size_t chunk_max = 1 + up_to(random, 40);
  while (!bytes.empty()) {
    const std::size_t size = std::min(bytes.size(), up_to(random, chunk_max));
    feed.feed(bytes.substr(0, size));
    bytes.remove_prefix(size);
  }
  return feed.transcript();
}

TEST_CASE("random requests come out as they were encoded, however they are cut") {
  Random random(test_seed("random requests"));
  for (int round = 0; round < 2000; ++round) {
    const Session session = random_session(random);
    const Transcript expected{.requests = session.requests, .error = {}, .unused = 0};
    CAPTURE(round);
    REQUIRE(feed_at_once(session.bytes) == expected);
    REQUIRE(feed_in_random_chunks(random, session.bytes) == expected);
  }
}

TEST_CASE("damaged bytes have one outcome, however they are cut") {
  Random random(test_seed("damaged requests"));
  static constexpr std::string_view meaningful = "*$\r\n0123456789-\"'\\ x";
  // Small limits, so that damage meets them.
  const resp::ParserLimits limits{.inline_bytes_max = 100,
                                  .multibulk_elements_max = 6,
                                  .bulk_bytes_max = 250,
                                  .unauthenticated_elements_max = 3,
                                  .unauthenticated_bulk_bytes_max = 20};
  std::size_t refused = 0;
  for (int round = 0; round < 5000; ++round) {
    std::string bytes = random_session(random).bytes;
    for (std::size_t damages = up_to(random, 3); damages > 0; --damages) {
      bytes[up_to(random, bytes.size() - 1)] = meaningful[up_to(random, meaningful.size() - 1)];
    }
    const FeedOptions options{.limits = limits, .authenticated = up_to(random, 1) == 0};
    const Transcript expected = feed_at_once(bytes, options);
    CAPTURE(round);
    REQUIRE_FALSE(expected.consumed_too_much);
    REQUIRE_FALSE(expected.empty_without_progress);
    // Which bytes are left unused behind an error depends on what had come: not compared.
    const Transcript in_chunks = feed_in_random_chunks(random, bytes, options);
    REQUIRE(in_chunks.requests == expected.requests);
    REQUIRE(in_chunks.error == expected.error);
    if (expected.error.empty()) REQUIRE(in_chunks.unused == expected.unused);
    refused += expected.error.empty() ? 0 : 1;
  }
  CHECK(refused > 1000);
  CHECK(refused < 5000);
}

}  // namespace
}  // namespace kvs::test
