// bounds_test.cc - what clients make the server keep for them has a bound, whether they ask, send
// or do not read: memory is measured from outside while they do it.
//
// hostile_limits_test.cc has the inputs of the security catalogue; these are the ways around them.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <future>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "tests/integration/bystander.h"
#include "tests/support/request.h"
#include "tests/support/server_process.h"
#include "tests/support/socket.h"

using namespace std::chrono_literals;

namespace kvs::test {
namespace {

using Clock = std::chrono::steady_clock;

const std::string ok = "+OK\r\n";

std::string bulk(std::string_view value) {
  return "$" + std::to_string(value.size()) + "\r\n" + std::string(value) + "\r\n";
}

TEST_CASE("replies that nobody reads stay within maxmemory-clients") {
  constexpr std::size_t connections = 40;
  constexpr std::size_t value_bytes = 20 * mebi;
  const ServerProcess server({.arguments = {"--maxmemory-clients", "64mb"}});
  REQUIRE(server.connect().command({"SET", "large", std::string(value_bytes, 'v')}) == ok);
  Bystander bystander(server);
  std::vector<Socket> deaf;
  for (std::size_t i = 0; i < connections; ++i) {
    deaf.push_back(server.connect({.receive_buffer_bytes = 64 * kibi}));
    REQUIRE(deaf.back().command({"PING"}) == pong);
  }
  const std::size_t files_open = server.open_files();
  for (Socket& socket : deaf) {
    socket.send_if_open(encode_request({"GET", "large"}));
    bystander.look();
  }
  // Three replies fit; the rest goes as soon as its replies are there.
  for (const auto end = Clock::now() + 20s;
       Clock::now() < end && server.open_files() + connections / 2 > files_open;) {
    bystander.ask_for(50ms);
  }
  CHECK(server.open_files() + connections / 2 <= files_open);
  CHECK(bystander.rss_growth() < 250 * mebi + sanitizer_bytes);
}

TEST_CASE("replies that have been read do not count for maxmemory-clients") {
  constexpr std::size_t connections = 120;
  const ServerProcess server({.arguments = {"--maxmemory-clients", "16mb"}});
  const std::string value(240 * kibi, 'v');
  REQUIRE(server.connect().command({"SET", "large", value}) == ok);
  const std::string expected = bulk(value);
  std::vector<Socket> readers;
  for (std::size_t i = 0; i < connections; ++i) {
    readers.push_back(server.connect());
    const bool as_expected = readers.back().command({"GET", "large"}) == expected;
    REQUIRE(as_expected);
  }
  // Who holds more than a little is looked at; there is room for it.
  const std::string request = encode_request({"SET", "other", value});
  Socket uploading = server.connect();
  uploading.send_all(std::string_view(request).substr(0, request.size() / 2));
  CHECK(uploading.silent_for(200ms));
  uploading.send_if_open(std::string_view(request).substr(request.size() / 2));
  CHECK(uploading.read_reply() == ok);
  for (Socket& reader : readers) REQUIRE(reader.command({"PING"}) == pong);
}

TEST_CASE("a pipeline of reads from the disk brings in what it can answer, not all of it") {
  constexpr std::size_t values = 60;
  constexpr std::size_t value_bytes = 4 * mebi;
  const ServerProcess server({.arguments = {"--cache-size", "1mb", "--sync", "no"}});
  const auto key = [](std::size_t i) { return "cold" + std::to_string(i); };
  const auto value = [](std::size_t i) {
    std::string text = std::to_string(i) + ":";
    return text.append(value_bytes - text.size(), static_cast<char>('0' + i));
  };
  {
    Socket loader = server.connect();
    for (std::size_t i = 0; i < values; ++i)
      REQUIRE(loader.command({"SET", key(i), value(i)}) == ok);
  }
  // With a write among them the requests ride in one session, for which values are read ahead.
  std::string pipeline = encode_request({"SET", "x", "1"});
  for (std::size_t i = 0; i < values; ++i) pipeline += encode_request({"GET", key(i)});

  Bystander bystander(server);
  Socket deaf = server.connect({.receive_buffer_bytes = 64 * kibi});
  deaf.send_all(pipeline);
  bystander.ask_for(1s);
  CHECK(bystander.rss_growth() < 150 * mebi + sanitizer_bytes);

  Socket reader = server.connect();
  reader.send_all(pipeline);
  CHECK(reader.read_exact(ok.size()) == ok);
  for (std::size_t i = 0; i < values; ++i) {
    const std::string expected = bulk(value(i));
    const bool as_expected = reader.read_exact(expected.size()) == expected;
    REQUIRE(as_expected);
    bystander.look();
  }
  CHECK(bystander.rss_growth() < 150 * mebi + sanitizer_bytes);
}

TEST_CASE("who sends faster than the server works is read no faster than it is answered") {
  constexpr std::size_t keys = 100;
  const ServerProcess server({.arguments = {"--sync", "always", "--cache-size", "1mb"}});
  const auto key = [](std::size_t i) { return "key" + std::to_string(i); };
  const auto value = [](std::size_t round) {
    return std::string(2000, static_cast<char>('a' + round));
  };
  // Each round sets every key, and is made beforehand, so that the sender is fast. KEYS, which
  // looks at many others, keeps the server from taking many requests in one step.
  Request others{"MSET"};
  for (std::size_t i = 0; i < 3000; ++i) others.insert(others.end(), {std::to_string(i), "v"});
  REQUIRE(server.connect().command(others) == ok);
  std::vector<std::string> rounds(16);
  std::string round_answered;
  for (std::size_t round = 0; round < rounds.size(); ++round) {
    for (std::size_t i = 0; i < keys; ++i) {
      rounds[round] += encode_request({"SET", key(i), value(round)});
      rounds[round] += encode_request({"KEYS", "none"});
    }
  }
  for (std::size_t i = 0; i < keys; ++i) round_answered += ok + "*0\r\n";
  Bystander bystander(server);
  Socket socket = server.connect({.timeout = 60s});

  std::atomic<std::size_t> sent{0};  // rounds
  std::atomic<bool> all_sent{false};
  // Reads what is due; returns true when all of it was OK.
  auto reading = std::async(std::launch::async, [&] {
    bool all_ok = true;
    for (std::size_t read = 0;;) {
      const bool last = all_sent;
      if (read < sent) {
        all_ok = socket.read_exact(round_answered.size()) == round_answered && all_ok;
        ++read;
      } else if (last) {
        return all_ok;
      } else {
        std::this_thread::sleep_for(1ms);
      }
    }
  });
  // In pieces, so that in one step less arrives than makes the server stop reading at once.
  const auto send_round = [&](std::string_view round) {
    for (; !round.empty(); round.remove_prefix(std::min(round.size(), 64 * kibi))) {
      if (!socket.send_if_open(round.substr(0, 64 * kibi))) return false;
      bystander.look();
      std::this_thread::sleep_for(500us);
    }
    return true;
  };
  for (const auto end = Clock::now() + 1200ms; Clock::now() < end; ++sent) {
    if (!send_round(rounds[sent % rounds.size()])) break;
  }
  all_sent = true;
  CHECK(reading.get());
  bystander.ask();
  CHECK(bystander.rss_growth() < 24 * mebi + sanitizer_bytes);
  REQUIRE(sent > 0);
  const std::string newest = bulk(value((sent - 1) % rounds.size()));
  for (std::size_t i = 0; i < keys; ++i) {
    const bool as_answered = socket.command({"GET", key(i)}) == newest;
    REQUIRE(as_answered);
  }
}

}  // namespace
}  // namespace kvs::test
