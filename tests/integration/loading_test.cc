// loading_test.cc - what a server answers while it still reads its data, over real sockets.
//
// The data is large enough, and read by one thread, for the reading to be seen: some seconds of it
// without hints, which a directory filled by the library alone does not have.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <thread>

#include <doctest/doctest.h>

#include "storage/options.h"
#include "tests/support/run_program.h"
#include "tests/support/server_process.h"
#include "tests/support/socket.h"
#include "tests/support/temp_dir.h"

using namespace std::chrono_literals;

namespace kvs::test {
namespace {

constexpr int keys = 3'000'000;
constexpr int keys_per_session = 1000;
const std::string loading_reply = "-LOADING Redis is loading the dataset in memory\r\n";

std::string key_of(int number) {
  return "key:" + std::to_string(number);
}

// Made once: the tests leave it as it is, or only end servers in it.
const std::filesystem::path& filled_directory() {
  static const TempDir dir;
  static const bool filled = [] {
    EngineOptions options;
    options.directory = dir.path();
    auto engine = open_engine("", options);
    REQUIRE(engine);
    for (int first = 0; first < keys; first += keys_per_session) {
      auto session = (*engine)->begin();
      REQUIRE(session);
      for (int i = first; i < first + keys_per_session; ++i) {
        (*session)->put({0, key_of(i)}, "v" + std::to_string(i), never);
      }
      REQUIRE((*session)->commit());
    }
    return true;
  }();
  REQUIRE(filled);
  return dir.path();
}

ServerOptions options_for(const std::filesystem::path& dir) {
  return {.arguments = {"--recovery-threads", "1"}, .dir = dir, .wait_until = WaitUntil::answering};
}

std::map<std::string, std::uintmax_t> sizes(const std::filesystem::path& dir) {
  std::map<std::string, std::uintmax_t> files;
  for (const auto& entry : std::filesystem::directory_iterator(dir)) {
    files[entry.path().filename()] = entry.file_size();
  }
  return files;
}

}  // namespace

TEST_CASE("a server that loads says so, and then answers from its data") {
  ServerProcess server(options_for(filled_directory()));
  Socket client = server.connect();
  REQUIRE(client.command({"PING"}) == loading_reply);
  CHECK(client.command({"GET", key_of(1)}) == loading_reply);
  CHECK(client.command({"SET", "new", "value"}) == loading_reply);
  CHECK(client.command({"DBSIZE"}) == loading_reply);
  CHECK(client.command({"CLIENT", "SETNAME", "early"}) == "+OK\r\n");
  CHECK(client.command({"SELECT", "1"}) == "+OK\r\n");
  CHECK(client.command({"SELECT", "0"}) == "+OK\r\n");
  CHECK(client.command({"MULTI"}) == "+OK\r\n");
  CHECK(client.command({"SET", "new", "value"}) == loading_reply);
  CHECK(client.command({"EXEC"}).starts_with("-EXECABORT"));
  const std::string info = client.command({"INFO", "persistence"});
  REQUIRE(info.find("\r\nloading:1\r\n") != std::string::npos);
  for (const char* field : {"loading_start_time:", "loading_total_bytes:", "loading_loaded_bytes:",
                            "loading_loaded_perc:", "loading_eta_seconds:"}) {
    CHECK_MESSAGE(info.find(field) != std::string::npos, field);
  }
  // A second server finds the directory taken, as ever.
  const auto second =
      run_program({.program = test_program("kvs-server"),
                   .arguments = {"--addr", "127.0.0.1:0", "--dir", filled_directory().string()}},
                  {}, 10s);
  CHECK(second.exit_code == 1);
  CHECK(second.err.find("listening") == std::string::npos);

  std::string pong;
  for (int i = 0; i < 6000 && pong != "+PONG\r\n"; ++i) {
    std::this_thread::sleep_for(10ms);
    pong = client.command({"PING"});
  }
  REQUIRE(pong == "+PONG\r\n");
  CHECK(client.command({"DBSIZE"}) == ":" + std::to_string(keys) + "\r\n");
  CHECK(client.command({"GET", key_of(keys - 1)}) == "$8\r\nv" + std::to_string(keys - 1) + "\r\n");
  CHECK(client.command({"GET", "new"}) == "$-1\r\n");
  CHECK(client.command({"INFO", "persistence"}).find("\r\nloading:0\r\n") != std::string::npos);
  CHECK(server.terminate() == 0);
}

TEST_CASE("a server that is told to stop while it loads ends in order and changes nothing") {
  const auto before = sizes(filled_directory());
  ServerProcess server(options_for(filled_directory()));
  const bool was_loading = server.connect().command({"PING"}) == loading_reply;
  REQUIRE(was_loading);
  CHECK(server.terminate(5s) == 0);
  CHECK(server.log().find("stopped before the data was read") != std::string::npos);
  CHECK(sizes(filled_directory()) == before);
}

TEST_CASE("damage that is found while loading ends the server with the reason") {
  TempDir damaged;
  std::filesystem::copy(filled_directory(), damaged.path(),
                        std::filesystem::copy_options::recursive);
  {
    std::fstream file(damaged.path() / "0000000000000001.log",
                      std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(1'000'000);
    file.put('x');
    file.put('y');
  }
  const auto before = sizes(damaged.path());
  const auto result = run_program({.program = test_program("kvs-server"),
                                   .arguments = {"--addr", "127.0.0.1:0", "--recovery-threads", "1",
                                                 "--dir", damaged.path().string()}},
                                  {}, 60s);
  CHECK_FALSE(result.timed_out);
  CHECK(result.exit_code == 1);
  CHECK(result.err.find("corrupt segment") != std::string::npos);
  CHECK(sizes(damaged.path()) == before);
}

}  // namespace kvs::test
