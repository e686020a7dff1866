// loading_test.cc - which commands run while the engine still reads its data, and who is told what.
#include "daemon/loading.h"

#include <atomic>
#include <chrono>
#include <stop_token>
#include <string>
#include <thread>

#include <doctest/doctest.h>

#include "tests/unit/daemon/harness.h"

namespace kvs::daemon::test {
namespace {

const std::string refused = "-LOADING Redis is loading the dataset in memory";

// An engine whose load takes until it is released.
class SlowEngine final : public kvs::test::MapEngine {
 public:
  Result<void> load() override {
    while (!released) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return result;
  }
  std::atomic<bool> released = false;
  Result<void> result;
};

}  // namespace

TEST_CASE("while loading every command is refused but those that Redis flags for it") {
  TestServer server;
  server.load_status.begin();
  TestClient client(server);
  for (const Command* command : server.commands.all()) {
    if (command->has(loading) || !command->subcommands.empty()) continue;
    CAPTURE(command->name);
    std::string line(command->name);
    for (int i = 1; i < std::abs(command->arity); ++i) line += " 1";
    CHECK(client(line) == refused);
    CHECK(client.ran_inline());
  }
  for (const char* line : {"HELLO", "CLIENT ID", "CONFIG GET port", "COMMAND COUNT", "SELECT 2"}) {
    CAPTURE(line);
    CHECK(client(line).find("LOADING") == std::string::npos);
  }
  CHECK(client.pipeline({"GET a", "SELECT 1", "SET a 1"}) == refused + " +OK " + refused);
  CHECK(client("INFO persistence").find("loading:1") != std::string::npos);
  server.load_status.end();
  CHECK(client("GET a") == "$-1");
  CHECK(client("INFO persistence").find("loading:0") != std::string::npos);
}

TEST_CASE("a transaction that was refused a command while loading is given up") {
  TestServer server;
  server.load_status.begin();
  TestClient client(server);
  CHECK(client("MULTI") == "+OK");
  CHECK(client("SET a 1") == refused);
  server.load_status.end();
  CHECK(client("EXEC") == "-EXECABORT Transaction discarded because of previous errors.");
  CHECK(client("GET a") == "$-1");
}

TEST_CASE("without a password first comes the request for one, then that it is loading") {
  Config config;
  config.requirepass = "secret";
  TestServer server(config);
  server.load_status.begin();
  TestClient client(server);
  CHECK(client("GET a").starts_with("-NOAUTH"));
  CHECK(client("AUTH secret") == "+OK");
  CHECK(client("GET a") == refused);
}

TEST_CASE("progress is a share of the bytes and an estimate of the rest") {
  LoadStatus status;
  CHECK_FALSE(status.loading());
  status.begin();
  CHECK(status.loading());
  CHECK(status.percent() == 0);
  CHECK(status.seconds_left() == 1);
  status.update({.bytes_done = 25, .bytes_total = 100, .keys = 7});
  CHECK(status.percent() == 25);
  CHECK(status.keys() == 7);
  status.update({.bytes_done = 100, .bytes_total = 100, .keys = 7});
  CHECK(status.seconds_left() == 0);
}

TEST_CASE("what loads in no time has ended before the start returns") {
  uv::Loop loop;
  SlowEngine engine;
  engine.released = true;
  LoadStatus status;
  int ended = 0;
  Loading load(loop, engine, status);
  load.start(std::chrono::seconds(10), [&](const Result<void>& result) {
    CHECK(result.has_value());
    ++ended;
  });
  CHECK(ended == 1);
  CHECK_FALSE(load.running());
  CHECK_FALSE(status.loading());
}

TEST_CASE("what takes longer ends on the loop, and a failure leaves the status at loading") {
  uv::Loop loop;
  SlowEngine engine;
  engine.result = fail(Code::corrupt, "damaged");
  LoadStatus status;
  std::string reason;
  Loading load(loop, engine, status);
  load.start(std::chrono::milliseconds(5), [&](const Result<void>& result) {
    REQUIRE_FALSE(result);
    reason = result.error().message();
    loop.stop();
  });
  CHECK(load.running());
  CHECK(reason.empty());
  engine.released = true;
  loop.run();
  CHECK(reason == "damaged");
  CHECK_FALSE(load.running());
  CHECK(status.loading());
}

}  // namespace kvs::daemon::test
