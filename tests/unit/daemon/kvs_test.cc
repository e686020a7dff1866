// kvs_test.cc - KVS COMPACT, and what clients see of a full disk.
#include <string>

#include <doctest/doctest.h>

#include "tests/unit/daemon/harness.h"

namespace kvs::daemon::test {

TEST_CASE("KVS COMPACT steers compaction and says how it stands") {
  TestServer server;
  TestClient client(server);
  CHECK(client("KVS COMPACT") == "+OK");
  CHECK(client("kvs compact now") == "+OK");
  CHECK(server.engine.compactions_requested() == 2);
  CHECK(client("KVS COMPACT STATUS").starts_with("*30 $5 state $4 idle $10 debt-bytes :0 "));

  CHECK(client("KVS COMPACT PAUSE") == "+OK");
  CHECK(client("KVS COMPACT STATUS").find("state $6 paused") != std::string::npos);
  CHECK(client("KVS COMPACT NOW") == "-ERR compaction is paused, KVS COMPACT RESUME lets it go on");
  CHECK(server.engine.compactions_requested() == 2);
  CHECK(client("INFO persistence").find("kvs_compaction_paused:1") != std::string::npos);
  CHECK(client("KVS COMPACT RESUME") == "+OK");
  CHECK(client("KVS COMPACT STATUS").find("state $4 idle") != std::string::npos);
}

TEST_CASE("the rate limit of compaction is the same from KVS COMPACT LIMIT and CONFIG SET") {
  TestServer server;
  TestClient client(server);
  CHECK(client("KVS COMPACT LIMIT 1000000") == "+OK");
  CHECK(server.engine.stats().compaction_rate_limit_bytes == 1'000'000);
  CHECK(client("CONFIG GET compact-rate-limit") == "*2 $18 compact-rate-limit $7 1000000");
  CHECK(client("KVS COMPACT STATUS").find("rate-limit :1000000") != std::string::npos);
  CHECK(client("CONFIG SET compact-rate-limit 2mb") == "+OK");
  CHECK(server.engine.stats().compaction_rate_limit_bytes == 2 << 20);
  CHECK(client("KVS COMPACT LIMIT 0") == "+OK");
  CHECK(client("CONFIG GET compact-rate-limit") == "*2 $18 compact-rate-limit $1 0");

  CHECK(client("KVS COMPACT LIMIT -1") == "-ERR the limit must not be negative");
  CHECK(client("KVS COMPACT LIMIT x") == "-ERR value is not an integer or out of range");
  CHECK(client("CONFIG SET compact-rate-limit x").starts_with("-ERR CONFIG SET failed"));
}

TEST_CASE("KVS COMPACT refuses what it does not know") {
  TestServer server;
  TestClient client(server);
  for (const char* line : {"KVS COMPACT LATER", "KVS COMPACT LIMIT", "KVS COMPACT LIMIT 1 2",
                           "KVS COMPACT NOW NOW", "KVS COMPACT STATUS x"}) {
    CAPTURE(line);
    CHECK(client(line) == "-ERR syntax error");
  }
  CHECK(client("KVS NOSUCH") == "-ERR unknown subcommand 'NOSUCH'. Try KVS HELP.");
  CHECK(client("KVS") == "-ERR wrong number of arguments for 'kvs' command");
  CHECK(client("KVS HELP").find("COMPACT PAUSE") != std::string::npos);
  CHECK(server.engine.compactions_requested() == 0);
}

TEST_CASE("on a full disk what would grow is refused, and removals of the same batch are not") {
  TestServer server;
  TestClient client(server);
  CHECK(client("MSET a 1 b 2 n 3") == "+OK");
  server.engine.set_disk_full(true);
  const std::string refusal =
      "-MISCONF Errors writing to the log: the disk is full: only removals are written until there "
      "is room";
  CHECK(client("SET a 2") == refusal);
  CHECK(client("INCR n") == refusal);
  CHECK(client("GET a") == "$1 1");
  CHECK(client.pipeline({"SET c 3", "DEL b", "APPEND a x", "EXISTS a b c"}) ==
        refusal + " :1 " + refusal + " :1");
  CHECK(client("INFO persistence").find("kvs_disk_full:1") != std::string::npos);
  server.engine.set_disk_full(false);
  CHECK(client("SET a 2") == "+OK");
}

}  // namespace kvs::daemon::test
