// command_fuzz.cc - any requests of three connections, run by the real executor on the real engine
// over a simulated disk: each is answered by one whole reply, and nothing else happens to the
// server.
//
// The first byte of the input chooses protocols and password, the rest is what clients send, in the
// array form or as lines. A request that is one word, @0, @1 or @2, says who sends what follows.
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/operations.h"
#include "storage/options.h"
#include "tests/support/request_feed.h"
#include "tests/support/sim_fs.h"
#include "tests/support/socket.h"
#include "tests/unit/daemon/harness.h"

namespace {

using namespace kvs;
using namespace kvs::daemon::test;

constexpr std::size_t requests_max = 200;

void require(bool holds, const char* what, std::string_view reply = {}) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n%s\n", what, shown(reply).c_str());
  std::abort();
}

std::unique_ptr<Engine> engine_in_memory() {
  EngineOptions options;
  options.directory = "/sim";
  options.segment_bytes = 4096;
  options.cache_bytes = 1024;
  options.fs = std::make_shared<kvs::test::SimFs>();
  auto engine = open_engine("kvs", std::move(options));
  require(engine.has_value(), "an engine opens on an empty disk");
  return std::move(*engine);
}

std::size_t replies_in(std::string_view output) {
  std::size_t count = 0;
  while (!output.empty()) {
    const auto size = kvs::test::reply_size(output);
    require(size.has_value(), "the output is whole replies", output);
    output.remove_prefix(*size);
    ++count;
  }
  return count;
}

// A connection's replies may be switched off, and a (un)subscription is confirmed name by name.
void check(std::string_view output, const kvs::test::Request& words, bool always_one) {
  std::size_t count = 0;
  try {
    count = replies_in(output);
  } catch (const kvs::test::SocketError& error) {
    require(false, error.what(), output);
  }
  if (always_one) require(count == 1, ("one reply to " + words[0]).c_str(), output);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  daemon::Config config;
  config.proto_max_bulk_len = 1 << 16;
  if ((data[0] & 4) != 0) config.requirepass = "secret";
  const auto sent = kvs::test::feed_at_once({reinterpret_cast<const char*>(data) + 1, size - 1},
                                            kvs::test::FeedOptions{});

  TestServer server(config, engine_in_memory());
  std::array<std::optional<TestClient>, 3> clients;
  for (auto& client : clients) client.emplace(server);
  if ((data[0] & 1) != 0) clients[0]->raw({"HELLO", "3"});
  if ((data[0] & 2) != 0) clients[1]->raw({"HELLO", "3"});
  std::size_t current = 0;
  std::size_t run = 0;
  for (const kvs::test::Request& words : sent.requests) {
    if (++run > requests_max) break;
    if (words.size() == 1 && words[0].size() == 2 && words[0][0] == '@') {
      current = static_cast<unsigned char>(words[0][1]) % clients.size();
      continue;
    }
    TestClient& client = *clients[current];
    if (client.client().close_after_reply) clients[current].emplace(server);
    const bool replies_on = client.client().replies == daemon::Client::Replies::on;
    const bool subscribes = words[0].size() >= 9 || client.client().in_transaction;
    const std::string output = client.raw(words);
    const bool still_on = client.client().replies == daemon::Client::Replies::on;
    // What CLIENT PAUSE holds is not answered here.
    const bool held = server.services.operations.pause.any();
    check(output, words, replies_on && still_on && !subscribes && !held);
  }
  // What was stored is there for another connection.
  TestClient last(server);
  if (config.requirepass.empty()) check(last.raw({"DBSIZE"}), {"DBSIZE"}, false);
  return 0;
}
