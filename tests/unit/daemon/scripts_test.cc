// scripts_test.cc - what the scripts that are known by their digest do, in the words of the
// libraries that send them. tests/clients runs such libraries with their own texts.
#include <string>

#include <doctest/doctest.h>

#include "daemon/acl/accounts.h"
#include "tests/unit/daemon/harness.h"

namespace kvs::daemon::test {

namespace {

// What Redis adds to the errors of a script.
std::string in_script(const std::string& digest, int line) {
  return " script: " + digest + ", on @user_script:" + std::to_string(line) + ".";
}

// EVALSHA of `digest`.
std::string run(TestClient& client, const std::string& digest, const std::string& words) {
  return client("EVALSHA " + digest + " " + words);
}

}  // namespace

TEST_CASE("a lock is released, renewed and looked at by its owner only") {
  TestServer server;
  TestClient client(server);
  for (const char* const release :
       {"c3f8721cbb97f72bc19e972846bd7aaf91901658", "cf0e94b2e9ffc7e04395cf88f7583fc309985910",
        "7157921a7cc7cfba979acf6d63f073151df17d12", "4e92fdc63815b3a0a2dd1c1df3694de73607c88d",
        "8e4905cee18e7c3188d10f2b8b170e403baed34f", "00583931c4e4d483f6233879c133c71ed5393f9d",
        "b70c2384248f88e6b75b9f89241a180f856ad852", "647c65a442733a1aa440f99908d249d13b4d6c4a",
        "194f3902b2dd08557818d09fc2e7682d91480e53"}) {
    CAPTURE(release);
    CHECK(client("SET lock me PX 100000") == "+OK");
    CHECK(run(client, release, "1 lock you") == ":0");
    CHECK(run(client, release, "1 lock me") == ":1");
    CHECK(run(client, release, "1 lock me") == ":0");
    CHECK(client("EXISTS lock") == ":0");
  }
  struct Renewal {
    std::string digest;
    int first_line, last_line;
  };
  for (const auto& [renew, first_line, last_line] :
       {Renewal{"1cac51482acf5858da00f6d685d68f886cd6b6b2", 2, 6},
        Renewal{"a7aba3bc5d6e99b3003da8b9d80a63b9f4092ecf", 1, 1},
        Renewal{"594683e49a64ebaf975caf5f8079a1d097c438f1", 6, 9},
        Renewal{"d75bb8b5bd13532ddedd17762e772346e39b321e", 2, 3}}) {
    CAPTURE(renew);
    CHECK(client("SET lock me PX 1000") == "+OK");
    CHECK(run(client, renew, "1 lock you 100000") == ":0");
    CHECK(client("TTL lock") == ":1");
    CHECK(run(client, renew, "1 lock me 100000") == ":1");
    CHECK(client("TTL lock") == ":100");
    CHECK(run(client, renew, "1 nosuch me 100000") == ":0");
    const std::string no_word = "-ERR Lua redis lib command arguments must be strings or integers";
    CHECK(run(client, renew, "1 lock me x") ==
          "-ERR value is not an integer or out of range" + in_script(renew, last_line));
    CHECK(run(client, renew, "1 lock me") == no_word + in_script(renew, last_line));
    CHECK(run(client, renew, "0") == no_word + in_script(renew, first_line));
  }
  const std::string remaining = "6484da7d58920897fdc22b7f9afd1a3d47524ea8";
  CHECK(run(client, remaining, "1 lock you") == ":-3");
  CHECK(fits(run(client, remaining, "1 lock me"), ":%d"));
}

TEST_CASE("redis-py extends a lock to a time or by a time, if it has a deadline") {
  TestServer server;
  TestClient client(server);
  const std::string extend = "a4e8783852e6b949f9ef3a97212805108459a890";
  CHECK(client("SET lock me PX 100000") == "+OK");
  CHECK(run(client, extend, "1 lock you 100000 0") == ":0");
  CHECK(run(client, extend, "1 lock me 100000 0") == ":1");
  CHECK(client("TTL lock") == ":200");
  CHECK(run(client, extend, "1 lock me 50000 1") == ":1");
  CHECK(client("TTL lock") == ":50");
  // Lua calculates with doubles.
  CHECK(run(client, extend, "1 lock me 0x10 0") == ":1");
  CHECK(run(client, extend, "1 lock me 1e3 0") == ":1");
  for (const char* const unusable : {"9223372036854775807", "0.5", "nan"}) {
    CHECK(run(client, extend, std::string("1 lock me ") + unusable + " 0") ==
          "-ERR value is not an integer or out of range" + in_script(extend, 18));
  }
  CHECK(run(client, extend, "1 lock me x 0") ==
        "-ERR user_script:16: attempt to perform arithmetic on field '?' (a string value)" +
            in_script(extend, 16));
  CHECK(client("SET lock me") == "+OK");
  CHECK(run(client, extend, "1 lock me 100000 0") == ":0");
}

TEST_CASE("redlock locks several resources together or not at all") {
  TestServer server;
  TestClient client(server);
  struct Version {
    std::string acquire, extend, release;
  };
  for (const Version& version : {Version{"e5a322e2634ef59a516e8ea150cb085afafee684",
                                         "ce46f80993d5dac20dd066eb301a4e37994bdbed",
                                         "0f0f23b9048b36752b5be114f357ba083449f908"},
                                 Version{"96da70f7716f27d278a5218544df37fd8b0a5e4c",
                                         "aed6f382e410db8ba7926d4e5e9aab410bf2a78a",
                                         "e4612211c9f8f51c257e26e056b0a654b3187242"}}) {
    CHECK(run(client, version.acquire, "2 a b me 100000") == ":2");
    CHECK(client("MGET a b") == "*2 $2 me $2 me");
    CHECK(client("TTL b") == ":100");
    CHECK(run(client, version.acquire, "2 c b you 100000") == ":0");
    CHECK(client("EXISTS c") == ":0");
    CHECK(run(client, version.extend, "2 a b me 200000") == ":2");
    CHECK(client("TTL a") == ":200");
    CHECK(run(client, version.extend, "2 a c me 300000") == ":0");
    CHECK(client("TTL a") == ":200");
    CHECK(run(client, version.release, "3 a b c you") == ":0");
    CHECK(run(client, version.release, "3 a b c me") == ":2");
    CHECK(client("EXISTS a b") == ":0");
    CHECK(run(client, version.acquire, "0 me 1000") == ":0");
  }
  const std::string once = "862f31bf38e9b63ce28d6e9e5143551bb34ef981";
  CHECK(run(client, once, "1 lock me 100000") == "+OK");
  CHECK(run(client, once, "1 lock you 100000") == "$-1");
}

TEST_CASE("redlock-rb takes a lock that is free, and keeps one that it has") {
  TestServer server;
  TestClient client(server);
  const std::string lock = "ceb2b2062e40c51a2b3963fd078bc71f11bdc65c";
  CHECK(run(client, lock, "1 lock me 100000 no") == "$-1");
  CHECK(run(client, lock, "1 lock me 100000 yes") == "+OK");
  CHECK(run(client, lock, "1 lock you 100000 yes") == "$-1");
  CHECK(run(client, lock, "1 lock me 200000 no") == "+OK");
  CHECK(client("TTL lock") == ":200");
  const std::string look = "78d2ca48a6dc9ef6892059792a3a0c5237733d64";
  CHECK(fits(run(client, look, "1 lock"), "*2 $2 me :%d"));
  CHECK(run(client, look, "1 nosuch") == "*2 $-1 :-2");
}

TEST_CASE("counters of django-redis and rate-limiter-flexible count") {
  TestServer server;
  TestClient client(server);
  const std::string present = "f4a7da3e5d8ea3b46642af08427151cae0190400";
  CHECK(run(client, present, "1 n 5") == "$-1");
  CHECK(run(client, "4d15273b16b10c15e1d9202cbe93c959ab7d250b", "1 n 5") == ":5");
  CHECK(run(client, present, "1 n -2") == ":3");
  CHECK(client("SET n abc") == "+OK");
  CHECK(run(client, present, "1 n 1") ==
        "-ERR value is not an integer or out of range" + in_script(present, 4));
  // What comes out of Lua has been a double.
  CHECK(client("SET n 9007199254740992") == "+OK");
  CHECK(run(client, present, "1 n 1") == ":9007199254740992");
  CHECK(client("GET n") == "$16 9007199254740993");

  const std::string window = "a1de965f42e177aa339706bd580f049065eca79a";
  CHECK(run(client, window, "1 hits 1 100") == "*2 :1 :100000");
  CHECK(fits(run(client, window, "1 hits 2 100"), "*2 :3 :%d"));
  CHECK(client("PERSIST hits") == ":1");
  CHECK(run(client, window, "1 hits 1 50") == "*2 :4 :50000");
}

TEST_CASE("a script tells of what it does as its commands would") {
  TestServer server;
  TestClient client(server);
  CHECK(client("CONFIG SET notify-keyspace-events Eg") == "+OK");
  CHECK(client("SET lock me") == "+OK");
  TestClient watcher(server);
  CHECK(watcher("WATCH lock") == "+OK");
  CHECK(watcher("MULTI") == "+OK");
  CHECK(watcher("PING") == "+QUEUED");
  CHECK(run(client, "c3f8721cbb97f72bc19e972846bd7aaf91901658", "1 lock me") == ":1");
  CHECK(watcher("EXEC") == "*-1");
  CHECK(client("MULTI") == "+OK");
  CHECK(client("SET lock me") == "+QUEUED");
  CHECK(client("EVALSHA c3f8721cbb97f72bc19e972846bd7aaf91901658 1 lock me") == "+QUEUED");
  CHECK(client("EXISTS lock") == "+QUEUED");
  CHECK(client("EXEC") == "*3 +OK :1 :0");
}

TEST_CASE("a script may do what its user may do, and no more") {
  TestServer server;
  TestClient client(server);
  CHECK(client("SET lock me") == "+OK");
  CHECK(client("SET other me") == "+OK");
  CHECK(client("ACL SETUSER eve on nopass ~lock +evalsha +get +auth") == "+OK");
  TestClient eve(server);
  CHECK(eve("AUTH eve x") == "+OK");
  const std::string release = "c3f8721cbb97f72bc19e972846bd7aaf91901658";
  CHECK(run(eve, release, "1 lock you") == ":0");
  CHECK(run(eve, release, "1 lock me") ==
        "-ERR The user executing the script can't run this command or subcommand" +
            in_script(release, 6));
  CHECK(run(eve, release, "1 other me") ==
        "-NOPERM this user has no permissions to access one of the keys used as arguments");
  CHECK(client("EXISTS lock other") == ":2");
  // redlock's release of several asks with pcall, and counts what it was refused.
  CHECK(run(eve, "0f0f23b9048b36752b5be114f357ba083449f908", "1 lock me") == ":1");
  CHECK(client("EXISTS lock") == ":1");
}

TEST_CASE("without memory for more a script may remove, but not add") {
  TestServer server;
  TestClient client(server);
  CHECK(client("SET lock me") == "+OK");
  CHECK(client("CONFIG SET maxmemory 1gb") == "+OK");
  server.metrics.client_buffer_bytes.store(std::uint64_t{2} << 30);
  CHECK(run(client, "4d15273b16b10c15e1d9202cbe93c959ab7d250b", "1 n 5") ==
        "-OOM command not allowed when used memory > 'maxmemory'." +
            in_script("4d15273b16b10c15e1d9202cbe93c959ab7d250b", 2));
  CHECK(run(client, "c3f8721cbb97f72bc19e972846bd7aaf91901658", "1 lock me") == ":1");
}

TEST_CASE("while writes are paused no script runs, since it might write") {
  TestServer server;
  TestClient client(server);
  CHECK(client("CLIENT PAUSE 100000 WRITE") == "+OK");
  TestClient other(server);
  // Held, and not answered.
  CHECK(run(other, "c3f8721cbb97f72bc19e972846bd7aaf91901658", "1 lock me").empty());
  CHECK(other("PFCOUNT h").empty());
  CHECK(client("CLIENT UNPAUSE") == "+OK");
}

}  // namespace kvs::daemon::test
