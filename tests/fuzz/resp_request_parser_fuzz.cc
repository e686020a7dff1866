// resp_request_parser_fuzz.cc - any bytes, cut in any way, give the same requests and the same
// error.
//
// The first four bytes of the input choose limits and cuts, the rest is what a client sends. Limits
// are small in most runs, so that inputs of a few hundred bytes meet every one of them.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string_view>

#include "tests/support/request_feed.h"

namespace {

using kvs::test::FeedOptions;
using kvs::test::RequestFeed;
using kvs::test::Transcript;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

// Where an error came, the bytes behind it may have arrived or not; else everything must agree.
void require_same(const Transcript& cut_up, const Transcript& expected, const char* what) {
  require(cut_up.requests == expected.requests, what);
  require(cut_up.error == expected.error, what);
  require(!expected.error.empty() || cut_up.unused == expected.unused, what);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t choices = 4;
  if (size < choices) return 0;
  FeedOptions options;
  options.authenticated = (data[0] & 1) == 0;
  if ((data[0] & 2) == 0) {
    options.limits = {.inline_bytes_max = 32u + data[1],
                      .multibulk_elements_max = 8,
                      .bulk_bytes_max = 64,
                      .unauthenticated_elements_max = 3,
                      .unauthenticated_bulk_bytes_max = 16};
  }
  const std::string_view bytes(reinterpret_cast<const char*>(data) + choices, size - choices);

  const Transcript expected = kvs::test::feed_at_once(bytes, options);
  require(!expected.consumed_too_much, "consumes what is there");
  require(!expected.empty_without_progress, "an empty request has bytes");
  require(expected.error.find_first_of("\r\n") == std::string::npos, "an error is one line");
  for (const auto& request : expected.requests) require(!request.empty(), "a request has words");

  std::minstd_rand random(data[2] * 256u + data[3]);
  const std::size_t chunk_max = 1 + data[3] % 64;
  RequestFeed feed(options);
  for (std::string_view rest = bytes; !rest.empty();) {
    const std::size_t chunk = std::min<std::size_t>(rest.size(), 1 + random() % chunk_max);
    feed.feed(rest.substr(0, chunk));
    rest.remove_prefix(chunk);
  }
  require_same(feed.transcript(), expected, "random cuts change nothing");
  if (bytes.size() <= 512) {
    require_same(kvs::test::feed_byte_by_byte(bytes, options), expected, "one byte at a time");
  }

  // What was understood, sent again in the canonical form, is understood as the same.
  std::string canonical;
  for (const auto& request : expected.requests) canonical += kvs::test::encode_request(request);
  FeedOptions open;
  require(kvs::test::feed_at_once(canonical, open).requests == expected.requests, "round trip");
  return 0;
}
