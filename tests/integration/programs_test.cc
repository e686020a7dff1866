// programs_test.cc - contract.md 1 and 2, row by row, for both programs.
//
// Everything goes through the programs themselves: kvs-client talks, kvs-server answers. How a
// refused start looks in detail is in lifecycle_test.cc, what survives load in durability_test.cc.
#include <array>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/engine_under_test.h"
#include "tests/support/run_program.h"
#include "tests/support/server_process.h"
#include "tests/support/socket.h"
#include "tests/support/temp_dir.h"

using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace kvs::test {
namespace {

using Words = std::vector<std::string>;

std::string free_address() {
  return "127.0.0.1:" + std::to_string(free_port());
}

ProgramResult run(std::string_view name, Words words, const fs::path& dir = {}) {
  return run_program({.program = test_program(name), .arguments = std::move(words), .dir = dir}, {},
                     15s);
}

// kvs-client with --addr after the other words, where the contract wants it accepted.
ProgramResult client_at(const std::string& address, Words words) {
  words.push_back("--addr");
  words.push_back(address);
  return run("kvs-client", std::move(words));
}

// A row of contract.md's table, written as one line.
std::string row(const ProgramResult& result) {
  return "out<" + result.out + "> err<" + result.err + "> exit " +
         (result.timed_out ? "never" : std::to_string(result.exit_code));
}

constexpr std::string_view silent_success = "out<> err<> exit 0";

std::string prints(std::string_view line) {
  return "out<" + std::string(line) + "\n> err<> exit 0";
}

// Nothing on stdout, something on stderr that has `reason` in it, an exit code of its own.
void check_refused(const ProgramResult& result, std::string_view reason = {}) {
  CAPTURE(row(result));
  CHECK_FALSE(result.timed_out);
  CHECK(result.exit_code > 0);
  CHECK(result.exit_code < 128);
  CHECK(result.out.empty());
  CHECK_FALSE(result.err.empty());
  CHECK(result.err.find(reason) != std::string::npos);
}

// Every file below `dir` with its bytes.
std::map<std::string, std::string> snapshot(const fs::path& dir) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(dir)) {
    std::ifstream stream(entry.path(), std::ios::binary);
    files[entry.path().string()] =
        entry.is_regular_file() ? std::string(std::istreambuf_iterator<char>(stream), {}) : "/";
  }
  return files;
}

// Starts a server that must not come up.
ProgramResult refused_server(const fs::path& dir, Words more) {
  more.insert(more.end(), {"--addr", free_address(), "--dir", dir.string()});
  return run("kvs-server", std::move(more));
}

// --- kvs-client, on a server ------------------------------------------------------------------

TEST_CASE("kvs-client: set, get and rm print and return what the contract's table says") {
  const ServerProcess server;
  const std::string at = server.address();
  CHECK(row(client_at(at, {"get", "key"})) == prints("Key not found"));
  CHECK(row(client_at(at, {"rm", "key"})) == "out<> err<Key not found\n> exit 1");
  CHECK(row(client_at(at, {"set", "key", "value"})) == silent_success);
  CHECK(row(client_at(at, {"get", "key"})) == prints("value"));
  CHECK(row(client_at(at, {"set", "key", "other"})) == silent_success);
  CHECK(row(client_at(at, {"get", "key"})) == prints("other"));
  CHECK(row(client_at(at, {"rm", "key"})) == silent_success);
  CHECK(row(client_at(at, {"get", "key"})) == prints("Key not found"));
  CHECK(row(client_at(at, {"rm", "key"})) == "out<> err<Key not found\n> exit 1");
}

TEST_CASE("kvs-client: --addr may stand anywhere") {
  const ServerProcess server;
  const std::string at = server.address();
  CHECK(row(run("kvs-client", {"--addr", at, "set", "k", "1"})) == silent_success);
  CHECK(row(run("kvs-client", {"get", "--addr", at, "k"})) == prints("1"));
  CHECK(row(run("kvs-client", {"get", "k", "--addr=" + at})) == prints("1"));
}

TEST_CASE("kvs-client: keys and values may be empty, dashed, of several lines and of any bytes") {
  const ServerProcess server;
  const std::string at = server.address();
  const Words oddities = {"",
                          " ",
                          "-5",
                          "-x",
                          "two\nlines\n",
                          "\xff\xfe\x01",
                          "[a,b]",
                          "\"q\"",
                          std::string(100'000, 'v')};
  for (const std::string& text : oddities) {
    CAPTURE(text);
    CHECK(row(client_at(at, {"set", "key", text})) == silent_success);
    CHECK(row(client_at(at, {"get", "key"})) == prints(text));
    // As the key, and after "--" anything goes.
    const std::string key = "--" + text;
    CHECK(row(run("kvs-client", {"set", "--addr", at, "--", key, key})) == silent_success);
    CHECK(row(run("kvs-client", {"get", "--addr", at, "--", key})) == prints(key));
    CHECK(row(run("kvs-client", {"rm", "--addr", at, "--", key})) == silent_success);
  }
}

TEST_CASE("kvs-client: an error of the server goes to stderr and nothing to stdout") {
  const ServerProcess server({.password = "secret"});
  for (const Words& words : {Words{"get", "k"}, Words{"set", "k", "v"}, Words{"rm", "k"}}) {
    check_refused(client_at(server.address(), words), "NOAUTH");
  }
}

TEST_CASE("kvs-client and kvs-server speak over IPv6") {
  const ServerProcess server({.host = "::1"});
  CHECK(row(client_at(server.address(), {"set", "k", "v"})) == silent_success);
  CHECK(row(client_at(server.address(), {"get", "k"})) == prints("v"));
}

// --- kvs-client, without one ------------------------------------------------------------------

TEST_CASE("kvs-client: a server that cannot be reached is an error that names it") {
  const std::string nowhere = free_address();
  for (const Words& words : {Words{"get", "k"}, Words{"set", "k", "v"}, Words{"rm", "k"}}) {
    check_refused(client_at(nowhere, words), nowhere);
  }
}

TEST_CASE("kvs-client: a wrong command line is an error before anything else happens") {
  // Each would succeed, or find no server, if the mistake were overlooked.
  const ServerProcess server;
  const std::string at = server.address();
  check_refused(run("kvs-client", {}));
  check_refused(run("kvs-client", {"--addr", at}));
  for (const Words& words :
       {Words{"unknown"}, Words{"unknown", "k"}, Words{"set"}, Words{"set", "k"},
        Words{"set", "k", "v", "extra"}, Words{"set", "k", "v", "--unknown-flag"},
        Words{"set", "k", "--unknown-flag"}, Words{"get"}, Words{"get", "k", "extra"},
        Words{"get", "k", "--unknown-flag"}, Words{"rm"}, Words{"rm", "k", "extra"},
        Words{"rm", "k", "--unknown-flag"}}) {
    check_refused(client_at(at, words));
  }
  CHECK(row(client_at(at, {"get", "k"})) == prints("Key not found"));  // none of them has set it
}

TEST_CASE("kvs-client: a host name or a bad address is refused by name, not resolved or tried") {
  for (const std::string address :
       {"localhost:4000", "invalid-addr", "127.0.0.1", "127.0.0.1:", "127.0.0.1:port", ":4000",
        "127.0.0.1:65536", "::1:4000", "[::1]", "256.1.1.1:4000", ""}) {
    CAPTURE(address);
    for (const Words& words : {Words{"get", "k"}, Words{"set", "k", "v"}, Words{"rm", "k"}}) {
      check_refused(client_at(address, words), address);
    }
  }
  check_refused(run("kvs-client", {"get", "k", "--addr"}));
}

TEST_CASE("-V prints the version of either program and nothing else") {
  const ProgramResult client = run("kvs-client", {"-V"});
  const ProgramResult server = run("kvs-server", {"-V"});
  CHECK(row(client) == prints("kvs-client 0.1.0"));
  CHECK(row(server) == prints("kvs-server 0.1.0"));
}

TEST_CASE("--help of either program is on stdout and names the contract's options") {
  for (const std::string name : {"kvs-client", "kvs-server"}) {
    const ProgramResult help = run(name, {"--help"});
    CHECK(help.exit_code == 0);
    CHECK(help.err.empty());
    CHECK(help.out.find("--addr") != std::string::npos);
    CHECK(help.out.find("127.0.0.1:4000") != std::string::npos);
  }
}

// --- kvs-server ---------------------------------------------------------------------------------

TEST_CASE("kvs-server: a bad address or an unknown engine is an error, and nothing is created") {
  const TempDir dir;
  for (const std::string address : {"localhost:4000", "127.0.0.1", "invalid-addr", "[::1]", ""}) {
    CAPTURE(address);
    check_refused(run("kvs-server", {"--addr", address}, dir.path()), address);
  }
  for (const std::string engine : {"sled", "KVS", "kvs ", "no-such-engine"}) {
    CAPTURE(engine);
    check_refused(refused_server(dir.path(), {"--engine", engine}), engine);
  }
  CHECK(fs::is_empty(dir.path()));
}

TEST_CASE(
    "kvs-server: an address in use is an error, and \"listening\" is not logged before the bind") {
  const ServerProcess holder;
  CHECK(holder.log().find("listening on " + holder.address()) != std::string::npos);
  const TempDir dir;
  const ProgramResult second =
      run("kvs-server", {"--addr", holder.address(), "--dir", dir.path().string()});
  check_refused(second, holder.address());
  CHECK(second.err.find("listening on") == std::string::npos);
  CHECK(fs::is_empty(dir.path()));
  CHECK(row(client_at(holder.address(), {"set", "k", "v"})) == silent_success);
}

TEST_CASE("kvs-server: the log names version, engine and address, all of it on stderr") {
  ServerProcess server;
  const std::string log = server.log();
  for (const std::string& part : {std::string("0.1.0"), std::string("kvs"), server.address()}) {
    CHECK(log.find(part) != std::string::npos);
  }
}

TEST_CASE("kvs-server: data lives in the current directory unless --dir says otherwise") {
  const TempDir current;
  const TempDir other;
  const std::string address = free_address();
  const auto serve_once = [&](Words more) {
    more.insert(more.begin(), {"--addr", address});
    const pid_t pid = start_program({.program = test_program("kvs-server"),
                                     .arguments = std::move(more),
                                     .dir = current.path()},
                                    {});
    // Set once it listens; tried often because a start takes its time.
    ProgramResult set;
    for (int attempt = 0; attempt < 200; ++attempt) {
      set = client_at(address, {"set", "k", "v"});
      if (set.exit_code == 0 || wait_for_program(pid, 50ms)) break;
    }
    CHECK(row(set) == silent_success);
    ::kill(pid, SIGTERM);
    REQUIRE(wait_for_program(pid, 20s) == 0);
  };
  serve_once({"--dir", other.path().string()});
  CHECK(fs::is_empty(current.path()));
  CHECK_FALSE(fs::is_empty(other.path()));
  const auto kept = snapshot(other.path());
  serve_once({});
  CHECK_FALSE(fs::is_empty(current.path()));
  CHECK(snapshot(other.path()) == kept);
}

TEST_CASE("a full session survives a server that is killed and restarted between its steps") {
  for (const std::string policy : {"always", "everysec", "no"}) {
    CAPTURE(policy);
    ServerProcess server({.arguments = {"--engine", engine_under_test(), "--sync", policy}});
    const std::string at = server.address();
    const auto kill_and_restart = [&server] {
      server.kill();
      server.restart();
    };
    CHECK(row(client_at(at, {"set", "key1", "value1"})) == silent_success);
    CHECK(row(client_at(at, {"get", "key1"})) == prints("value1"));
    kill_and_restart();
    CHECK(row(client_at(at, {"get", "key1"})) == prints("value1"));
    CHECK(row(client_at(at, {"set", "key1", "value2"})) == silent_success);
    CHECK(row(client_at(at, {"set", "key2", "value3"})) == silent_success);
    kill_and_restart();
    CHECK(row(client_at(at, {"get", "key1"})) == prints("value2"));
    CHECK(row(client_at(at, {"get", "key2"})) == prints("value3"));
    CHECK(row(client_at(at, {"rm", "key1"})) == silent_success);
    kill_and_restart();
    CHECK(row(client_at(at, {"get", "key1"})) == prints("Key not found"));
    CHECK(row(client_at(at, {"rm", "key1"})) == "out<> err<Key not found\n> exit 1");
    CHECK(row(client_at(at, {"get", "key2"})) == prints("value3"));
    CHECK(server.terminate() == 0);
  }
}

// --- engines (contract.md 2) --------------------------------------------------------------------

constexpr std::array<std::string_view, 2> engines = {"kvs", "rocksdb"};

TEST_CASE("without --engine a new directory is kvs', and an old one its writer's" *
          doctest::test_suite("kvs only")) {
  ServerProcess fresh;
  CHECK(fresh.log().find("engine kvs") != std::string::npos);
  for (const std::string_view engine : engines) {
    CAPTURE(engine);
    const TempDir dir;
    const auto serve = [&dir](Words arguments) {
      return std::make_unique<ServerProcess>(
          ServerOptions{.arguments = std::move(arguments), .dir = dir.path()});
    };
    for (const Words& arguments : {Words{"--engine", std::string(engine)}, Words{},
                                   Words{"--engine", std::string(engine)}}) {
      const auto server = serve(arguments);
      CHECK(server->log().find("engine " + std::string(engine)) != std::string::npos);
      const std::string info = server->connect().command({"INFO", "server"});
      CHECK(info.find("kvs_engine:" + std::string(engine) + "\r\n") != std::string::npos);
      if (!arguments.empty()) {
        CHECK(row(client_at(server->address(), {"set", "k", "v"})) == silent_success);
      }
      CHECK(row(client_at(server->address(), {"get", "k"})) == prints("v"));
      REQUIRE(server->terminate() == 0);
    }
  }
}

TEST_CASE("the data of one engine is not opened as another's, nor touched" *
          doctest::test_suite("kvs only")) {
  for (const std::string_view engine : engines) {
    for (const std::string_view other : engines) {
      if (other == engine) continue;
      CAPTURE(engine);
      CAPTURE(other);
      ServerProcess server({.arguments = {"--engine", std::string(engine)}});
      CHECK(row(client_at(server.address(), {"set", "k", "v"})) == silent_success);
      REQUIRE(server.terminate() == 0);
      const auto before = snapshot(server.dir());
      check_refused(refused_server(server.dir(), {"--engine", std::string(other)}), engine);
      check_refused(refused_server(server.dir(), {"--engine", "no-such-engine"}), "no-such-engine");
      CHECK(snapshot(server.dir()) == before);
      server.restart();
      CHECK(row(client_at(server.address(), {"get", "k"})) == prints("v"));
    }
  }
}

TEST_CASE("the marker decides even when kvs' own files lie beside it" *
          doctest::test_suite("kvs only")) {
  ServerProcess server;
  CHECK(row(client_at(server.address(), {"set", "k", "v"})) == silent_success);
  REQUIRE(server.terminate() == 0);
  const fs::path marker = server.dir() / "ENGINE";
  REQUIRE(fs::exists(marker));
  std::ofstream(marker, std::ios::trunc) << "rocksdb 1\n";
  const auto before = snapshot(server.dir());
  check_refused(refused_server(server.dir(), {"--engine", "kvs"}), "rocksdb");
  CHECK(snapshot(server.dir()) == before);
}

}  // namespace
}  // namespace kvs::test
