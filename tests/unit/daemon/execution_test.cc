// execution_test.cc - commands where time, faults and other connections matter.
#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "tests/unit/daemon/harness.h"

namespace kvs::daemon::test {

using kvs::test::MapEngine;

namespace {

void sleep_ms(int ms) {
  std::this_thread::sleep_for(std::chrono::milliseconds(ms));
}

}  // namespace

TEST_CASE("resident reads run inline; writes and long commands do not") {
  TestServer server;
  TestClient client(server);
  client("SET a 1");
  CHECK_FALSE(client.ran_inline());
  for (const char* line : {"GET a", "MGET a b", "EXISTS a", "TTL a", "PING", "WATCH a", "MULTI"}) {
    CAPTURE(line);
    client(line);
    CHECK(client.ran_inline());
  }
  client("SET a 2");
  CHECK(client.ran_inline());  // queued
  client("EXEC");
  CHECK_FALSE(client.ran_inline());
  client("KEYS *");
  CHECK_FALSE(client.ran_inline());
}

TEST_CASE("a cold value is read on the pool, and the reply is the same") {
  TestServer server;
  TestClient client(server);
  client("MSET a 1 b 2");
  server.engine.set_cold(true);
  CHECK(client("GET a") == "$1 1");
  CHECK_FALSE(client.ran_inline());
  CHECK(client("MGET a nosuch b") == "*3 $1 1 $-1 $1 2");
  CHECK(client("GETRANGE a 0 -1") == "$1 1");
  CHECK(client("APPEND a x") == ":2");
  CHECK(client("WATCH a") == "+OK");
  CHECK(client("MULTI") == "+OK");
  CHECK(client("GET a") == "+QUEUED");
  CHECK(client("EXEC") == "*1 $2 1x");
  CHECK(client("STRLEN a") == ":2");  // needs no value
  CHECK(client.ran_inline());
}

TEST_CASE("a corrupt record is an error, never null, and half a reply is never written") {
  TestServer server;
  TestClient client(server);
  client("MSET a 1 b 2");
  server.engine.fail_reads(Error(Code::corrupt, "checksum"));
  const std::string error = "-ERR corrupt record: checksum";
  for (const char* line :
       {"GET a", "MGET nosuch a", "GETRANGE a 0 1", "APPEND a x", "INCR a", "INCRBYFLOAT a 1",
        "GETSET a 1", "GETDEL a", "GETEX a", "SET a 2 GET", "EXPIRE a 100", "RENAME a c",
        "RENAMENX a c", "COPY a c", "SETRANGE a 0 x", "OBJECT ENCODING a"}) {
    CAPTURE(line);
    CHECK(client(line) == error);
  }
  server.engine.fail_reads(std::nullopt);
  CHECK(client("MGET a b c") == "*3 $1 1 $1 2 $-1");
  CHECK(client("TTL a") == ":-1");
}

TEST_CASE("a commit that fails turns the reply into an error, and nothing happened") {
  TestServer server;
  TestClient client(server);
  client("SET a 1");
  server.engine.fail_next_commit(Error(Code::no_space, "No space left on device"));
  CHECK(client("SET a 2") == "-MISCONF Errors writing to the log: No space left on device");
  CHECK(client("GET a") == "$1 1");
  CHECK(client("SET a 2") == "+OK");
}

TEST_CASE("when a commit fails, reads of the same batch are answered without its writes") {
  TestServer server;
  TestClient client(server);
  client("SET a 1");
  server.engine.fail_next_commit(Error(Code::no_space, "No space left on device"));
  CHECK(client.pipeline({"SET a 2", "GET a", "PING", "INCR a", "GET b"}) ==
        "-MISCONF Errors writing to the log: No space left on device $1 1 +PONG "
        "-MISCONF Errors writing to the log: No space left on device $-1");
  // Else the connection would wait for a position that never comes.
  CHECK(client.position() <= server.engine.committed());
  CHECK(client("GET a") == "$1 1");
}

TEST_CASE("an EXEC that is refused leaves the transaction; one that only reads is not refused") {
  TestServer server;
  TestClient client(server);
  client("SET a 1");
  server.engine.refuse_writes(Error(Code::read_only, "a sync has failed"));
  CHECK(client("MULTI") == "+OK");
  CHECK(client("SET a 2") == "+QUEUED");
  CHECK(client("EXEC") == "-MISCONF Errors writing to the log: a sync has failed");
  CHECK(client("GET a") == "$1 1");
  CHECK(client("EXEC") == "-ERR EXEC without MULTI");
  CHECK(client("MULTI") == "+OK");
  CHECK(client("GET a") == "+QUEUED");
  CHECK(client("EXEC") == "*1 $1 1");
  server.engine.refuse_writes(std::nullopt);
  CHECK(client("SET a 3") == "+OK");
}

TEST_CASE("keys expire, and what is written behind them begins anew") {
  TestServer server;
  TestClient client(server);
  client("SET a 1 PX 30");
  client("SET n 5 PX 30");
  client("SET k 1 PX 30");
  CHECK(client("EXISTS a n k") == ":3");
  sleep_ms(40);
  CHECK(client("GET a") == "$-1");
  CHECK(client("TTL a") == ":-2");
  CHECK(client("INCR n") == ":1");
  CHECK(client("TTL n") == ":-1");
  CHECK(client("SET k 2 XX") == "$-1");
  CHECK(client("SET k 2 NX") == "+OK");
  CHECK(client("DEL a") == ":0");
}

TEST_CASE("PTTL and TTL count down from what was set") {
  TestServer server;
  TestClient client(server);
  client("SET a 1 PX 1400");
  CHECK(client("TTL a") == ":1");
  const long long left = std::stoll(client("PTTL a").substr(1));
  CHECK(left > 1000);
  CHECK(left <= 1400);
  client("PEXPIRE a 1700");
  CHECK(client("TTL a") == ":2");
}

TEST_CASE("EXEC answers null when another connection has changed a watched key") {
  TestServer server;
  TestClient client(server);
  TestClient other(server);
  for (const char* change : {"SET a 2", "DEL a", "EXPIRE a 100", "FLUSHALL", "RENAME a b",
                             "COPY other a REPLACE", "INCR a", "FLUSHDB", "GETDEL a"}) {
    CAPTURE(change);
    other("MSET a 1 other 1");
    CHECK(client("WATCH a") == "+OK");
    other(change);
    CHECK(client("MULTI") == "+OK");
    CHECK(client("SET mine 1") == "+QUEUED");
    CHECK(client("EXEC") == "*-1");
    CHECK(client("EXISTS mine") == ":0");
    CHECK(server.watches.count() == 0);
  }
  for (const char* no_change : {"GET a", "SET other 2", "DEL nosuch", "EXISTS a", "SET a 2 NX"}) {
    CAPTURE(no_change);
    other("MSET a 1 other 1");
    client("WATCH a");
    other(no_change);
    client("MULTI");
    client("PING");
    CHECK(client("EXEC") == "*1 +PONG");
  }
  // The same name in another database is another key.
  client("WATCH a");
  other("SELECT 1");
  other("SET a 9");
  client("MULTI");
  CHECK(client("EXEC") == "*0");
}

TEST_CASE("EXEC answers null when a watched key has expired, or has come") {
  TestServer server;
  TestClient client(server);
  TestClient other(server);
  client("SET a 1 PX 30");
  client("WATCH a");
  sleep_ms(40);
  client("MULTI");
  CHECK(client("EXEC") == "*-1");
  client("WATCH nosuch");
  other("SET nosuch 1");
  client("MULTI");
  CHECK(client("EXEC") == "*-1");
}

TEST_CASE("a swap changes the watched keys that either database has, and no others") {
  TestServer server;
  TestClient client(server);
  TestClient other(server);
  const auto goes_on = [&](std::string_view key, const std::vector<const char*>& changes) {
    client("WATCH " + std::string(key));
    for (const char* change : changes) other(change);
    client("MULTI");
    return client("EXEC") == "*0";
  };
  other("SELECT 1");
  other("SET there 1");
  other("SELECT 0");
  other("SET here 1");
  CHECK_FALSE(goes_on("here", {"SWAPDB 0 1"}));
  other("SWAPDB 1 0");
  CHECK_FALSE(goes_on("there", {"SWAPDB 1 0"}));
  CHECK_FALSE(goes_on("here", {"SWAPDB 1 0", "SWAPDB 0 1"}));
  CHECK(goes_on("nosuch", {"SWAPDB 1 0"}));
  CHECK(goes_on("here", {"SWAPDB 2 3", "SWAPDB 0 0"}));
  other("SET brief 1 PX 20");
  other("SWAPDB 0 1");
  sleep_ms(30);
  CHECK(goes_on("brief", {"SWAPDB 1 0"}));  // neither has it any more
}

TEST_CASE("a command never sees two keys on both sides of a swap") {
  // Exchanges two databases after each of the next reads that have no session.
  class Restless : public MapEngine {
   public:
    int swaps = 0;
    Result<std::optional<KeyInfo>> get(Key key, Access access, std::string& value) override {
      auto found = MapEngine::get(key, access, value);
      if (swaps == 0) return found;
      --swaps;
      auto session = begin();
      (*session)->swap(0, 1);
      REQUIRE((*session)->commit());
      return found;
    }
  };
  auto given = std::make_unique<Restless>();
  Restless& engine = *given;
  TestServer server({}, std::move(given));
  TestClient client(server);
  client("MSET a zero b zero");
  client("SELECT 1");
  client("MSET a one b one");
  client("SELECT 0");
  client("CONFIG SET notify-keyspace-events Km");
  // Seen on the loop, and then on the pool: from there on nobody else writes.
  engine.swaps = 2;
  CHECK(client("MGET a none b") == "*3 $4 zero $-1 $4 zero");
  CHECK(engine.swaps == 0);
  engine.swaps = 1;
  CHECK(client("MGET a none b") == "*3 $3 one $-1 $3 one");
  CHECK(client.pipeline({"SET c 1", "MGET a b"}) == "+OK *2 $3 one $3 one");
}

TEST_CASE("UNWATCH, DISCARD, RESET and EXEC end watches") {
  TestServer server;
  TestClient client(server);
  TestClient other(server);
  client("WATCH a b a");
  CHECK(server.watches.count() == 2);
  CHECK(client("UNWATCH") == "+OK");
  CHECK(server.watches.count() == 0);
  for (const char* end : {"DISCARD", "RESET", "EXEC"}) {
    client("WATCH a");
    client("MULTI");
    CHECK(server.watches.count() == 1);
    client(end);
    CHECK(server.watches.count() == 0);
    CHECK_FALSE(client.client().in_transaction);
    CHECK(client.client().shared->queued.load() == -1);
  }
  client("WATCH a");
  client("UNWATCH");
  other("SET a 1");
  client("MULTI");
  CHECK(client("EXEC") == "*0");
  {
    TestClient leaving(server);
    leaving("WATCH a");
    CHECK(server.watches.count() == 1);
  }
  CHECK(server.watches.count() == 0);
}

TEST_CASE("a whole transaction fits into one pipeline") {
  TestServer server;
  TestClient client(server);
  CHECK(client.pipeline({"SET a 1", "WATCH a", "MULTI", "INCR a", "GET a", "EXEC", "GET a"}) ==
        "+OK +OK +OK +QUEUED +QUEUED *2 :2 $1 2 $1 2");
  CHECK(client.pipeline({"WATCH a", "SET a 5", "MULTI", "INCR a", "EXEC", "GET a"}) ==
        "+OK +OK +OK +QUEUED *-1 $1 5");
}

TEST_CASE("SCAN visits every key once, step by step") {
  TestServer server;
  TestClient client(server);
  for (int i = 0; i < 500; ++i) client("SET key:" + std::to_string(i) + " v");
  std::string cursor = "0";
  std::vector<std::string> seen;
  do {
    const auto words = words_of(client("SCAN " + cursor + " COUNT 7 MATCH key:*"));
    cursor = words[2];
    for (std::size_t i = 5; i < words.size(); i += 2) seen.push_back(words[i]);
  } while (cursor != "0" && seen.size() <= 500);
  std::sort(seen.begin(), seen.end());
  CHECK(seen.size() == 500);
  CHECK(std::unique(seen.begin(), seen.end()) == seen.end());
  CHECK(client("SCAN 0 COUNT 9223372036854775807").starts_with("*2 $1 0 *500 "));
}

TEST_CASE("values are bytes") {
  TestServer server;
  TestClient client(server);
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  CHECK(client.raw({"SET", bytes, bytes}) == "+OK\r\n");
  CHECK(client.raw({"GET", bytes}) == "$256\r\n" + bytes + "\r\n");
  CHECK(client.raw({"GETRANGE", bytes, "10", "13"}) == "$4\r\n\n\x0b\x0c\r\r\n");
  const std::string large(3 << 20, 'x');
  CHECK(client.raw({"SET", "large", large}) == "+OK\r\n");
  CHECK(client.raw({"GET", "large"}).size() == large.size() + 12);
  CHECK(client.raw({"GET", bytes}) == "$256\r\n" + bytes + "\r\n");
}

}  // namespace kvs::daemon::test
