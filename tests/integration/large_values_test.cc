// large_values_test.cc - values of hundreds of MiB: what the server needs of memory for one, seen
// from outside, and that its bytes are right.
#include <cstddef>
#include <fstream>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "tests/integration/bystander.h"
#include "tests/support/request.h"
#include "tests/support/server_process.h"
#include "tests/support/socket.h"

namespace kvs::test {
namespace {

constexpr std::size_t value_bytes = 200 * mebi;
// What a request needs beside its value: buffers of the network, and the first copies of an input
// that grows.
constexpr std::size_t beside_bytes = 40 * mebi;
const std::string ok = "+OK\r\n";

// Bytes that repeat nowhere near each other.
std::string large_value(char salt) {
  std::string value(value_bytes, salt);
  for (std::size_t i = 0; i < value.size(); i += 509) value[i] = static_cast<char>(i / 509 % 251);
  return value;
}

// The most memory the server has had since the last forget_peak().
std::size_t peak_bytes(const ServerProcess& server) {
  std::ifstream status("/proc/" + std::to_string(server.pid()) + "/status");
  std::size_t kib = 0;
  for (std::string word; status >> word;) {
    if (word == "VmHWM:") status >> kib;
  }
  REQUIRE(kib > 0);
  return kib * kibi;
}

void forget_peak(const ServerProcess& server) {
  std::ofstream file("/proc/" + std::to_string(server.pid()) + "/clear_refs");
  file << '5' << std::flush;
  REQUIRE(file.good());
}

void expect(Socket& socket, std::string_view replies) {
  REQUIRE(socket.read_exact(replies.size()) == replies);
}

void check_value(Socket& socket, std::string_view request, std::string_view value) {
  socket.send_all(request);
  expect(socket, "$" + std::to_string(value.size()) + "\r\n");
  const bool same = socket.read_exact(value.size()) == value;
  REQUIRE(same);
  expect(socket, "\r\n");
}

TEST_CASE("a large value comes in and goes out beside one copy of itself, and then takes nothing") {
  const ServerProcess server(
      {.arguments = {"--cache-size", "1mb", "--maxmemory-clients", "0", "--sync", "no"}});
  Socket socket = server.connect();
  REQUIRE(socket.command({"PING"}) == pong);
  const std::size_t before = server.rss_bytes();
  const auto grown = [&](std::size_t bytes) { return bytes > before ? bytes - before : 0; };
  const std::string value = large_value('a');
  const std::string get = encode_request({"GET", "large"});

  forget_peak(server);
  REQUIRE(socket.command({"SET", "large", value}) == ok);
  MESSAGE("SET of ", value_bytes / mebi, " MiB: ", grown(peak_bytes(server)) / mebi, " MiB more");
  CHECK(grown(peak_bytes(server)) < value_bytes + beside_bytes + sanitizer_bytes);
  CHECK(grown(server.rss_bytes()) < beside_bytes + sanitizer_bytes);

  forget_peak(server);
  check_value(socket, get, value);
  MESSAGE("GET of it: ", grown(peak_bytes(server)) / mebi, " MiB more");
  CHECK(grown(peak_bytes(server)) < value_bytes + beside_bytes + sanitizer_bytes);
  REQUIRE(socket.command({"PING"}) == pong);
  CHECK(grown(server.rss_bytes()) < beside_bytes + sanitizer_bytes);
}

TEST_CASE("large values are right behind others in a pipeline, in transactions and after a kill") {
  ServerProcess server({.arguments = {"--maxmemory-clients", "0", "--sync", "no"}});
  Socket socket = server.connect();
  const std::string first = large_value('a');
  const std::string second = large_value('b');
  socket.send_all(encode_request({"SET", "small", "s"}));
  socket.send_all(encode_request({"MSET", "one", first, "two", second}));
  socket.send_all(encode_request({"APPEND", "small", "t"}));
  expect(socket, ok + ok + ":2\r\n");
  socket.send_all(encode_request({"MULTI"}));
  socket.send_all(encode_request({"SET", "three", first.substr(0, mebi)}));
  socket.send_all(encode_request({"GETSET", "two", "replaced"}));
  socket.send_all(encode_request({"EXEC"}));
  expect(socket, "+OK\r\n");
  expect(socket, "+QUEUED\r\n");
  expect(socket, "+QUEUED\r\n");
  expect(socket, "*2\r\n");
  expect(socket, "+OK\r\n");
  check_value(socket, "", second);
  server.kill();
  server.restart();
  Socket after = server.connect();
  check_value(after, encode_request({"GET", "one"}), first);
  check_value(after, encode_request({"GET", "three"}), first.substr(0, mebi));
  CHECK(after.command({"GET", "two"}) == "$8\r\nreplaced\r\n");
  CHECK(after.command({"GET", "small"}) == "$2\r\nst\r\n");
}

}  // namespace
}  // namespace kvs::test
