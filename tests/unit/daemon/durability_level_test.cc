// durability_level_test.cc - which replies must wait for a sync: rules by prefix, CLIENT
// DURABILITY, the option of SET, and how they add up. That they do wait is tested at sockets.
#include "daemon/durability_level.h"

#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "daemon/commands/config_rewrite.h"
#include "storage/options.h"
#include "tests/support/seed.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/daemon/harness.h"

namespace kvs::daemon::test {

namespace {

PrefixRules rules_of(std::string_view text) {
  auto rules = PrefixRules::parse(text);
  REQUIRE_MESSAGE(rules, std::string(text));
  return *rules;
}

Config with(SyncPolicy policy, const std::string& rules = "") {
  Config config;
  config.sync = policy;
  config.durability_prefix = rules;
  return config;
}

// Must the reply to `line` wait for a sync?
bool waits(TestClient& client, std::string_view line) {
  const std::string reply = client(line);
  CHECK_MESSAGE(!reply.starts_with('-'), line, ": ", reply);
  return client.position() != 0;
}

}  // namespace

TEST_CASE("rules are read and shown as redis.conf would quote them") {
  CHECK(rules_of("").empty());
  CHECK(rules_of("  ").text().empty());
  CHECK(rules_of("b: SYNC  a: kernel").text() == "a: kernel b: sync");
  CHECK(rules_of("a: kernel a: sync").text() == "a: sync");
  CHECK(rules_of("\"two words\" sync \"\" kernel").text() == "\"\" kernel \"two words\" sync");
  CHECK(rules_of("'#tag' sync \"\\x00\\xff\" kernel").text() ==
        "\"\\x00\\xff\" kernel \"#tag\" sync");
  for (const char* text : {"a:", "a: always", "a: sync b:", "\"a: sync", "#a sync", "sync"}) {
    CHECK_MESSAGE(!PrefixRules::parse(text), text);
  }
}

TEST_CASE("the longest prefix of a key decides, whichever others there are") {
  const PrefixRules rules = rules_of("a sync abc kernel abd sync b kernel");
  CHECK(rules.of("") == Durability::unsaid);
  CHECK(rules.of("a") == Durability::sync);
  CHECK(rules.of("abb") == Durability::sync);
  CHECK(rules.of("abc") == Durability::kernel);
  CHECK(rules.of("abcx") == Durability::kernel);
  CHECK(rules.of("abz") == Durability::sync);
  CHECK(rules.of("c") == Durability::unsaid);
  CHECK(rules.strongest() == Durability::sync);
  CHECK(rules_of("a kernel").strongest() == Durability::kernel);
  CHECK(rules_of("\"\" sync").of("") == Durability::sync);

  std::mt19937_64 random(kvs::test::test_seed("prefix rules"));
  const auto word = [&random] {
    std::string text(random() % 6, 'a');
    for (char& letter : text) letter = static_cast<char>('a' + random() % 2);
    return text;
  };
  for (int round = 0; round < 2000; ++round) {
    std::map<std::string, Durability> all;
    std::string text;
    for (std::uint64_t n = random() % 8; n > 0; --n) {
      const std::string prefix = word();
      all[prefix] = random() % 2 == 0 ? Durability::sync : Durability::kernel;
      text += (text.empty() ? "\"" : " \"") + prefix + "\" " + std::string(to_string(all[prefix]));
    }
    const PrefixRules many = rules_of(text);
    const std::string key = word();
    Durability expected = Durability::unsaid;
    std::size_t longest = 0;
    for (const auto& [prefix, level] : all) {
      if (!key.starts_with(prefix) || prefix.size() < longest) continue;
      longest = prefix.size();
      expected = level;
    }
    REQUIRE_MESSAGE(many.of(key) == expected, text, ", key ", key);
  }
}

TEST_CASE("CLIENT DURABILITY asks, tells what is in force, and RESET takes it back") {
  TestServer server(with(SyncPolicy::everysec));
  TestClient client(server);
  TestClient other(server);
  CHECK(client("CLIENT DURABILITY") == "$6 kernel");
  CHECK(client("CLIENT INFO").find(" durability=default") != std::string::npos);
  CHECK(client("CLIENT DURABILITY Sync") == "+OK");
  CHECK(client("CLIENT DURABILITY") == "$4 sync");
  CHECK(other("CLIENT LIST ID 1").find(" durability=sync") != std::string::npos);
  CHECK(other("CLIENT DURABILITY") == "$6 kernel");
  CHECK(client("CLIENT DURABILITY always") == "-ERR syntax error");
  CHECK(client("CLIENT DURABILITY sync sync") ==
        "-ERR wrong number of arguments for 'client|durability' command");
  CHECK(client("CLIENT DURABILITY") == "$4 sync");
  CHECK(client("CLIENT DURABILITY default") == "+OK");
  CHECK(client("CLIENT DURABILITY") == "$6 kernel");
  CHECK(client("CONFIG SET sync always") == "+OK");
  CHECK(client("CLIENT DURABILITY") == "$4 sync");
  CHECK(client("CLIENT DURABILITY kernel") == "+OK");
  CHECK(client("CLIENT DURABILITY") == "$6 kernel");
  CHECK(client("RESET") == "+RESET");
  CHECK(client("CLIENT DURABILITY") == "$4 sync");
}

TEST_CASE("the strongest wish holds, and the policy where nobody has one") {
  for (const SyncPolicy policy : {SyncPolicy::always, SyncPolicy::everysec, SyncPolicy::no}) {
    CAPTURE(to_string(policy));
    const bool always = policy == SyncPolicy::always;
    TestServer server(with(policy, "s: sync k: kernel"));
    TestClient usual(server);
    TestClient kernel(server);
    TestClient sync(server);
    kernel("CLIENT DURABILITY kernel");
    sync("CLIENT DURABILITY sync");
    for (const char* key : {"a", "k:1", "s:1"}) {
      const std::string set = "SET " + std::string(key) + " 1";
      const bool ruled = key[0] == 's';
      CHECK(waits(usual, set) == (ruled || (always && key[0] == 'a')));
      CHECK(waits(kernel, set) == ruled);
      CHECK(waits(sync, set));
      for (TestClient* client : {&usual, &kernel, &sync}) {
        CHECK(waits(*client, set + " DURABILITY sync"));
        CHECK(waits(*client, set + " DURABILITY kernel") == (ruled || client == &sync));
      }
    }
    // The strongest of a command's keys, read or written, there or not.
    CHECK(waits(usual, "MSET k:1 1 a 1") == always);
    CHECK(waits(kernel, "MGET k:1 a s:none"));
    CHECK_FALSE(waits(kernel, "MGET k:1 a k:none"));
    CHECK(waits(kernel, "RENAME a s:2"));
    CHECK(waits(kernel, "RENAME s:2 a"));
    CHECK(waits(kernel, "EXISTS k:1 s:2"));
    CHECK(waits(usual, "GET a") == always);
    CHECK_FALSE(waits(usual, "GET k:1"));
    // What looks at all keys looks at those.
    for (const char* line : {"DBSIZE", "KEYS *", "SCAN 0", "RANDOMKEY", "FLUSHDB"}) {
      CHECK(waits(kernel, line));
    }
    CHECK_FALSE(waits(sync, "PING"));
    CHECK_FALSE(waits(sync, "INFO"));
  }
}

TEST_CASE("a reply that may rest on a swap waits for that swap, whatever keys it has found") {
  // The engine in memory copies what it exchanges, and a copy is a new record.
  const kvs::test::TempDir directory;
  EngineOptions options;
  options.directory = directory.path();
  auto engine = open_engine("kvs", options);
  REQUIRE(engine);
  TestServer server(with(SyncPolicy::always), *std::move(engine));
  TestClient client(server);
  const auto needs = [&client](std::string_view line) {
    client(line);
    return client.position();
  };
  client("SET old 1");
  const Position old = server.services.engine.committed();
  REQUIRE(server.services.engine.sync());
  CHECK(needs("GET old") == old);
  client("SELECT 1");
  const Position swapped = needs("SWAPDB 0 1");
  CHECK(swapped > old);
  CHECK(needs("GET old") == swapped);
  CHECK(client.ran_inline());
  CHECK(needs("PING") == 0);
  client("SELECT 0");
  CHECK(needs("GET old") == swapped);
  client("CLIENT DURABILITY kernel");
  CHECK(needs("GET old") == 0);
}

TEST_CASE("a transaction waits if one of its members would") {
  TestServer server(with(SyncPolicy::always, "k: kernel"));
  TestClient client(server);
  client.pipeline({"MULTI", "SET k:1 1", "SET a 1 DURABILITY kernel", "GET k:1", "EXEC"});
  CHECK(client.position() == 0);
  client.pipeline({"MULTI", "SET k:1 1", "SET a 1 DURABILITY kernel", "SET b 1", "EXEC"});
  CHECK(client.position() != 0);
  client.pipeline({"MULTI", "SET k:1 1 DURABILITY sync", "GET k:1", "EXEC"});
  CHECK(client.position() != 0);
}

TEST_CASE("without rules and wishes the policy alone decides") {
  TestServer server(with(SyncPolicy::no));
  TestClient client(server);
  CHECK_FALSE(waits(client, "SET a 1"));
  CHECK_FALSE(waits(client, "GET a"));
  CHECK(client.ran_inline());
  client("CLIENT DURABILITY sync");
  CHECK(waits(client, "GET a"));
  CHECK(client.ran_inline());
  client("CLIENT DURABILITY default");
  client("CONFIG SET appendfsync always");
  CHECK(waits(client, "GET a"));
}

TEST_CASE("SET takes one DURABILITY with a level, among its other options") {
  TestServer server;
  TestClient client(server);
  CHECK(client("SET a 1 DURABILITY sync NX EX 10") == "+OK");
  CHECK(client("SET a 2 XX GET durability Kernel KEEPTTL") == "$1 1");
  CHECK(waits(client, "SET a 3 NX DURABILITY sync"));  // refused: what it has seen is safe
  for (const char* line : {"SET a 1 DURABILITY", "SET a 1 DURABILITY always",
                           "SET a 1 DURABILITY sync DURABILITY sync", "GETEX a DURABILITY sync"}) {
    CHECK_MESSAGE(client(line) == "-ERR syntax error", line);
  }
  CHECK(client("GET a") == "$1 2");
}

TEST_CASE("WAITAOF reads its numbers as Redis does") {
  TestServer server;
  TestClient client(server);
  CHECK(client("WAITAOF 0 0 0") == "*2 :1 :0");
  CHECK(client("SET a 1") == "+OK");
  CHECK(client("WAITAOF 0 0 0") == "*2 :0 :0");
  CHECK(client("WAITAOF 0 5 9000") == "*2 :0 :0");
  CHECK(client("WAITAOF x 0 0") == "-ERR value is not an integer or out of range");
  CHECK(client("WAITAOF 2 0 0") == "-ERR value is out of range, value must between 0 and 1");
  CHECK(client("WAITAOF -1 0 0") == "-ERR value is out of range, value must between 0 and 1");
  CHECK(client("WAITAOF 1 x 0") == "-ERR value is out of range, must be positive");
  CHECK(client("WAITAOF 1 -1 0") == "-ERR value is out of range, must be positive");
  CHECK(client("WAITAOF 1 0 x") == "-ERR timeout is not an integer or out of range");
  CHECK(client("WAITAOF 1 0 -1") == "-ERR timeout is negative");
  CHECK(client("WAITAOF 1 0 9223372036854775807") == "-ERR timeout is out of range");
  CHECK(client("WAITAOF 1 0") == "-ERR wrong number of arguments for 'waitaof' command");
  CHECK_FALSE(client.client().sync_wait);
  // The connection answers this one; what is behind it in a batch is left for later.
  CHECK(client("WAITAOF 1 0 250") == "");
  REQUIRE(client.client().sync_wait);
  CHECK(client.client().sync_wait->timeout == std::chrono::milliseconds(250));
  client.client().sync_wait.reset();
  CHECK(client.pipeline({"MULTI", "SET a 2", "WAITAOF 1 0 0", "EXEC"}) ==
        "+OK +QUEUED +QUEUED *2 +OK *2 :0 :0");
}

TEST_CASE("CONFIG GET shows the rules that CONFIG SET has replaced") {
  TestServer server(with(SyncPolicy::no, "b: sync"));
  TestClient client(server);
  CHECK(client("CONFIG GET durability-prefix") == "*2 $17 durability-prefix $7 b: sync");
  CHECK(client("CONFIG SET durability-prefix 'z: kernel a: sync'") == "+OK");
  CHECK(client("CONFIG GET durability-prefix") == "*2 $17 durability-prefix $17 a: sync z: kernel");
  CHECK(client("CONFIG SET durability-prefix 'z: fast'") ==
        "-ERR CONFIG SET failed (possibly related to argument 'durability-prefix') - a prefix is "
        "followed by kernel or sync");
  CHECK(waits(client, "SET a:1 1"));
  CHECK(client("CONFIG SET durability-prefix ''") == "+OK");
  CHECK_FALSE(waits(client, "SET a:1 1"));
}

TEST_CASE("CONFIG REWRITE puts all rules into one line, and leaves lines that say the same") {
  Config started = with(SyncPolicy::no, "a: sync b: kernel");
  started.maxclients = 10;
  const std::string before =
      "durability-prefix b: kernel\nmaxclients 10\ndurability-prefix \"a:\" sync\n";
  CHECK(rewritten_config(before, started, started) == before);
  Config now = started;
  now.durability_prefix = "\"x y\" sync";
  CHECK(rewritten_config(before, started, now) ==
        "maxclients 10\ndurability-prefix \"x y\" sync\n");
  now.durability_prefix = "";
  CHECK(rewritten_config(before, started, now) == "maxclients 10\ndurability-prefix \"\"\n");
}

}  // namespace kvs::daemon::test
