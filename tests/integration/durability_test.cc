// durability_test.cc - what was acknowledged is there after SIGTERM and after SIGKILL, under every
// sync policy; kept by the test's own record of what was acknowledged, outside the server.
//
// Several writers overwrite their own keys again and again in long pipelines. When the server is
// gone, each knows for every key the last number that was acknowledged and the last one that was
// sent: what is there after the restart must lie between the two.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/request.h"
#include "tests/support/seed.h"
#include "tests/support/server_process.h"
#include "tests/support/socket.h"

using namespace std::chrono_literals;

namespace kvs::test {
namespace {

constexpr std::size_t keys_per_writer = 300;
constexpr std::size_t pipeline_requests = 40;
constexpr std::size_t shown_keys_max = 3;  // of those that are wrong

class Writer {
 public:
  Writer(const ServerProcess& server, int number) : server_(server), number_(number) {}

  // Writes until the connection ends, which is what this test is about.
  void run() {
    try {
      Socket socket = server_.connect();
      for (;;) write_batch(socket);
    } catch (const SocketError&) {
    }
  }

  std::uint64_t acknowledged() const { return acknowledged_; }
  bool refused() const { return refused_; }

  // Reads every key back; returns the number of keys whose number is out of bounds.
  std::size_t wrong_keys() {
    Socket socket = server_.connect({.timeout = 30s});
    std::size_t wrong = 0;
    for (auto& [key, numbers] : keys_) {
      const std::string reply = socket.command({"GET", key});
      std::uint64_t found = 0;
      if (reply != "$-1\r\n") found = number_in(reply);
      if (found >= numbers.acknowledged && found <= numbers.sent) {
        // What survived counts as acknowledged from now on.
        numbers = {.sent = found, .acknowledged = found};
        continue;
      }
      if (++wrong > shown_keys_max) continue;
      MESSAGE("key ", key, ": found ", found, ", acknowledged ", numbers.acknowledged, ", sent ",
              numbers.sent);
    }
    return wrong;
  }

 private:
  struct Numbers {
    std::uint64_t sent = 0;
    std::uint64_t acknowledged = 0;  // 0: none
  };

  // A value says its number, and is of some length.
  static std::string value_of(std::uint64_t number) {
    return std::to_string(number) + ":" + std::string(number % 200, 'v');
  }

  static std::uint64_t number_in(const std::string& reply) {
    const std::string value = reply.substr(reply.find('\n') + 1);
    const std::uint64_t number = std::strtoull(value.c_str(), nullptr, 10);
    return value == value_of(number) + "\r\n" ? number : UINT64_MAX;
  }

  std::string key_of(std::uint64_t number) const {
    return "writer" + std::to_string(number_) + ":" + std::to_string(number % keys_per_writer);
  }

  void write_batch(Socket& socket) {
    const std::uint64_t first = next_;
    std::string batch;
    for (std::size_t i = 0; i < pipeline_requests; ++i, ++next_) {
      batch += encode_request({"SET", key_of(next_), value_of(next_)});
      keys_[key_of(next_)].sent = next_;
    }
    socket.send_all(batch);
    for (std::uint64_t number = first; number < next_; ++number) {
      const std::string reply = socket.read_reply();
      if (reply != "+OK\r\n") {
        refused_ = true;
        throw SocketError("refused: " + reply);
      }
      keys_[key_of(number)].acknowledged = number;
      ++acknowledged_;
    }
  }

  const ServerProcess& server_;
  const int number_;
  std::uint64_t next_ = 1;
  std::map<std::string, Numbers> keys_;
  std::atomic<std::uint64_t> acknowledged_{0};
  std::atomic<bool> refused_{false};
};

enum class End : std::uint8_t { terminate, kill };

// Loads the server, ends it in the middle, restarts it and looks, again and again.
void check_rounds(const std::vector<std::string>& arguments, End end, int rounds) {
  const std::uint64_t seed = test_seed("ends under load");
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  ServerProcess server({.arguments = arguments});
  std::vector<std::unique_ptr<Writer>> writers;
  for (int number = 0; number < 4; ++number) {
    writers.push_back(std::make_unique<Writer>(server, number));
  }
  for (int round = 0; round < rounds; ++round) {
    CAPTURE(round);
    std::uint64_t before = 0;
    for (const auto& writer : writers) before += writer->acknowledged();
    std::vector<std::thread> threads;
    for (const auto& writer : writers) threads.emplace_back([&writer] { writer->run(); });
    std::this_thread::sleep_for(std::chrono::milliseconds(50 + random() % 150));
    int exit_code = 0;
    if (end == End::terminate) {
      exit_code = server.terminate();
    } else {
      server.kill();
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(exit_code == 0);
    std::uint64_t after = 0;
    for (const auto& writer : writers) {
      after += writer->acknowledged();
      CHECK_FALSE(writer->refused());
    }
    CHECK(after > before);

    server.restart();
    for (const auto& writer : writers) REQUIRE(writer->wrong_keys() == 0);
  }
}

TEST_CASE("SIGTERM under load ends with 0 and keeps every acknowledged write") {
  for (const std::string sync : {"always", "everysec", "no"}) {
    CAPTURE(sync);
    check_rounds({"--sync", sync}, End::terminate, 3);
  }
}

TEST_CASE("SIGKILL under load loses nothing acknowledged under --sync always") {
  check_rounds({"--sync", "always"}, End::kill, 5);
}

TEST_CASE("SIGKILL under load loses nothing acknowledged under --sync everysec") {
  check_rounds({"--sync", "everysec"}, End::kill, 5);
}

TEST_CASE("SIGKILL under load loses nothing acknowledged under --sync no") {
  check_rounds({"--sync", "no"}, End::kill, 5);
}

TEST_CASE("SIGKILL while small segments are sealed and compacted loses nothing acknowledged") {
  check_rounds({"--sync", "everysec", "--segment-size", "64kb"}, End::kill, 5);
}

TEST_CASE(
    "databases of any size are exchanged by SWAPDB, and stay so after SIGKILL and compaction") {
  ServerProcess server({.arguments = {"--sync", "no", "--segment-size", "4mb"}});
  Socket socket = server.connect({.timeout = 30s});
  const auto in = [&socket](int database, const Request& request) {
    REQUIRE(socket.command({"SELECT", std::to_string(database)}) == "+OK\r\n");
    return socket.command(request);
  };
  const std::string value(std::size_t{1} << 20, 'v');
  for (int i = 0; i < 24; ++i) {
    const std::string key = "large" + std::to_string(i);
    REQUIRE(in(0, {"SET", key, value}) == "+OK\r\n");
    REQUIRE(in(0, {"SET", key, value + "2"}) ==
            "+OK\r\n");  // so that there is something to compact
  }
  REQUIRE(in(1, {"SET", "small", "1"}) == "+OK\r\n");
  REQUIRE(in(0, {"SWAPDB", "0", "1"}) == "+OK\r\n");
  REQUIRE(in(0, {"SWAPDB", "1", "2"}) == "+OK\r\n");
  const auto check = [&] {
    CHECK(in(0, {"DBSIZE"}) == ":1\r\n");
    CHECK(in(1, {"DBSIZE"}) == ":0\r\n");
    CHECK(in(2, {"DBSIZE"}) == ":24\r\n");
    CHECK(in(0, {"GET", "small"}) == "$1\r\n1\r\n");
    CHECK(in(2, {"STRLEN", "large23"}) == ":1048577\r\n");
    CHECK(in(0, {"INFO", "keyspace"}).find("db2:keys=24,") != std::string::npos);
  };
  check();
  for (int round = 0; round < 2; ++round) {
    CAPTURE(round);
    server.kill();
    server.restart();
    socket = server.connect({.timeout = 30s});
    check();
    REQUIRE(socket.command({"BGREWRITEAOF"})[0] == '+');
    std::this_thread::sleep_for(500ms);
    REQUIRE(in(0, {"SET", "small", "1"}) == "+OK\r\n");
    check();
  }
  REQUIRE(in(0, {"SWAPDB", "0", "2"}) == "+OK\r\n");
  REQUIRE(in(0, {"FLUSHDB"}) == "+OK\r\n");
  REQUIRE(server.terminate() == 0);
  server.restart();
  socket = server.connect({.timeout = 30s});
  CHECK(in(0, {"DBSIZE"}) == ":0\r\n");
  CHECK(in(2, {"GET", "small"}) == "$1\r\n1\r\n");
}

TEST_CASE("SIGTERM while small segments are sealed and compacted loses nothing acknowledged") {
  check_rounds({"--sync", "no", "--segment-size", "64kb"}, End::terminate, 3);
}

}  // namespace
}  // namespace kvs::test
