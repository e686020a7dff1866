// lifecycle_test.cc - how kvs-server starts, what it refuses to start on, and how it ends.
//
// A refused start must say why on one line of stderr, end with another code than 0, print nothing
// on stdout and leave the data directory as it was. Not here: what survives an end under load
// (durability_test), systemd (notify_test).
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/engine_under_test.h"
#include "tests/support/request.h"
#include "tests/support/run_program.h"
#include "tests/support/server_process.h"
#include "tests/support/socket.h"
#include "tests/support/temp_dir.h"

using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace kvs::test {
namespace {

// Sanitizers start slower than anybody waits for.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr auto ready_time_max = 5s;
#else
constexpr auto ready_time_max = 1s;
#endif

std::string content_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

// Every file below `dir` with its bytes.
std::map<std::string, std::string> snapshot(const fs::path& dir) {
  std::map<std::string, std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(dir)) {
    out[entry.path().string()] = entry.is_regular_file() ? content_of(entry.path()) : "(directory)";
  }
  return out;
}

std::size_t error_lines(const std::string& text) {
  std::size_t count = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.find(" error: ") != std::string::npos || line.starts_with("kvs-server: ")) ++count;
  }
  return count;
}

ProgramResult run_server(const std::vector<std::string>& arguments) {
  // Should it start against expectation, the time limit ends it.
  return run_program({.program = test_program("kvs-server"), .arguments = arguments}, {}, 10s);
}

void check_refused(const ProgramResult& result, const std::string& reason) {
  CAPTURE(result.err);
  CHECK_FALSE(result.timed_out);
  CHECK(result.exit_code != 0);
  CHECK(result.exit_code < 128);
  CHECK(result.out.empty());
  CHECK(error_lines(result.err) == 1);
  CHECK(result.err.find(reason) != std::string::npos);
}

std::string free_address() {
  return "127.0.0.1:" + std::to_string(free_port());
}

TEST_CASE("an empty directory is ready within a second") {
  for (int round = 0; round < 3; ++round) {
    const ServerProcess server;
    CHECK(server.start_time() < ready_time_max);
  }
}

TEST_CASE("the log names version, engine and address once they are known") {
  ServerProcess server;
  const auto version = run_server({"-V"});
  CHECK(version.exit_code == 0);
  CHECK(version.err.empty());
  std::istringstream words(version.out);
  std::vector<std::string> said{std::istream_iterator<std::string>(words), {}};
  REQUIRE_FALSE(said.empty());

  std::istringstream lines(server.log());
  std::string start_line;
  for (std::string line; std::getline(lines, line);) {
    if (line.find(server.address()) != std::string::npos) start_line = line;
  }
  CAPTURE(server.log());
  CHECK(start_line.find(said.back()) != std::string::npos);
  CHECK(start_line.find("engine " + engine_under_test()) != std::string::npos);
  CHECK(error_lines(server.log()) == 0);
}

TEST_CASE("SIGTERM ends an idle server at once with 0, clients or not") {
  ServerProcess server;
  Socket idle = server.connect();
  REQUIRE(idle.command({"SET", "k", "v"}) == "+OK\r\n");
  Socket halfway = server.connect();
  halfway.send_all("*3\r\n$3\r\nSET\r\n");
  const auto begin = std::chrono::steady_clock::now();
  CHECK(server.terminate() == 0);
  CHECK(std::chrono::steady_clock::now() - begin < 5s);
  CHECK(idle.closes_within(1s));
  CHECK(error_lines(server.log()) == 0);

  server.restart();
  CHECK(server.connect().command({"GET", "k"}) == "$1\r\nv\r\n");
}

TEST_CASE("SIGTERM ends a server whose clients do not read, within its bound") {
  ServerProcess server;
  Socket deaf = server.connect({.receive_buffer_bytes = 16 * 1024});
  REQUIRE(deaf.command({"SET", "large", std::string(1 << 20, 'v')}) == "+OK\r\n");
  for (int i = 0; i < 100; ++i) deaf.send_all(encode_request({"GET", "large"}));
  std::this_thread::sleep_for(100ms);
  CHECK(server.terminate(20s) == 0);
}

TEST_CASE("a second server on the same directory is refused and harms nothing") {
  ServerProcess server;
  REQUIRE(server.connect().command({"SET", "k", "v"}) == "+OK\r\n");
  check_refused(run_server({"--addr", free_address(), "--dir", server.dir().string()}),
                server.dir().string());
  CHECK(server.connect().command({"GET", "k"}) == "$1\r\nv\r\n");
  // The lock dies with the process.
  server.kill();
  server.restart();
  CHECK(server.connect().command({"GET", "k"}) == "$1\r\nv\r\n");
}

TEST_CASE("an address in use is an error that names it") {
  const ServerProcess server;
  const TempDir dir;
  const auto result = run_server({"--addr", server.address(), "--dir", dir.path().string()});
  check_refused(result, server.address());
  CHECK(result.err.find("in use") != std::string::npos);
  CHECK(snapshot(dir.path()).empty());
  CHECK(server.connect().command({"PING"}) == "+PONG\r\n");
}

TEST_CASE("an address that is no socket address is refused before anything happens") {
  for (const std::string address :
       {"localhost:4000", "127.0.0.1", "127.0.0.1:99999", "127.0.0.1:-1", "256.0.0.1:4000", ":4000",
        "nonsense", "", "127.0.0.1:4000x", "[::1:4000", "::1:4000 ", "127.1:4000"}) {
    CAPTURE(address);
    const TempDir dir;
    const auto result = run_server({"--addr", address, "--dir", dir.path().string()});
    check_refused(result, "addr");
    CHECK(snapshot(dir.path()).empty());
  }
}

TEST_CASE("unknown options, values and arguments are refused before anything happens") {
  const TempDir dir;
  const std::vector<std::pair<std::vector<std::string>, std::string>> calls{
      {{"--engine", "sled"}, "sled"},     {{"--sync", "sometimes"}, "sync"},
      {{"--no-such-option"}, "no-such"},  {{"stray"}, "stray"},
      {{"--threads", "many"}, "threads"}, {{"--addr"}, "addr"}};
  for (const auto& [arguments, reason] : calls) {
    std::vector<std::string> all{"--dir", dir.path().string()};
    all.insert(all.end(), arguments.begin(), arguments.end());
    check_refused(run_server(all), reason);
    CHECK(snapshot(dir.path()).empty());
  }
}

TEST_CASE("a data directory that cannot be one is refused") {
  const TempDir dir;
  const fs::path file = dir.path() / "file";
  std::ofstream(file) << "not a directory";
  const auto before = snapshot(dir.path());
  check_refused(run_server({"--addr", free_address(), "--dir", file.string()}), file.string());
  check_refused(run_server({"--addr", free_address(), "--dir", "/proc"}), "/proc");
  CHECK(snapshot(dir.path()) == before);
}

TEST_CASE("a data directory without permission is refused") {
  if (geteuid() == 0) {
    MESSAGE("SKIPPED: root may read everything");
    return;
  }
  const TempDir dir;
  const fs::path closed = dir.path() / "closed";
  fs::create_directory(closed);
  fs::permissions(closed, fs::perms::none);
  check_refused(run_server({"--addr", free_address(), "--dir", closed.string()}), closed.string());
  fs::permissions(closed, fs::perms::owner_all);
  CHECK(fs::is_empty(closed));
}

TEST_CASE("a directory whose files are not ours is refused and left as it was") {
  ServerProcess server;
  REQUIRE(server.connect().command({"SET", "k", "v"}) == "+OK\r\n");
  REQUIRE(server.terminate() == 0);
  // Names as ours, contents as somebody else's, one after the other and all together.
  const auto ours = snapshot(server.dir());
  std::size_t foreign_files = 0;
  const auto make_foreign = [&](const std::string& file) {
    std::ofstream(file, std::ios::binary | std::ios::trunc)
        << "something else altogether, and long enough to hold any header\n";
    ++foreign_files;
  };
  for (const auto& [file, content] : ours) {
    if (content == "(directory)" || content.empty()) continue;
    make_foreign(file);
  }
  REQUIRE(foreign_files > 0);
  const auto foreign = snapshot(server.dir());
  check_refused(run_server({"--addr", free_address(), "--dir", server.dir().string()}),
                server.dir().string());
  CHECK(snapshot(server.dir()) == foreign);

  for (const auto& [file, content] : ours) {
    if (content != "(directory)")
      std::ofstream(file, std::ios::binary | std::ios::trunc) << content;
  }
  server.restart();
  CHECK(server.connect().command({"GET", "k"}) == "$1\r\nv\r\n");
}

TEST_CASE("IPv6 addresses are served") {
  try {
    free_port("::1");
  } catch (const SocketError& error) {
    MESSAGE("SKIPPED: no IPv6 here: " << error.what());
    return;
  }
  const ServerProcess server({.host = "::1"});
  CHECK(server.connect().command({"PING"}) == "+PONG\r\n");
  CHECK(server.log().find(server.address()) != std::string::npos);
}

TEST_CASE("a client may come from any loopback address") {
  const ServerProcess server;
  Socket socket = server.connect({.source = "127.0.0.77"});
  CHECK(socket.command({"PING"}) == "+PONG\r\n");
}

}  // namespace
}  // namespace kvs::test
