// operating_test.cc - what operators look at: the slow log, latency, monitors, statistics by
// command, the config file, and clients that cache. Figures are compared with the commands that
// made them, texts with those of redis-server 7.0.15.
#include <chrono>
#include <string>
#include <thread>

#include <doctest/doctest.h>

#include "daemon/commands/config_rewrite.h"
#include "tests/unit/daemon/harness.h"

namespace kvs::daemon::test {

namespace {

std::string mail_of(TestClient& client) {
  std::string mail;
  REQUIRE(client.client().mailbox->take(mail));
  return shown(mail);
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != text.npos;
}

}  // namespace

TEST_CASE("times fall into buckets whose bounds are within an eighth of them") {
  for (std::uint64_t time = 0; time < 1'000'000; time = time * 9 / 8 + 1) {
    CAPTURE(time);
    const std::size_t bucket = LatencyBuckets::index_of(time);
    CHECK(LatencyBuckets::upper_bound(bucket) >= time);
    CHECK(LatencyBuckets::upper_bound(bucket) <= time + time / 8);
    if (bucket > 0) CHECK(LatencyBuckets::upper_bound(bucket - 1) < time);
  }
  CHECK(LatencyBuckets::index_of(~std::uint64_t{0}) == LatencyBuckets::count - 1);
}

TEST_CASE("INFO counts calls, failures and refusals of each command, and errors by their kind") {
  Config config;
  config.requirepass = "secret";
  TestServer server(config);
  TestClient client(server);
  CHECK(client("GET a").starts_with("-NOAUTH"));
  client("AUTH secret");
  client("SET a x");
  client("INCR a");
  client("GET a");
  client("GET b");
  client("MULTI");
  client("GET a");
  client("EXEC");
  const std::string info = client("INFO everything");
  CHECK(has(info, "cmdstat_get:calls=3,"));
  CHECK(has(info, "rejected_calls=1,failed_calls=0 cmdstat_incr:calls=1,"));
  CHECK(has(info, "rejected_calls=0,failed_calls=1"));
  CHECK(has(info, "errorstat_ERR:count=1 errorstat_NOAUTH:count=1"));
  CHECK(has(info, "latency_percentiles_usec_get:p50="));
  for (const char* refused : {"STRLEN", "STRLEN a b", "CLIENT ID x", "CLIENT nosuch", "NOSUCH"}) {
    client(refused);
  }
  client("MULTI");
  client("STRLEN");
  client("EXEC");
  const std::string later = client("INFO commandstats");
  CHECK(has(later,
            "cmdstat_strlen:calls=0,usec=0,usec_per_call=0.00,rejected_calls=3,failed_calls=0"));
  CHECK(has(later, "cmdstat_client|id:calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,"));
  CHECK(!has(later, "cmdstat_client:"));
  CHECK(has(client("LATENCY HISTOGRAM get"), "$3 get *4 $5 calls :3 $14 histogram_usec *"));
  CHECK(client("LATENCY HISTOGRAM nosuch") == "*0");
  client("CONFIG RESETSTAT");
  CHECK_FALSE(has(client("INFO commandstats"), "cmdstat_get"));
  client("CONFIG SET latency-tracking no");
  CHECK(client("INFO latencystats") == "$16 # Latencystats ");
}

TEST_CASE("the slow log keeps the newest, shortens them, and knows no passwords") {
  TestServer server;
  TestClient client(server);
  CHECK(client("CONFIG SET slowlog-log-slower-than 0 slowlog-max-len 3") == "+OK");
  client("SLOWLOG RESET");
  client("SET long " + std::string(200, 'v'));
  std::string many = "MGET";
  for (int i = 0; i < 40; ++i) many += " k";
  client(many);
  client("AUTH default secret");
  client("CONFIG SET slowlog-log-slower-than -1");
  CHECK(client("SLOWLOG LEN") == ":3");
  const std::string calls = client("SLOWLOG GET -1");
  CHECK(calls.starts_with("*3 "));
  CHECK(has(calls, "$10 (redacted) $10 (redacted)"));
  CHECK_FALSE(has(calls, "secret"));
  CHECK(has(calls, "... (10 more arguments)"));
  CHECK(client("SLOWLOG GET 1").starts_with("*1 *6 :"));
  CHECK(client("SLOWLOG GET 0") == "*0");
  CHECK(client("SLOWLOG GET -2") == "-ERR count should be greater than or equal to -1");
  client("CONFIG SET slowlog-max-len 1");
  CHECK(client("SLOWLOG LEN") == ":1");
  CHECK(client("SLOWLOG RESET") == "+OK");
  CHECK(client("SLOWLOG LEN") == ":0");
}

TEST_CASE("latency events are noted above the threshold only") {
  TestServer server;
  TestClient client(server);
  server.operations.latency.note("sync", std::chrono::milliseconds(50));
  CHECK(client("LATENCY LATEST") == "*0");
  client("CONFIG SET latency-monitor-threshold 20");
  server.operations.latency.note("sync", std::chrono::milliseconds(19));
  CHECK(client("LATENCY LATEST") == "*0");
  CHECK(has(client("LATENCY DOCTOR"), "Nothing took 20 ms"));
  server.operations.latency.note("sync", std::chrono::milliseconds(50));
  server.operations.latency.note("sync", std::chrono::milliseconds(30));
  CHECK(has(client("LATENCY LATEST"), "*1 *4 $4 sync :"));
  CHECK(has(client("LATENCY LATEST"), ":50"));
  CHECK(has(client("LATENCY HISTORY sync"), ":50"));
  CHECK(client("LATENCY HISTORY other") == "*0");
  CHECK(has(client("LATENCY GRAPH sync"), "sync - high 50 ms"));
  CHECK(client("LATENCY GRAPH other") == "-ERR No samples available for event 'other'");
  CHECK(has(client("LATENCY DOCTOR"), "sync: 1 spikes"));
  CHECK(client("LATENCY RESET other sync") == ":1");
  CHECK(client("LATENCY LATEST") == "*0");
}

TEST_CASE("a monitor is shown what runs, but no passwords and nothing administrative") {
  TestServer server;
  TestClient monitor(server);
  TestClient client(server);
  CHECK(monitor("MONITOR") == "+OK");
  client("PING");
  client("SELECT 3");
  client("SET 'a\"b' x");
  client("AUTH default secret");
  client("HELLO 2 AUTH default secret SETNAME me");
  client("CONFIG SET requirepass secret");
  client("NOSUCH");
  const std::string mail = mail_of(monitor);
  CHECK(has(mail, "[0 127.0.0.1:50"));
  CHECK(has(mail, "[3 127.0.0.1:50"));
  CHECK(has(mail, R"("SET" "a\"b" "x")"));
  CHECK(has(mail, R"x("AUTH" "(redacted)" "(redacted)")x"));
  CHECK(has(mail, R"x("HELLO" "2" "AUTH" "(redacted)" "(redacted)" "SETNAME" "me")x"));
  CHECK_FALSE(has(mail, "secret"));
  CHECK_FALSE(has(mail, "NOSUCH"));
  CHECK_FALSE(has(mail, "CONFIG"));
  client("CONFIG SET requirepass ''");
  CHECK(monitor("RESET") == "+RESET");
  mail_of(monitor);
  client("GET a");
  CHECK(mail_of(monitor).empty());
}

TEST_CASE("a tracking client is told once of a change to what it has read") {
  TestServer server;
  TestClient client(server);
  TestClient other(server);
  client("HELLO 3");
  CHECK(client("CLIENT TRACKING ON") == "+OK");
  client("GET a");
  client("MGET b c");
  other("MSET a 1 z 1");
  CHECK(mail_of(client) == ">2 $10 invalidate *1 $1 a");
  other("SET a 2");
  CHECK(mail_of(client).empty());
  client("SET b 1");
  CHECK(mail_of(client) == ">2 $10 invalidate *1 $1 b");
  other("FLUSHDB");
  CHECK(mail_of(client) == ">2 $10 invalidate _");
  client("GET a");
  other("SWAPDB 0 1");
  CHECK(mail_of(client) == ">2 $10 invalidate _");
  other("SWAPDB 1 1");
  CHECK(mail_of(client).empty());
  other("SET c 1");
  CHECK(mail_of(client).empty());
  CHECK(has(client("INFO clients"), "tracking_clients:1"));
  CHECK(client("CLIENT TRACKING OFF") == "+OK");
  client("GET a");
  other("SET a 3");
  CHECK(mail_of(client).empty());
}

TEST_CASE("a change that is not committed is not told, one that is pending is told at its commit") {
  TestServer server;
  TestClient client(server);
  TestClient other(server);
  client("HELLO 3");
  client("CLIENT TRACKING ON");
  client("GET a");
  other("MULTI");
  other("SET a 1");
  CHECK(mail_of(client).empty());
  other("DISCARD");
  CHECK(mail_of(client).empty());
  other("MULTI");
  other("SET a 1");
  other("EXEC");
  CHECK(mail_of(client) == ">2 $10 invalidate *1 $1 a");
}

TEST_CASE("OPTIN tracks what CLIENT CACHING asks for, OPTOUT all but that") {
  TestServer server;
  TestClient client(server);
  TestClient other(server);
  client("HELLO 3");
  client("CLIENT TRACKING ON OPTIN NOLOOP");
  client("GET a");
  client("CLIENT CACHING YES");
  client("GET b");
  client("GET c");
  other("MSET a 1 b 1 c 1");
  CHECK(mail_of(client) == ">2 $10 invalidate *1 $1 b");
  client("CLIENT CACHING YES");
  client("GET b");
  client("SET b 1");
  CHECK(mail_of(client).empty());  // NOLOOP
  CHECK(client("CLIENT CACHING NO") ==
        "-ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.");
  client("CLIENT TRACKING OFF");
  client("CLIENT TRACKING ON OPTOUT");
  client("CLIENT CACHING NO");
  client("GET a");
  client("GET b");
  other("MSET a 2 b 2");
  CHECK(mail_of(client) == ">2 $10 invalidate *1 $1 b");
}

TEST_CASE("a NOLOOP client that reads a key right behind its own change is told of the next one") {
  TestServer server;
  TestClient client(server);
  TestClient other(server);
  client("HELLO 3");
  client("CLIENT TRACKING ON NOLOOP");
  client.pipeline({"SET a 1", "GET a"});
  CHECK(mail_of(client).empty());
  other("SET a 2");
  CHECK(mail_of(client) == ">2 $10 invalidate *1 $1 a");
}

TEST_CASE("who reads what is absent is told of as a miss, who writes or asks about it is not") {
  TestServer server;
  TestClient client(server);
  TestClient listener(server);
  client("CONFIG SET notify-keyspace-events Em");
  listener("SUBSCRIBE __keyevent@0__:keymiss");
  mail_of(listener);
  const std::string message = "*3 $7 message $22 __keyevent@0__:keymiss $1 k";
  for (const char* const read :
       {"GET k", "GETEX k", "GETEX k PERSIST", "GETDEL k", "GETSET k v", "SET k v GET",
        "SET k v XX GET", "COPY k x", "BITOP AND x k", "BITFIELD k GET u1 0", "PFMERGE k", "TTL k",
        "EXISTS k", "TYPE k", "STRLEN k", "PFCOUNT k",
        "EVALSHA b70c2384248f88e6b75b9f89241a180f856ad852 1 k me"}) {
    CAPTURE(read);
    client(read);
    CHECK(mail_of(listener) == message);
    client("DEL k x");
  }
  for (const char* const silent :
       {"OBJECT ENCODING k", "OBJECT FREQ k", "MEMORY USAGE k", "WATCH k", "SETNX k v",
        "SET k v NX", "SET k v XX", "APPEND k v", "BITFIELD k SET u1 0 1", "PFADD k v", "INCR k",
        "EXPIRE k 10", "PERSIST k", "RENAME k x", "MOVE k 1", "DEL k",
        "EVALSHA 862f31bf38e9b63ce28d6e9e5143551bb34ef981 1 k me 1000"}) {
    CAPTURE(silent);
    client(silent);
    CHECK(mail_of(listener).empty());
    client("DEL k x");
  }
  client("UNWATCH");
  CHECK(client("CONFIG RESETSTAT") == "+OK");
  client("GETEX k");
  client("SET k v GET");
  client("GETDEL k");
  client("SET k v NX");
  const std::string stats = client.raw({"INFO", "stats"});
  CHECK(stats.find("keyspace_hits:1\r\n") != std::string::npos);
  CHECK(stats.find("keyspace_misses:2\r\n") != std::string::npos);
}

TEST_CASE("what replaces a key by another one is told of as new") {
  TestServer server;
  TestClient client(server);
  TestClient listener(server);
  client("MSET a 1 b 2");
  client("CONFIG SET notify-keyspace-events En");
  listener("SUBSCRIBE __keyevent@0__:new");
  mail_of(listener);
  const std::string message = "*3 $7 message $18 __keyevent@0__:new $1 b";
  client("SET b 3");
  CHECK(mail_of(listener).empty());
  client("COPY a b REPLACE");
  CHECK(mail_of(listener) == message);
  client("RENAME a b");
  CHECK(mail_of(listener) == message);
}

TEST_CASE("CLIENT LIST tells what a transaction is doing, and what has named no command") {
  TestServer server;
  TestClient client(server);
  const auto has = [&](std::string_view line, std::string_view text) {
    return client(line).find(text) != std::string::npos;
  };
  client("CLIENT NO-EVICT ON");
  client("RESET");
  CHECK(has("CLIENT INFO", " flags=e "));
  client("CLIENT NO-EVICT OFF");
  client("MULTI");
  client("CLIENT INFO");
  CHECK(has("EXEC", " flags=x "));
  TestClient other(server);
  other("NOSUCH");
  CHECK(has("CLIENT LIST", " cmd=NULL "));
  other("GET");
  CHECK(has("CLIENT LIST", " cmd=get "));
  other("MULTI");
  other("NOSUCH");
  other("PING");
  CHECK(has("CLIENT LIST", " multi=0 "));
}

TEST_CASE("a broadcasting client is told of all keys with its prefixes") {
  TestServer server;
  TestClient client(server);
  TestClient other(server);
  client("HELLO 3");
  CHECK(client("CLIENT TRACKING ON BCAST PREFIX u: PREFIX v:") == "+OK");
  CHECK(client("CLIENT TRACKING ON BCAST PREFIX u:x")
            .starts_with("-ERR Prefix 'u:x' overlaps with an existing prefix 'u:'."));
  CHECK(client("CLIENT TRACKINGINFO") ==
        "%3 $5 flags ~2 $2 on $5 bcast $8 redirect :0 $8 prefixes *2 $2 u: $2 v:");
  other("MSET u:2 1 v:1 1 z 1 u:1 1");
  CHECK(mail_of(client) == ">2 $10 invalidate *2 $3 u:1 $3 u:2 >2 $10 invalidate *1 $3 v:1");
}

TEST_CASE("a redirection tells another connection, and says when that is gone") {
  TestServer server;
  TestClient client(server);
  TestClient other(server);
  client("HELLO 3");
  {
    TestClient target(server);
    const std::string id = std::to_string(target.client().shared->id);
    CHECK(client("CLIENT TRACKING ON REDIRECT " + id) == "+OK");
    CHECK(client("CLIENT GETREDIR") == ":" + id);
    client("GET a");
    other("SET a 1");
    CHECK(mail_of(target).empty());  // it reads no messages
    target("SUBSCRIBE __redis__:invalidate");
    client("GET a");
    other("SET a 2");
    CHECK(mail_of(target) == "*3 $7 message $20 __redis__:invalidate *1 $1 a");
    CHECK(mail_of(client).empty());
  }
  client("GET a");
  other("SET a 3");
  CHECK(mail_of(client).starts_with(">2 $21 tracking-redir-broken :"));
  CHECK(has(client("CLIENT TRACKINGINFO"), "broken_redirect"));
}

TEST_CASE("the table of tracked keys is bounded: what is forgotten is invalidated") {
  Config config;
  config.tracking_table_max_keys = 10;
  TestServer server(config);
  TestClient client(server);
  client("HELLO 3");
  client("CLIENT TRACKING ON");
  for (int i = 0; i < 25; ++i) client("GET k" + std::to_string(i));
  CHECK(server.operations.tracking.figures().keys == 10);
  const std::string mail = mail_of(client);
  std::size_t told = 0;
  for (std::size_t at = mail.find("invalidate"); at != mail.npos;
       at = mail.find("invalidate", at + 1)) {
    ++told;
  }
  CHECK(told == 15);
}

TEST_CASE("CLIENT REPLY takes replies away, and what is written stays written") {
  TestServer server;
  TestClient client(server);
  CHECK(client("CLIENT REPLY SKIP").empty());
  CHECK(client("SET a 1").empty());
  CHECK(client("GET a") == "$1 1");
  CHECK(client("CLIENT REPLY OFF").empty());
  CHECK(client("SET a 2").empty());
  CHECK(client("NOSUCH").empty());
  CHECK(client("CLIENT REPLY SKIP").empty());
  CHECK(client("PING").empty());
  CHECK(client("PING").empty());
  CHECK(client("CLIENT REPLY ON") == "+OK");
  CHECK(client("GET a") == "$1 2");
  CHECK(client.pipeline({"CLIENT REPLY SKIP", "SET a 3", "SET a 4", "GET a"}) == "+OK $1 4");
}

TEST_CASE("CLIENT PAUSE holds what it is about, is never shortened, and ends") {
  TestServer server;
  TestClient client(server);
  const auto held = [&](std::string_view line) {
    std::vector<std::string> words = words_of(line);
    const std::vector<std::string_view> args(words.begin(), words.end());
    Request request;
    request.args = args;
    request.command = server.commands.resolve(args, request.error);
    return is_held(server.services, client.client(), request, 1000);
  };
  ClientPause& pause = server.operations.pause;
  CHECK_FALSE(held("SET a 1"));
  pause.begin(ClientPause::Kind::writes, 2000, 0);
  CHECK(held("SET a 1"));
  CHECK(held("PUBLISH a 1"));
  CHECK_FALSE(held("GET a"));
  pause.begin(ClientPause::Kind::all, 1500, 0);
  CHECK(held("GET a"));
  CHECK(pause.until() == 2000);
  CHECK_FALSE(held("CLIENT UNPAUSE"));
  pause.end();
  CHECK_FALSE(held("SET a 1"));
  CHECK(client("CLIENT PAUSE -1") == "-ERR timeout is negative");
  CHECK(client("CLIENT PAUSE 9223372036854775807") == "-ERR timeout is out of range");
}

TEST_CASE("SHUTDOWN ends the server without a reply, unless its words contradict each other") {
  TestServer server;
  TestClient client(server);
  int ended = 0;
  server.operations.shut_down = [&ended] { ++ended; };
  for (const char* wrong : {"SHUTDOWN SAVE NOSAVE", "SHUTDOWN ABORT NOW", "SHUTDOWN X"}) {
    CHECK(client(wrong) == "-ERR syntax error");
  }
  CHECK(client("SHUTDOWN ABORT") == "-ERR No shutdown in progress.");
  CHECK(ended == 0);
  CHECK(client("SHUTDOWN NOSAVE NOW FORCE").empty());
  CHECK(ended == 1);
  CHECK(client.client().close_after_reply);
}

TEST_CASE("DEBUG is closed unless the configuration opens it") {
  TestServer closed;
  CHECK(TestClient(closed)("DEBUG SLEEP 0").starts_with("-ERR DEBUG command not allowed."));
  Config config;
  config.enable_debug_command = DebugCommand::local;
  TestServer open(config);
  TestClient client(open);
  const auto began = std::chrono::steady_clock::now();
  CHECK(client("DEBUG SLEEP 0.05") == "+OK");
  CHECK(std::chrono::steady_clock::now() - began >= std::chrono::milliseconds(50));
  CHECK(client("DEBUG JMAP").starts_with("-ERR unknown subcommand or wrong number of arguments"));
  CHECK(client("LOLWUT").find("Redis ver.") != std::string::npos);
  CHECK(client("LOLWUT VERSION 5").find("Redis ver.") != std::string::npos);
  CHECK(client("LOLWUT VERSION x") == "-ERR value is not an integer or out of range");
}

TEST_CASE("CONFIG REWRITE changes what has changed and keeps everything else") {
  const Config started;
  Config now;
  now.maxclients = 77;
  now.sync = SyncPolicy::always;
  now.notify_keyspace_events = "";
  now.requirepass = "a \"b";
  now.slowlog_max_len = 5;
  const std::string before =
      "# comment: maxclients 5\n\nmaxclients 5\ndir .  \nappendfsync no\n"
      "maxclients 6\nslowlog-max-len 5\nproto-max-bulk-len 512mb\n";
  const std::string after = rewritten_config(before, started, now);
  CHECK(after ==
        "# comment: maxclients 5\n\nmaxclients 5\ndir .  \nsync always\nmaxclients 77\n"
        "slowlog-max-len 5\nproto-max-bulk-len 512mb\n# Generated by CONFIG REWRITE\n"
        "requirepass \"a \\\"b\"\n");
  CHECK(rewritten_config(after, started, now) == after);
}

TEST_CASE("COMMAND GETKEYSANDFLAGS says what is done to each key") {
  TestServer server;
  TestClient client(server);
  CHECK(client("COMMAND GETKEYSANDFLAGS MSET a 1 b 2") ==
        "*2 *2 $1 a *2 +OW +update *2 $1 b *2 +OW +update");
  CHECK(client("COMMAND GETKEYSANDFLAGS PING x") == "-ERR The command has no key arguments");
}

TEST_CASE("MEMORY reports are whole in both protocols") {
  TestServer server;
  TestClient client(server);
  client("SET a 1");
  CHECK(has(client("MEMORY STATS"), "$4 db.0 *4 $23 overhead.hashtable.main"));
  client("HELLO 3");
  CHECK(client("MEMORY STATS").starts_with("%27 $14 peak.allocated :"));
  CHECK(has(client("MEMORY DOCTOR"), "txt:"));
  CHECK(has(client("MEMORY MALLOC-STATS"), "<malloc"));
  CHECK(client("MEMORY PURGE") == "+OK");
}

}  // namespace kvs::daemon::test
