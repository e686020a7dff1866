// acl_test.cc - users: rules, what they show as, what they allow, and what becomes of connections.
// Texts and decisions are those of redis-server 7.0.15.
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "daemon/acl/accounts.h"
#include "daemon/acl/check.h"
#include "daemon/acl/user_list.h"
#include "tests/unit/daemon/harness.h"

namespace kvs::daemon::test {

namespace {

// A bulk string as `shown` writes it.
std::string bulk(std::string_view text) {
  return "$" + std::to_string(text.size()) + " " + std::string(text);
}

// How ACL LIST shows a user of these rules.
std::string line_after(TestServer& server, const std::vector<std::string_view>& rules) {
  const auto account = server.accounts.change("u", rules);
  REQUIRE_MESSAGE(account, account.error().message());
  const std::string line = acl::line_of(*(*account)->user());
  server.accounts.remove("u");
  return line;
}

bool allows(TestServer& server, std::string_view user, std::string_view request) {
  const auto words = words_of(request);
  const std::vector<std::string_view> args(words.begin(), words.end());
  std::string error;
  const Command* command = server.commands.resolve(args, error);
  REQUIRE_MESSAGE(command != nullptr, error);
  const auto account = server.accounts.find(user);
  REQUIRE(account != nullptr);
  return acl::check(*account->user(), *command, args).allowed();
}

constexpr std::string_view sha_of_secret =
    "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

}  // namespace

TEST_CASE("the log tells what is refused inside a transaction from what is refused outside") {
  TestServer server;
  TestClient client(server);
  client("ACL SETUSER eve on nopass +multi +reset +hello");
  TestClient eve(server);
  eve("AUTH eve x");
  eve("MULTI");
  eve("GET k");
  CHECK(client.raw({"ACL", "LOG"}).find("$5\r\nmulti\r\n") != std::string::npos);
  eve("RESET");
  client("ACL LOG RESET");
  eve("AUTH eve x");
  eve("GET k");
  CHECK(client.raw({"ACL", "LOG"}).find("$8\r\ntoplevel\r\n") != std::string::npos);
  client("ACL LOG RESET");
  client("MULTI");
  client("AUTH nosuch x");
  client("EXEC");
  CHECK(client.raw({"ACL", "LOG"}).find("$5\r\nmulti\r\n") != std::string::npos);
}

TEST_CASE("a user's line shows the rules as Redis does") {
  TestServer server;
  CHECK(line_after(server, {}) == "user u off resetchannels -@all");
  CHECK(line_after(server, {"on", "nopass", "~*", "&*", "+@all"}) ==
        "user u on nopass ~* &* +@all");
  CHECK(line_after(server, {"reset"}) == "user u off sanitize-payload resetchannels -@all");
  CHECK(line_after(server, {"on", ">secret", "~x*", "%R~r*", "%W~w*", "%RW~rw*", "&c*", "+@all",
                            "-config|set", "-DEBUG", "(~sel*", "+SET)"}) ==
        "user u on #" + std::string(sha_of_secret) +
            " ~x* %R~r* %W~w* ~rw* resetchannels &c* +@all -config|set -debug (~sel* resetchannels "
            "-@all +set)");
  CHECK(line_after(server, {"%R~a", "%W~a"}) == "user u off ~a resetchannels -@all");
}

TEST_CASE("a later rule replaces an earlier one about the same commands") {
  TestServer server;
  CHECK(line_after(server, {"+get", "+@read", "-get", "+get"}) ==
        "user u off resetchannels -@all +@read +get");
  CHECK(line_after(server, {"+config|get", "+client|id", "-config"}) ==
        "user u off resetchannels -@all +client|id -config");
  CHECK(line_after(server, {"+get", "+@all", "-set", "-@all"}) == "user u off resetchannels -@all");
  CHECK(line_after(server, {"+select|0", "+select"}) == "user u off resetchannels -@all +select");
}

TEST_CASE("a wrong rule is refused with Redis' words, and none of its request is kept") {
  TestServer server;
  TestClient client(server);
  const auto refused = [&](std::string_view rules, std::string_view text) {
    CHECK(client("ACL SETUSER u on " + std::string(rules)) == "-ERR " + std::string(text));
    CHECK(client("ACL GETUSER u") == "$-1");
  };
  const auto modifier = [](std::string_view rule, std::string_view text) {
    return "Error in ACL SETUSER modifier '" + std::string(rule) + "': " + std::string(text);
  };
  for (const std::string_view rule : {"+nope", "+@nope", "-select|0", "+config|nope"}) {
    refused(rule, modifier(rule, "Unknown command or category name in ACL"));
  }
  for (const std::string_view rule : {"%~b", "%X~b", "nonsense", "(bad)", "((+get))"}) {
    refused(rule, modifier(rule, "Syntax error"));
  }
  refused("+config|get|x",
          modifier("+config|get|x", "Allowing first-arg of a subcommand is not supported"));
  refused("#abc", modifier("#abc",
                           "The password hash must be exactly 64 characters and contain only "
                           "lowercase hexadecimal characters"));
  refused("<q",
          modifier("<q", "The password you are trying to remove from the user does not exist"));
  refused("~* ~a", modifier("~a",
                            "Adding a pattern after the * pattern (or the 'allkeys' flag) is not "
                            "valid and does not have any effect. Try 'resetkeys' to start with an "
                            "empty list of patterns"));
  refused("(+get ~a", "Unmatched parenthesis in acl selector starting at '(+get ~a'.");
  CHECK(client("ACL SETUSER 'a b'") == "-ERR Usernames can't contain spaces or null characters");
}

TEST_CASE("rights to commands, subcommands, first arguments and categories") {
  TestServer server;
  TestClient client(server);
  client("ACL SETUSER u +@read -get +config|get +select|0 ~*");
  CHECK(allows(server, "u", "STRLEN k"));
  CHECK_FALSE(allows(server, "u", "GET k"));
  CHECK_FALSE(allows(server, "u", "SET k v"));
  CHECK(allows(server, "u", "CONFIG GET x"));
  CHECK_FALSE(allows(server, "u", "CONFIG SET x y"));
  CHECK(allows(server, "u", "SELECT 0"));
  CHECK_FALSE(allows(server, "u", "SELECT 1"));
  CHECK(allows(server, "u", "AUTH x"));
  client("ACL SETUSER all +@all -@dangerous ~*");
  CHECK_FALSE(allows(server, "all", "KEYS *"));
  CHECK(allows(server, "all", "SET k v"));
}

TEST_CASE("rights to keys know reading from writing, and each key must fit") {
  TestServer server;
  TestClient client(server);
  client("ACL SETUSER u +@all ~both:* %R~in:* %W~out:*");
  CHECK(allows(server, "u", "GET in:1"));
  CHECK_FALSE(allows(server, "u", "GET out:1"));
  CHECK(allows(server, "u", "SET out:1 v"));
  CHECK_FALSE(allows(server, "u", "SET out:1 v GET"));
  CHECK_FALSE(allows(server, "u", "SET in:1 v"));
  CHECK(allows(server, "u", "COPY in:1 out:1"));
  CHECK_FALSE(allows(server, "u", "COPY out:1 in:1"));
  CHECK(allows(server, "u", "BITFIELD in:1 GET u8 0"));
  CHECK_FALSE(allows(server, "u", "BITFIELD in:1 SET u8 0 1"));
  CHECK(allows(server, "u", "MGET in:1 both:2"));
  CHECK_FALSE(allows(server, "u", "MGET in:1 other"));
  CHECK_FALSE(allows(server, "u", "INCR out:1"));
  CHECK(allows(server, "u", "INCR both:1"));
}

TEST_CASE("rights to channels: names by glob, patterns by letter") {
  TestServer server;
  TestClient client(server);
  client("ACL SETUSER u +@all &news:* &x");
  CHECK(allows(server, "u", "SUBSCRIBE news:1 x"));
  CHECK_FALSE(allows(server, "u", "SUBSCRIBE news:1 y"));
  CHECK(allows(server, "u", "PSUBSCRIBE news:*"));
  CHECK_FALSE(allows(server, "u", "PSUBSCRIBE news:1*"));
  CHECK(allows(server, "u", "PUBLISH news:1 text"));
  CHECK_FALSE(allows(server, "u", "SPUBLISH y text"));
  CHECK(allows(server, "u", "UNSUBSCRIBE y"));
}

TEST_CASE("a selector grants what its own rules allow together, no mixture") {
  TestServer server;
  TestClient client(server);
  client("ACL SETUSER u +get ~a (+set ~b)");
  CHECK(allows(server, "u", "GET a"));
  CHECK(allows(server, "u", "SET b v"));
  CHECK_FALSE(allows(server, "u", "GET b"));
  CHECK_FALSE(allows(server, "u", "SET a v"));
}

TEST_CASE("who is refused is told so, and it is logged") {
  TestServer server;
  TestClient admin(server);
  TestClient client(server);
  CHECK(admin("ACL SETUSER u on >secret ~mine:* &mine +@all -config") == "+OK");
  CHECK(client("AUTH u wrong") == "-WRONGPASS invalid username-password pair or user is disabled.");
  CHECK(client("AUTH u secret") == "+OK");
  CHECK(client("ACL WHOAMI") == "$1 u");
  CHECK(client("SET mine:1 x") == "+OK");
  CHECK(client("SET other x") ==
        "-NOPERM this user has no permissions to access one of the keys used as arguments");
  CHECK(client("CONFIG GET dir") ==
        "-NOPERM this user has no permissions to run the 'config|get' command");
  CHECK(client("PUBLISH other x") ==
        "-NOPERM this user has no permissions to access one of the channels used as arguments");
  CHECK(client("CLIENT INFO").find(" user=u ") != std::string::npos);
  CHECK(client("NOSUCH").starts_with("-ERR unknown command"));
  CHECK(client("RESET") == "+RESET");
  CHECK(client("ACL WHOAMI") == "$7 default");

  const std::string log = admin("ACL LOG");
  CHECK(
      log.starts_with("*4 *14 $5 count :1 $6 reason $7 channel $7 context $8 toplevel $6 object "
                      "$5 other $8 username $1 u $11 age-seconds"));
  CHECK(log.find("$6 reason $4 auth $7 context $8 toplevel $6 object $4 AUTH $8 username $1 u") !=
        std::string::npos);
  CHECK(admin("ACL LOG 1").starts_with("*1 "));
  CHECK(admin("ACL LOG RESET") == "+OK");
  CHECK(admin("ACL LOG") == "*0");
}

TEST_CASE("a change of rights is in force with the next command of a live connection") {
  TestServer server;
  TestClient admin(server);
  TestClient client(server);
  admin("ACL SETUSER u on nopass ~* &* +@all");
  CHECK(client("AUTH u any") == "+OK");
  CHECK(client("SET k v") == "+OK");
  admin("ACL SETUSER u -set");
  CHECK(client("SET k v") == "-NOPERM this user has no permissions to run the 'set' command");
  admin("ACL SETUSER u +set");
  CHECK(client("SET k v") == "+OK");

  // Removed: nothing is allowed, and the connection is told to close.
  CHECK(admin("ACL DELUSER u nobody") == ":1");
  CHECK(client.client().shared->kill.load());
  CHECK(client("GET k") == "-NOPERM this user has no permissions to run the 'get' command");
  CHECK(admin("ACL DELUSER default") == "-ERR The 'default' user cannot be removed");
}

TEST_CASE("a transaction is checked when it is queued and when it runs") {
  TestServer server;
  TestClient admin(server);
  TestClient client(server);
  admin("ACL SETUSER u on nopass ~mine +@all");
  client("AUTH u any");
  client("MULTI");
  CHECK(client("SET other v").starts_with("-NOPERM"));
  CHECK(client("EXEC") == "-EXECABORT Transaction discarded because of previous errors.");
  client("MULTI");
  CHECK(client("SET mine v") == "+QUEUED");
  CHECK(client("STRLEN mine") == "+QUEUED");
  admin("ACL SETUSER u -set");
  CHECK(client("EXEC") ==
        "*2 -NOPERM ACLs rules changed between the moment the transaction was accumulated and the "
        "EXEC call. This command is no longer allowed for the following reason: no permission to "
        "execute the command or subcommand :0");
}

TEST_CASE("who may not listen any more is closed") {
  TestServer server;
  TestClient admin(server);
  TestClient client(server);
  admin("ACL SETUSER u on nopass +@all &a");
  client("AUTH u any");
  client("SUBSCRIBE a");
  admin("ACL SETUSER u &b");
  CHECK_FALSE(client.client().shared->kill.load());
  admin("ACL SETUSER u resetchannels &b");
  CHECK(client.client().shared->kill.load());
}

TEST_CASE("requirepass is the default user's password") {
  TestServer server;
  TestClient admin(server);
  admin("CONFIG SET requirepass secret");
  CHECK(admin("ACL LIST") ==
        "*1 " + bulk("user default on #" + std::string(sha_of_secret) + " ~* &* +@all"));
  TestClient stranger(server);
  CHECK(stranger("GET k") == "-NOAUTH Authentication required.");
  CHECK(stranger("AUTH secret") == "+OK");
  admin("CONFIG SET requirepass ''");
  CHECK(admin("ACL LIST") == "*1 " + bulk("user default on nopass ~* &* +@all"));
  admin("ACL SETUSER default off");
  CHECK(TestClient(server)("PING") == "-NOAUTH Authentication required.");
}

TEST_CASE("ACL's other subcommands") {
  TestServer server;
  TestClient client(server);
  CHECK(client("ACL CAT").starts_with("*21 $8 keyspace $4 read $5 write"));
  CHECK(client("ACL CAT nope") == "-ERR Unknown category 'nope'");
  CHECK(client("ACL CAT " + std::string(300, 'x')) ==
        "-ERR Unknown category '" + std::string(128, 'x') + "'");
  CHECK(client("ACL CAT transaction") == "*5 $7 discard $4 exec $5 multi $7 unwatch $5 watch");
  CHECK(client("ACL GENPASS").size() == std::string("$64 ").size() + 64);
  CHECK(client("ACL GENPASS 5").starts_with("$2 "));
  CHECK(client("ACL GENPASS") != client("ACL GENPASS"));
  CHECK(client("ACL GENPASS 4097").starts_with("-ERR ACL GENPASS argument must be"));
  client("ACL SETUSER u on >secret ~a* +@read (~b* +set)");
  CHECK(client("ACL GETUSER u") ==
        "*12 $5 flags *1 $2 on $9 passwords *1 " + bulk(sha_of_secret) +
            " $8 commands $12 -@all +@read $4 keys $3 ~a* $8 channels $0  $9 selectors *1 *6 $8 "
            "commands $10 -@all +set $4 keys $3 ~b* $8 channels $0 ");
  CHECK(client("ACL HELP").starts_with("*29 +ACL <subcommand>"));
  CHECK(client("ACL USERS") == "*2 $7 default $1 u");
  CHECK(client("ACL DRYRUN u get a1") == "+OK");
  CHECK(client("ACL DRYRUN u get x") == bulk("This user has no permissions to access the 'x' key"));
  CHECK(client("ACL DRYRUN u debug sleep 0").find("'debug") != std::string::npos);
  CHECK(client("ACL DRYRUN zz get x") == "-ERR User 'zz' not found");
  CHECK(client("ACL DRYRUN u nocmd") == "-ERR Command 'nocmd' not found");
  CHECK(client("ACL DRYRUN u get") == "-ERR wrong number of arguments for 'get' command");
  CHECK(client("ACL SAVE").starts_with("-ERR This Redis instance is not configured to use an ACL"));
  CHECK(client("CLIENT KILL USER zz") == "-ERR No such user 'zz'");
}

TEST_CASE("ACL SAVE and LOAD: the file is the users, and one mistake in it changes nothing") {
  kvs::test::TempDir folder;
  Config config;
  config.aclfile = folder.path() / "users.acl";
  TestServer server(config);
  TestClient client(server);
  client("ACL SETUSER u on >secret ~a* %R~b +@read -get (~c +set)");
  const std::string before = client("ACL LIST");
  CHECK(client("ACL SAVE") == "+OK");
  client("ACL SETUSER u reset");
  client("ACL SETUSER gone on nopass +@all");
  TestClient victim(server);
  victim("AUTH gone any");
  CHECK(client("ACL LOAD") == "+OK");
  CHECK(client("ACL LIST") == before);
  CHECK(victim.client().shared->kill.load());

  const auto bad = acl::parse_users("user a on\nfoo bar\nuser b +nope\n\n# text\nuser a on\n", "f",
                                    server.commands);
  REQUIRE_FALSE(bad);
  CHECK(bad.error().message() ==
        "f:2 should start with user keyword followed by the username. f:3: Error in applying "
        "operation '+nope': Unknown command or category name in ACL. f:6: Duplicate user 'a' "
        "found. WARNING: ACL errors detected, no change to the previously active ACL rules was "
        "performed");
}

}  // namespace kvs::daemon::test
