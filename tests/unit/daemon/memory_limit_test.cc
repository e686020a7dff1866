// memory_limit_test.cc - maxmemory: what is refused above it, what goes on, what counts.
#include "daemon/memory_limit.h"

#include <string>

#include <doctest/doctest.h>

#include "tests/unit/daemon/harness.h"

namespace kvs::daemon::test {
namespace {

constexpr const char* refusal = "-OOM command not allowed when used memory > 'maxmemory'.";

// A buffer of some connection: what is counted beside the engine's memory.
void hold(TestServer& server, std::uint64_t bytes) {
  server.metrics.client_buffer_bytes.store(bytes);
}

TEST_CASE("S27 above maxmemory what may grow is refused, reads and removals go on") {
  TestServer server;
  TestClient client(server);
  CHECK(client("SET a 1") == "+OK");
  CHECK(client("CONFIG SET maxmemory 1gb") == "+OK");
  CHECK(client("CONFIG GET maxmemory") == "*2 $9 maxmemory $10 1073741824");
  CHECK(client("SET a 2") == "+OK");
  hold(server, std::uint64_t{2} << 30);
  for (const char* command : {"SET a 3", "INCR a", "APPEND a 1", "SETBIT a 1 1", "SETRANGE a 0 x",
                              "MSET a 1 b 2", "COPY a b", "GETSET a 3"}) {
    CHECK_MESSAGE(client(command) == refusal, command);
  }
  CHECK(client("GET a") == "$1 2");
  CHECK(client("EXPIRE a 100") == ":1");
  CHECK(client("PUBLISH c m") == ":0");
  CHECK(client("DEL a") == ":1");
  CHECK(client("CONFIG SET maxmemory 0") == "+OK");
  CHECK(client("SET a 3") == "+OK");
}

TEST_CASE("S27 above maxmemory nothing is queued, and EXEC runs only what cannot grow") {
  TestServer server;
  TestClient client(server);
  CHECK(client("CONFIG SET maxmemory 1gb") == "+OK");
  CHECK(client("MULTI") == "+OK");
  CHECK(client("SET a 1") == "+QUEUED");
  hold(server, std::uint64_t{2} << 30);
  CHECK(client("EXEC") ==
        "-EXECABORT Transaction discarded because of: OOM command not allowed when used memory > "
        "'maxmemory'.");
  CHECK(client("EXISTS a") == ":0");
  CHECK(client("MULTI") == "+OK");
  CHECK(client("GET a") == refusal);
  CHECK(client("EXEC") == "-EXECABORT Transaction discarded because of previous errors.");
  hold(server, 0);
  CHECK(client("MULTI") == "+OK");
  CHECK(client("GET a") == "+QUEUED");
  hold(server, std::uint64_t{2} << 30);
  CHECK(client("EXEC") == "*1 $-1");
}

TEST_CASE("S27 the engine's memory counts for maxmemory, and INFO tells what is counted") {
  TestServer server;
  TestClient client(server);
  hold(server, 1000);
  const EngineStats stats = server.services.engine.stats();
  CHECK(counted_memory_bytes(server.services) >= stats.index_bytes + stats.cache_bytes + 1000);
  CHECK(client("INFO memory").find("kvs_maxmemory_counted_bytes:") != std::string::npos);
}

TEST_CASE("S27 who has not authenticated is told so, whatever memory there is") {
  Config config;
  config.requirepass = "secret";
  config.maxmemory = 1;
  TestServer server(config);
  hold(server, 1000);
  TestClient client(server);
  CHECK(client("SET a 1") == "-NOAUTH Authentication required.");
  CHECK(client("AUTH secret") == "+OK");
  CHECK(client("SET a 1") == refusal);
}

}  // namespace
}  // namespace kvs::daemon::test
