// hostile_limits_test.cc - inputs that aim at memory, time and descriptors: S12, S21, S22, S23. The
// server keeps its bounds, ends who oversteps them, and serves the others meanwhile.
#include <algorithm>
#include <chrono>
#include <cstddef>
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

// Sends as much of `bytes` as the server takes within `time`.
void send_for(Socket& socket, std::string_view bytes, std::chrono::milliseconds time,
              Bystander& bystander) {
  for (const auto end = Clock::now() + time; Clock::now() < end;) {
    const std::size_t sent = socket.send_some(bytes.substr(0, 256 * kibi));
    bytes.remove_prefix(sent);
    if (sent == 0) bystander.ask_for(10ms);
  }
}

TEST_CASE("who sees his connection end is on no list, and his place is free") {
  const ServerProcess server({.arguments = {"--maxclients", "2"}});
  std::this_thread::sleep_for(100ms);  // for the connection that found the server ready
  Socket watcher = server.connect();
  REQUIRE(watcher.command({"PING"}) == pong);
  for (int round = 0; round < 200; ++round) {
    Socket socket = server.connect();
    socket.send_all(encode_request({"QUIT"}));
    REQUIRE(socket.read_until_close() == "+OK\r\n");
    const std::string list = watcher.command({"CLIENT", "LIST"});
    REQUIRE(std::count(list.begin(), list.end(), '\n') == 3);  // its length, one client, its end
  }
}

TEST_CASE("S12 one connection more than maxclients is told so and closed") {
  const ServerProcess server({.arguments = {"--maxclients", "5"}});
  std::vector<Socket> clients;
  // The connection that found the server ready may still be on its way out.
  for (int attempt = 0; attempt < 200 && clients.size() < 5; ++attempt) {
    Socket socket = server.connect();
    if (socket.send_if_open(encode_request({"PING"})) && socket.read_reply() == pong) {
      clients.push_back(std::move(socket));
    } else {
      std::this_thread::sleep_for(10ms);
    }
  }
  REQUIRE(clients.size() == 5);
  for (int round = 0; round < 20; ++round) {
    CHECK(server.connect().read_until_close() == "-ERR max number of clients reached\r\n");
  }
  for (Socket& client : clients) CHECK(client.command({"PING"}) == pong);

  clients.pop_back();
  std::string reply;
  for (int attempt = 0; attempt < 200 && reply != pong; ++attempt) {
    Socket socket = server.connect();
    reply = socket.send_if_open(encode_request({"PING"})) ? socket.read_reply() : "";
    if (reply != pong) std::this_thread::sleep_for(10ms);
  }
  CHECK(reply == pong);
}

TEST_CASE("S21 requests that come byte by byte are answered as ever") {
  const ServerProcess server;
  Bystander bystander(server);
  const std::string input = encode_request({"SET", "slow", "lo\r\nris"}) + "*0\r\n" +
                            "get 'slow'\n" + encode_request({"DEL", "slow"});
  Socket socket = server.connect();
  for (const char& byte : input) {
    socket.send_all({&byte, 1});
    std::this_thread::sleep_for(3ms);
    bystander.ask();
  }
  const std::string expected = "+OK\r\n$7\r\nlo\r\nris\r\n:1\r\n";
  CHECK(socket.read_exact(expected.size()) == expected);
  CHECK(bystander.rss_growth() < 4 * mebi + sanitizer_bytes);
}

TEST_CASE("S21 a request that does not get ahead is given up, idle and busy clients are not") {
  const ServerProcess server({.arguments = {"--request-timeout", "1"}});
  Socket idle = server.connect();
  REQUIRE(idle.command({"PING"}) == pong);
  Socket stuck = server.connect();
  stuck.send_all("*2\r\n$3\r\nGET\r\n$1");
  Socket trickling = server.connect();
  trickling.send_all("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n");
  // A large value that arrives at a decent rate takes longer than the timeout, and is taken.
  Socket uploading = server.connect();
  constexpr std::size_t upload_steps = 40;
  constexpr std::size_t step_bytes = 20'000;
  uploading.send_all("*3\r\n$3\r\nSET\r\n$6\r\nupload\r\n$" +
                     std::to_string(upload_steps * step_bytes) + "\r\n");

  bool trickle_refused = false;
  for (std::size_t step = 0; step < upload_steps; ++step) {
    uploading.send_all(std::string(step_bytes, 'u'));
    trickle_refused = !trickling.send_if_open("x") || trickle_refused;
    std::this_thread::sleep_for(100ms);
  }
  uploading.send_all("\r\n");
  CHECK(uploading.read_reply() == "+OK\r\n");
  CHECK(trickle_refused);
  CHECK(stuck.closes_within(0ms));
  CHECK(idle.command({"PING"}) == pong);
}

TEST_CASE("S21 an idle client is closed after --timeout") {
  const ServerProcess server({.arguments = {"--timeout", "1"}});
  Socket idle = server.connect();
  REQUIRE(idle.command({"PING"}) == pong);
  CHECK(idle.closes_within(5s));
}

TEST_CASE("S22 who pipelines for ever and never reads costs the server little") {
  const ServerProcess server;
  Bystander bystander(server);
  {
    Socket setter = server.connect();
    REQUIRE(setter.command({"SET", "large", std::string(mebi, 'v')}) == "+OK\r\n");
  }
  std::string pipeline;
  for (int i = 0; i < 100'000; ++i) pipeline += encode_request({"GET", "large"});
  Socket deaf = server.connect({.receive_buffer_bytes = 64 * kibi});
  send_for(deaf, pipeline, 3s, bystander);

  CHECK(bystander.rss_growth() < 32 * mebi + sanitizer_bytes);
  CHECK(bystander.waited_max() < 1s);
  // It has lost nothing, either.
  for (int i = 0; i < 50; ++i) {
    const std::string reply = deaf.read_reply();
    REQUIRE(reply.size() == std::string_view("$1048576\r\n").size() + mebi + 2);
  }
}

TEST_CASE("S22 who never reads is closed at the output limit") {
  const ServerProcess server(
      {.arguments = {"--client-output-buffer-limit", "normal 64mb 200kb 1"}});
  Bystander bystander(server);
  REQUIRE(server.connect().command({"SET", "large", std::string(mebi, 'v')}) == "+OK\r\n");
  std::string pipeline;
  for (int i = 0; i < 5000; ++i) pipeline += encode_request({"GET", "large"});
  Socket deaf = server.connect({.receive_buffer_bytes = 64 * kibi});
  REQUIRE(deaf.command({"PING"}) == "+PONG\r\n");  // the server has accepted it by now
  const std::size_t files_open = server.open_files();
  deaf.send_all(pipeline);
  for (const auto end = Clock::now() + 10s;
       Clock::now() < end && server.open_files() >= files_open;) {
    bystander.ask_for(50ms);
  }
  CHECK(server.open_files() < files_open);
  // What the kernel held already comes, then the end.
  CHECK(deaf.read_until_close().size() < 100 * mebi);
  CHECK(bystander.rss_growth() < 32 * mebi + sanitizer_bytes);
  CHECK(bystander.waited_max() < 1s);
}

TEST_CASE("S22 a reply beyond the hard limit ends the connection, not the server") {
  const ServerProcess server({.arguments = {"--client-output-buffer-limit", "normal 1mb 0 0"}});
  Bystander bystander(server);
  REQUIRE(server.connect().command({"SET", "large", std::string(4 * mebi, 'v')}) == "+OK\r\n");
  Socket greedy = server.connect();
  greedy.send_all(encode_request({"MGET", "large", "large", "large", "large"}));
  CHECK(greedy.read_until_close().size() < 16 * mebi);
  bystander.ask();
}

TEST_CASE("a stranger who never reads costs the server little, too") {
  const ServerProcess server({.password = "secret"});
  const std::size_t rss_before = server.rss_bytes();
  std::string pipeline;
  for (int i = 0; i < 300'000; ++i) pipeline += "GET a\r\n";
  Socket deaf = server.connect({.receive_buffer_bytes = 16 * kibi});
  std::string_view rest = pipeline;
  std::size_t rss_max = 0;
  for (const auto end = Clock::now() + 2s; Clock::now() < end && !rest.empty();) {
    rest.remove_prefix(deaf.send_some(rest.substr(0, 64 * kibi)));
    rss_max = std::max(rss_max, server.rss_bytes());
  }
  CHECK(rss_max < rss_before + 16 * mebi + sanitizer_bytes);
  CHECK(server.connect().command({"PING"}) == "-NOAUTH Authentication required.\r\n");
}

TEST_CASE("S23 announced bulks cost nothing until they arrive") {
  constexpr std::size_t connections = 500;
  const ServerProcess server;
  Bystander bystander(server);
  std::vector<Socket> announcers;
  for (std::size_t i = 0; i < connections; ++i) {
    announcers.push_back(server.connect());
    announcers.back().send_all("*2\r\n$4\r\nECHO\r\n$536870912\r\nx");
    if (i % 50 == 0) bystander.ask();
  }
  bystander.ask_for(500ms);
  CHECK(bystander.rss_growth() < connections * 32 * kibi + 4 * mebi + sanitizer_bytes);
  for (Socket& announcer : announcers) REQUIRE(announcer.silent_for(0ms));
}

TEST_CASE("S23 a million tiny words cost in proportion to their bytes, and are answered") {
  constexpr std::size_t words = 1'000'000;
  const ServerProcess server;
  Bystander bystander(server);
  Socket socket = server.connect({.timeout = 60s});
  std::string request = "*1000000\r\n$4\r\nMGET\r\n";
  for (std::size_t i = 1; i + 1 < words; ++i) request += "$1\r\nx\r\n";
  socket.send_all(request);
  bystander.ask_for(500ms);
  // Its 7 MB, in a string that doubles, and 16 bytes for each word, in a vector that doubles.
  CHECK(bystander.rss_growth() < 96 * mebi + sanitizer_bytes);
  REQUIRE(socket.silent_for(0ms));

  socket.send_all("$1\r\nx\r\n");
  std::string expected = "*999999\r\n";
  for (std::size_t i = 1; i < words; ++i) expected += "$-1\r\n";
  const bool as_expected = socket.read_exact(expected.size()) == expected;
  CHECK(as_expected);
  CHECK(socket.command({"PING"}) == pong);
  bystander.ask();
}

TEST_CASE("S23 all connections together stay within maxmemory-clients") {
  constexpr std::size_t connections = 40;
  const ServerProcess server({.arguments = {"--maxmemory-clients", "32mb"}});
  Bystander bystander(server);
  std::string begun = "*1000000\r\n$4\r\nMGET\r\n";
  for (int i = 0; i < 300'000; ++i) begun += "$0\r\n\r\n";
  std::vector<Socket> hoarders;
  std::size_t refused = 0;
  for (std::size_t i = 0; i < connections; ++i) {
    hoarders.push_back(server.connect());
    if (!hoarders.back().send_if_open(begun)) ++refused;
    bystander.ask();
  }
  bystander.ask_for(300ms);
  refused = 0;
  for (Socket& hoarder : hoarders) refused += hoarder.closes_within(0ms) ? 1 : 0;
  // Each holds about 7 MB: a few fit.
  CHECK(refused >= connections - 16);
  CHECK(bystander.rss_growth() < 128 * mebi + sanitizer_bytes);
  CHECK(bystander.waited_max() < 1s);
}

TEST_CASE("S27 keys beyond maxmemory are refused, and removing some makes room again") {
  const ServerProcess server({.arguments = {"--cache-size", "0", "--maxmemory", "4mb"}});
  Bystander bystander(server);
  Socket socket = server.connect();
  constexpr int round_keys = 1000;
  const auto key = [](int number) { return std::string(200, 'k') + std::to_string(number); };
  int written = 0;
  std::string reply = "+OK\r\n";
  while (reply == "+OK\r\n" && written < 100 * round_keys) {
    for (int i = 0; i < round_keys; ++i) reply = socket.command({"SET", key(written++), "v"});
  }
  CHECK(reply == "-OOM command not allowed when used memory > 'maxmemory'.\r\n");
  CHECK(written > 5 * round_keys);
  CHECK(socket.command({"GET", key(0)}) == "$1\r\nv\r\n");
  bystander.ask();
  for (int i = 0; i < written / 2; ++i) {
    REQUIRE(socket.command({"DEL", key(i)}).starts_with(":"));
  }
  CHECK(socket.command({"SET", "again", "v"}) == "+OK\r\n");
}

TEST_CASE("a query beyond client-query-buffer-limit ends the connection") {
  const ServerProcess server({.arguments = {"--client-query-buffer-limit", "2mb"}});
  Bystander bystander(server);
  Socket socket = server.connect();
  REQUIRE(socket.command({"SET", "k", std::string(mebi, 'v')}) == "+OK\r\n");
  socket.send_if_open("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$10000000\r\n" + std::string(9'000'000, 'v'));
  CHECK(socket.read_until_close().empty());
  bystander.ask();
}

TEST_CASE("a bulk beyond proto-max-bulk-len is refused by its length") {
  const ServerProcess server({.arguments = {"--proto-max-bulk-len", "1mb"}});
  Socket socket = server.connect();
  CHECK(socket.command({"SET", "k", std::string(mebi, 'v')}) == "+OK\r\n");
  socket.send_all("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1048577\r\n");
  CHECK(socket.read_until_close() == "-ERR Protocol error: invalid bulk length\r\n");
}

}  // namespace
}  // namespace kvs::test
