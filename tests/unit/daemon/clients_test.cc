// clients_test.cc - what depends on who is connected: AUTH with a password, CLIENT LIST and KILL.
#include <doctest/doctest.h>

#include "daemon/commands/version.h"
#include "tests/unit/daemon/harness.h"

namespace kvs::daemon::test {

namespace {

Config with_password() {
  Config config;
  config.requirepass = "secret";
  return config;
}

}  // namespace

TEST_CASE("before AUTH nothing is allowed but to shake hands") {
  TestServer server(with_password());
  TestClient client(server);
  for (const char* line : {"GET a", "SET a 1", "PING", "MULTI", "COMMAND", "INFO", "CLIENT ID"}) {
    CHECK(client(line) == "-NOAUTH Authentication required.");
  }
  CHECK(client("HELLO") ==
        "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO "
        "<proto> AUTH <user> <pass> option can be used to authenticate the client and select the "
        "RESP protocol version at the same time");
  const std::string wrong = "-WRONGPASS invalid username-password pair or user is disabled.";
  CHECK(client("AUTH wrong") == wrong);
  CHECK(client("AUTH someone secret") == wrong);
  CHECK(client("HELLO 3 AUTH default wrong") == wrong);
  CHECK(client.client().auth_failures == 3);
  CHECK(server.metrics.sum(&WorkerMetrics::auth_failures) == 3);
  CHECK(client.client().version == resp::Version::resp2);
  CHECK(client("AUTH secret") == "+OK");
  CHECK(client.client().auth_failures == 0);
  CHECK(client("SET a 1") == "+OK");
  CHECK(client("RESET") == "+RESET");
  CHECK(client("GET a") == "-NOAUTH Authentication required.");
  CHECK(client("AUTH default secret") == "+OK");
  CHECK(client("GET a") == "$1 1");
}

TEST_CASE("HELLO authenticates, names and switches in one request") {
  TestServer server(with_password());
  TestClient client(server);
  const std::string reply = client("HELLO 3 AUTH default secret SETNAME me");
  CHECK(reply.starts_with("%7 $6 server $5 redis $7 version $5 7.2.4 $5 proto :3 $2 id :1 "));
  CHECK(client("CLIENT GETNAME") == "$2 me");
  CHECK(client("GET nosuch") == "_");
  CHECK(client.client().shared->protocol.load() == 3);
}

TEST_CASE("each reply of a pipeline is in the version in force when its request ran") {
  TestServer server;
  TestClient client(server);
  CHECK(client.pipeline({"GET a", "HELLO 3", "GET a", "HELLO 2", "GET a"}).starts_with("$-1 %7 "));
  CHECK(client.pipeline({"HELLO 3", "GET a", "HELLO 2", "GET a"}).ends_with("*0 $-1"));
}

TEST_CASE("CLIENT LIST, INFO and ID describe connections in redis' words") {
  TestServer server;
  TestClient first(server);
  TestClient second(server);
  CHECK(first("CLIENT ID") == ":1");
  CHECK(second("CLIENT ID") == ":2");
  CHECK(first("CLIENT SETNAME one") == "+OK");
  CHECK(first("CLIENT SETINFO LIB-NAME redis-py") == "+OK");
  CHECK(first("CLIENT SETINFO lib-ver 8.0.0") == "+OK");
  CHECK(first("CLIENT SETINFO lib-foo x") == "-ERR Unrecognized option 'lib-foo'");
  CHECK(first("CLIENT SETINFO lib-ver 'a b'") ==
        "-ERR lib-ver cannot contain spaces, newlines or special characters.");
  CHECK(first("CLIENT NO-TOUCH on") == "+OK");
  CHECK(first("SELECT 3") == "+OK");
  const std::string info = first("CLIENT INFO");
  CHECK(fits(info.substr(0, info.find(" age=")),
             "$%d id=1 addr=127.0.0.1:50001 laddr=127.0.0.1:4000 fd=7 name=one"));
  CHECK(info.find(" flags=T db=3 sub=0 psub=0 ssub=0 multi=-1 ") != std::string::npos);
  CHECK(info.ends_with(
      " cmd=client|info user=default redir=-1 resp=2 lib-name=redis-py lib-ver=8.0.0 "
      "durability=default\n"));

  const std::string list = second("CLIENT LIST");
  CHECK(list.find("id=1 ") != std::string::npos);
  CHECK(list.find("\nid=2 ") != std::string::npos);
  CHECK(second("CLIENT LIST ID 1").find("id=2 ") == std::string::npos);
  CHECK(second("CLIENT LIST TYPE normal").find("\nid=2 ") != std::string::npos);
  second("HELLO 3");
  CHECK(second.raw({"CLIENT", "LIST"}).starts_with("="));
  first("MULTI");
  first("PING");
  CHECK(second("CLIENT LIST ID 1").find(" multi=1 ") != std::string::npos);
}

TEST_CASE("CLIENT KILL marks others and closes itself after the reply") {
  TestServer server;
  TestClient me(server);
  TestClient other(server);
  TestClient third(server);
  CHECK(me("CLIENT KILL TYPE normal SKIPME yes ID 2") == ":1");
  CHECK(other.client().shared->kill.load());
  CHECK_FALSE(third.client().shared->kill.load());
  CHECK(me("CLIENT KILL 127.0.0.1:50003") == "+OK");
  CHECK(third.client().shared->kill.load());
  CHECK(me("CLIENT KILL ID 1") == ":0");
  CHECK_FALSE(me.client().close_after_reply);
  CHECK(me("CLIENT KILL ID 1 SKIPME no") == ":1");
  CHECK(me.client().close_after_reply);
}

TEST_CASE("QUIT ends the connection and what is behind it in the pipeline") {
  TestServer server;
  TestClient client(server);
  CHECK(client.pipeline({"SET a 1", "QUIT", "SET a 2"}) == "+OK +OK");
  CHECK(client.client().close_after_reply);
  CHECK(TestClient(server)("GET a") == "$1 1");
}

TEST_CASE("HELP lists subcommands") {
  TestServer server;
  TestClient client(server);
  for (const char* container : {"CLIENT", "COMMAND", "CONFIG", "MEMORY", "OBJECT"}) {
    const std::string reply = client(std::string(container) + " HELP");
    CHECK(reply.find("+" + std::string(container) +
                     " <subcommand> [<arg> [value] [opt] ...]. Subcommands are: ") !=
          std::string::npos);
    CHECK(reply.ends_with("+HELP +    Prints this help."));
  }
}

}  // namespace kvs::daemon::test
