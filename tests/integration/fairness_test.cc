// fairness_test.cc - clients that guess, stay silent or come in crowds: they wait, the others do
// not, and the server tells truly who is there.
#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
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

// The lines that have arrived at `socket` so far.
std::size_t lines_arrived(const Socket& socket) {
  std::size_t lines = 0;
  std::array<char, 4096> chunk;
  for (;;) {
    const ssize_t size = recv(socket.fd(), chunk.data(), chunk.size(), MSG_DONTWAIT);
    if (size <= 0) return lines;
    lines += static_cast<std::size_t>(std::count(chunk.data(), chunk.data() + size, '\n'));
  }
}

TEST_CASE("passwords guessed in one pipeline are answered ever more slowly, to the guesser only") {
  const ServerProcess server({.password = "secret"});
  std::string guesses;
  for (int i = 0; i < 200; ++i) guesses += encode_request({"AUTH", "guess" + std::to_string(i)});
  Socket guesser = server.connect();
  const auto begin = Clock::now();
  guesser.send_all(guesses);

  Clock::duration waited_max{0};
  while (Clock::now() - begin < 2s) {
    const auto asked = Clock::now();
    Socket friendly = server.connect();
    REQUIRE(friendly.command({"AUTH", "secret"}) == "+OK\r\n");
    REQUIRE(friendly.command({"PING"}) == pong);
    waited_max = std::max(waited_max, Clock::now() - asked);
    std::this_thread::sleep_for(50ms);
  }
  const std::size_t answered = lines_arrived(guesser);
  CHECK(answered >= 1);
  CHECK(answered <= 36);
  CHECK(waited_max < 1s);
}

// The field `name` of the line of `list` (as CLIENT LIST has it) that contains `mark`; -1: none.
std::int64_t client_field(const std::string& list, std::string_view mark, std::string_view name) {
  std::istringstream lines(list);
  for (std::string line; std::getline(lines, line);) {
    if (line.find(mark) == line.npos) continue;
    const std::string field = " " + std::string(name) + "=";
    const std::size_t at = line.find(field);
    if (at == line.npos) return -1;
    std::int64_t number = -1;
    std::from_chars(line.data() + at + field.size(), line.data() + line.size(), number);
    return number;
  }
  return -1;
}

TEST_CASE("CLIENT LIST tells who has spoken lately, and INFO how many were there at most") {
  constexpr std::int64_t guests = 20;
  const ServerProcess server;
  Socket asking = server.connect();
  Socket talking = server.connect();
  Socket silent = server.connect();
  REQUIRE(talking.command({"CLIENT", "SETNAME", "talking"}) == "+OK\r\n");
  REQUIRE(silent.command({"CLIENT", "SETNAME", "silent"}) == "+OK\r\n");
  {
    std::vector<Socket> crowd;
    for (std::int64_t i = 0; i < guests; ++i) {
      crowd.push_back(server.connect());
      REQUIRE(crowd.back().command({"PING"}) == pong);
    }
  }
  std::this_thread::sleep_for(3s);
  REQUIRE(talking.command({"PING"}) == pong);

  // The figures are brought up to date about once a second.
  std::string list;
  std::int64_t age = -1;
  std::int64_t idle = -1;
  for (const auto end = Clock::now() + 5s; Clock::now() < end;) {
    list = asking.command({"CLIENT", "LIST"});
    age = client_field(list, "name=talking", "age");
    idle = client_field(list, "name=talking", "idle");
    if (idle + 2 <= age) break;
    std::this_thread::sleep_for(50ms);
  }
  INFO(list);
  CHECK(idle >= 0);
  CHECK(idle + 2 <= age);
  CHECK(age >= 3);
  CHECK(client_field(list, "name=silent", "idle") >= 2);

  const std::string info = asking.command({"INFO", "clients"});
  const std::string field = "kvs_connected_clients_peak:";
  const std::size_t at = info.find(field);
  REQUIRE(at != info.npos);
  CHECK(std::stoll(info.substr(at + field.size())) >= guests + 3);
}

// User and system time that the process has used so far.
std::chrono::milliseconds cpu_time(const ServerProcess& server) {
  std::ifstream stream("/proc/" + std::to_string(server.pid()) + "/stat");
  std::string line;
  std::getline(stream, line);
  // Behind the name in parentheses, which may contain anything, utime and stime are the 12th and
  // 13th word.
  std::istringstream words(line.substr(line.rfind(')') + 1));
  const std::vector<std::string> fields{std::istream_iterator<std::string>(words), {}};
  const long ticks = std::stol(fields.at(11)) + std::stol(fields.at(12));
  return std::chrono::milliseconds(ticks * 1000 / sysconf(_SC_CLK_TCK));
}

void limit_open_files(const ServerProcess& server, rlim_t soft) {
  rlimit limit{};
  REQUIRE(prlimit(server.pid(), RLIMIT_NOFILE, nullptr, &limit) == 0);
  limit.rlim_cur = soft;
  REQUIRE(prlimit(server.pid(), RLIMIT_NOFILE, &limit, nullptr) == 0);
}

TEST_CASE("without file descriptors the server serves who is there, and does not spin") {
#if defined(__SANITIZE_ADDRESS__)
  // UBSan looks at an object's type through a pipe, and takes having none for a broken object.
  MESSAGE("SKIPPED: the undefined behaviour sanitizer needs descriptors of its own");
  return;
#endif
  const ServerProcess server({.arguments = {"--threads", "2"}});
  std::vector<Socket> established;
  for (int i = 0; i < 5; ++i) {
    established.push_back(server.connect());
    REQUIRE(established.back().command({"PING"}) == pong);
  }
  const auto check_served = [&established] {
    for (Socket& socket : established) REQUIRE(socket.command({"PING"}) == pong);
  };
  const auto cpu_used_in_a_second = [&server] {
    const auto before = cpu_time(server);
    std::this_thread::sleep_for(1s);
    return cpu_time(server) - before;
  };

  // A crowd takes all there are.
  limit_open_files(server, server.open_files() + 20);
  std::vector<Socket> crowd;
  for (int i = 0; i < 200; ++i) crowd.push_back(server.connect());
  check_served();
  const auto cpu_with_crowd = cpu_used_in_a_second();
  check_served();
  CHECK(cpu_with_crowd < 400ms);

  // Now even the one that was kept in reserve is gone: what comes cannot even be turned away.
  limit_open_files(server, 5);
  for (int i = 0; i < 20; ++i) crowd.push_back(server.connect());
  const auto cpu_without_any = cpu_used_in_a_second();
  check_served();
  CHECK(cpu_without_any < 400ms);

  limit_open_files(server, 200);
  crowd.clear();
  std::string reply;
  for (const auto end = Clock::now() + 10s; Clock::now() < end && reply != pong;) {
    Socket newcomer = server.connect();
    try {
      reply = newcomer.command({"PING"});
    } catch (const SocketError&) {
      std::this_thread::sleep_for(50ms);  // turned away: the crowd is still on its way out
    }
  }
  CHECK(reply == pong);
  check_served();
}

}  // namespace
}  // namespace kvs::test
