// hostile_test.cc - the table of reliability.md 3.2 against a real server: for each input the exact
// reply, whichever way it is cut, and other clients that notice nothing.
//
// The texts are Redis' own (checked against redis-server 7.0.15) but where request_parser.h says
// that we are stricter. Not here: what needs memory, time or many connections
// (hostile_limits_test).
#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/hostile_case.h"
#include "tests/support/request.h"
#include "tests/support/server_process.h"
#include "tests/support/socket.h"

using namespace std::string_literals;

namespace kvs::test {
namespace {

constexpr std::size_t line_bytes_max = 64 * 1024;

const std::string ping = encode_request({"PING"});
const std::string pong = "+PONG\r\n";

HostileCase protocol_error(const std::string& input, const std::string& text) {
  return {input, "-ERR Protocol error: " + text + "\r\n", After::closes};
}

// The same error behind requests that are good, which are answered first.
void check_protocol_error(const ServerProcess& server, const std::string& input,
                          const std::string& text) {
  HostileCase alone = protocol_error(input, text);
  check_at_every_split(server, alone);
  check_at_every_split(server, {ping + input, pong + alone.reply, After::closes});
}

TEST_CASE("S1 a multibulk length out of range is refused") {
  const ServerProcess server;
  for (const std::string count : {"3000000000", "abc", "2147483648", "", "01", "+1", " 1", "-0"}) {
    check_protocol_error(server, "*" + count + "\r\n", "invalid multibulk length");
  }
}

TEST_CASE("S2 empty requests are ignored before, between and after others") {
  const ServerProcess server;
  for (const std::string empty : {"*-10\r\n", "*0\r\n", "*-1\r\n", "\r\n", " \r\n", "\n"}) {
    check_at_every_split(server, {empty, ""});
    check_at_every_split(server, {empty + ping, pong});
    check_at_every_split(server, {empty + ping + empty + "PING\r\n" + empty + empty + ping + empty,
                                  pong + pong + pong});
    // Between commands that run on the pool and commands that are answered at once.
    check_at_every_split(server, {empty + encode_request({"SET", "empty", "1"}) + empty +
                                      encode_request({"GET", "empty"}) + empty + "PING\r\n",
                                  "+OK\r\n$1\r\n1\r\n" + pong});
  }
}

TEST_CASE("S3 a bulk length out of range is refused") {
  const ServerProcess server;
  for (const std::string size : {"-10", "blabla", "536870913", "2000000000", "-1", "", "04"}) {
    check_protocol_error(server, "*1\r\n$" + size + "\r\n", "invalid bulk length");
    check_protocol_error(server, "*2\r\n$4\r\nECHO\r\n$" + size + "\r\n", "invalid bulk length");
  }
}

TEST_CASE("S4 something else than a bulk is named on one line") {
  const ServerProcess server;
  check_protocol_error(server, "*1\r\nfoo\r\n", "expected '$', got 'f'");
  for (const char strange : {'\0', '\r', '\n', '\xff'}) {
    check_protocol_error(server, "*1\r\n"s + strange + "oo\r\n", "expected '$', got ' '");
  }
}

TEST_CASE("S5 a line without end is refused at 64 KiB") {
  const ServerProcess server;
  const std::string ones(line_bytes_max, '1');
  check_protocol_error(server, std::string(line_bytes_max + 1, 'a'), "too big inline request");
  check_protocol_error(server, "*" + ones + "1", "too big mbulk count string");
  check_protocol_error(server, "*1\r\n$" + ones + "1", "too big bulk count string");
}

TEST_CASE("S6 unbalanced quotes are refused") {
  const ServerProcess server;
  for (const std::string line :
       {"set \"\"\"k\"\"\" v\r\n", "set k \"v\r\n", "set k 'v\r\n", "set k \"v\"w\r\n"}) {
    check_protocol_error(server, line, "unbalanced quotes in request");
  }
}

TEST_CASE("S7 S8 S9 who has not authenticated gets little") {
  const ServerProcess server({.password = "secret"});
  check_at_every_split(server, protocol_error("*11\r\n", "unauthenticated multibulk length"));
  check_at_every_split(server, protocol_error("*1\r\n$16385\r\n", "unauthenticated bulk length"));

  const std::string refused = "-NOAUTH Authentication required.\r\n";
  const std::string wrong = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
  // The sentinel is refused too.
  const auto check_refused = [&](const std::string& input, const std::string& reply) {
    Socket whole = server.connect();
    whole.send_all(input);
    CHECK(whole.read_exact(reply.size()) == reply);
    for (std::size_t cut = 1; cut < input.size(); ++cut) {
      Socket socket = server.connect();
      socket.send_all(input.substr(0, cut));
      socket.send_all(input.substr(cut));
      CHECK(socket.read_exact(reply.size()) == reply);
    }
  };
  check_refused("GET a\r\n" + encode_request({"SET", "a", "b"}), refused + refused);
  check_refused(ping + "*0\r\n\r\n" + ping, refused + refused);
  check_refused("AUTH wrong\r\n", wrong);
  check_at_every_split(server, {"AUTH wrong\r\nAUTH secret\r\nPING\r\n", wrong + "+OK\r\n" + pong});
  check_at_every_split(server,
                       {encode_request({"AUTH", "default", "secret"}) + ping, "+OK\r\n" + pong});
  // Authentication lifts the tighter limits for what is in the same packet.
  Request many(20, "x");
  many[0] = "EXISTS";
  check_at_every_split(server, {"AUTH secret\r\n" + encode_request(many), "+OK\r\n:0\r\n"});
}

TEST_CASE("S9 guessing passwords costs the guesser time, and nobody else") {
  const ServerProcess server({.password = "secret"});
  Socket guesser = server.connect();
  Socket user = server.connect();
  REQUIRE(user.command({"AUTH", "secret"}) == "+OK\r\n");
  const auto begin = std::chrono::steady_clock::now();
  std::string guesses;
  for (int i = 0; i < 6; ++i) guesses += encode_request({"AUTH", "guess" + std::to_string(i)});
  guesser.send_all(guesses);
  CHECK(user.command({"PING"}) == pong);
  const auto user_waited = std::chrono::steady_clock::now() - begin;
  for (int i = 0; i < 6; ++i) CHECK(guesser.read_reply().starts_with("-WRONGPASS "));
  const auto guesser_waited = std::chrono::steady_clock::now() - begin;
  CHECK(guesser_waited > std::chrono::milliseconds(200));
  CHECK(user_waited < guesser_waited / 2);
}

TEST_CASE("S9 AUTH without a password configured says so") {
  const ServerProcess server;
  check_at_every_split(
      server, {"AUTH x\r\n",
               "-ERR AUTH <password> called without any password configured for the default user. "
               "Are you sure your configuration is correct?\r\n"});
}

TEST_CASE("S11 HTTP is cut off without a reply, and logged once") {
  const ServerProcess server;
  const auto lines = [&] {
    const std::string log = server.log();
    return std::count(log.begin(), log.end(), '\n');
  };
  const auto lines_before = lines();
  for (const std::string& input :
       {"POST / HTTP/1.1\r\n"s, "Host: x\r\n"s, "post /x HTTP/1.1\r\nContent-Length: 9\r\n"s,
        "HOST: x\r\n"s, encode_request({"POST", "/"}), encode_request({"pOsT"}),
        encode_request({"hOST:", "x"})}) {
    check_at_every_split(server, {input, "", After::closes});
    check_at_every_split(server, {input + ping, "", After::closes});
  }
  CHECK(lines() - lines_before == 1);
}

TEST_CASE("S13 what a client sends comes back on one line") {
  const ServerProcess server;
  check_at_every_split(server,
                       {encode_request({"a\r\n+OK\r\nbc"}),
                        "-ERR unknown command 'a  +OK  bc', with args beginning with: \r\n"});
  check_at_every_split(
      server, {encode_request({"no\nsuch", "x\r\ny", "z"}),
               "-ERR unknown command 'no such', with args beginning with: 'x  y' 'z' \r\n"});
  const std::string long_name(300, 'n');
  check_at_every_split(
      server, {encode_request({long_name}), "-ERR unknown command '" + long_name.substr(0, 128) +
                                                "', with args beginning with: \r\n"});
  check_at_every_split(
      server,
      {"foo '' a\r\n", "-ERR unknown command 'foo', with args beginning with: '' 'a' \r\n"});
  check_at_every_split(
      server, {encode_request({""}), "-ERR unknown command '', with args beginning with: \r\n"});
}

TEST_CASE("S16 counters refuse to overflow and to count what is no number") {
  const ServerProcess server;
  const std::string ok = "+OK\r\n";
  const std::string overflow = "-ERR increment or decrement would overflow\r\n";
  const std::string not_integer = "-ERR value is not an integer or out of range\r\n";
  check_at_every_split(
      server, {"SET n 9223372036854775807\r\nINCRBY n 1\r\nINCR n\r\n", ok + overflow + overflow});
  check_at_every_split(
      server, {"SET m -9223372036854775808\r\nDECR m\r\nDECRBY m 1\r\n", ok + overflow + overflow});
  check_at_every_split(server,
                       {"DECRBY k -9223372036854775808\r\n", "-ERR decrement would overflow\r\n"});
  check_at_every_split(server,
                       {"SET t abc\r\nINCR t\r\nINCRBY n 1x\r\nINCRBY n  99999999999999999999\r\n",
                        ok + not_integer + not_integer + not_integer});
  check_at_every_split(server, {"SET f 1\r\nINCRBYFLOAT f inf\r\nINCRBYFLOAT f x\r\n",
                                ok + "-ERR increment would produce NaN or Infinity\r\n" +
                                    "-ERR value is not a valid float\r\n"});
}

TEST_CASE("S18 transactions without beginning, or with a mistake in them, are refused") {
  const ServerProcess server;
  check_at_every_split(
      server, {"EXEC\r\nDISCARD\r\n", "-ERR EXEC without MULTI\r\n-ERR DISCARD without MULTI\r\n"});
  const std::string aborted = "-EXECABORT Transaction discarded because of previous errors.\r\n";
  check_at_every_split(
      server,
      {"MULTI\r\nNOSUCH a\r\nEXEC\r\n",
       "+OK\r\n-ERR unknown command 'NOSUCH', with args beginning with: 'a' \r\n" + aborted});
  check_at_every_split(
      server, {"MULTI\r\nSET discarded 1\r\nGET\r\nEXEC\r\nEXISTS discarded\r\n",
               "+OK\r\n+QUEUED\r\n-ERR wrong number of arguments for 'get' command\r\n" + aborted +
                   ":0\r\n"});
}

TEST_CASE("S19 a wrong number of arguments is named") {
  const ServerProcess server;
  check_at_every_split(server, {"PING x y z\r\n" + encode_request({"ping", "x", "y"}),
                                "-ERR wrong number of arguments for 'ping' command\r\n"
                                "-ERR wrong number of arguments for 'ping' command\r\n"});
  check_at_every_split(server, {encode_request({"SET", "k"}),
                                "-ERR wrong number of arguments for 'set' command\r\n"});
}

TEST_CASE("S20 framing is strict where Redis looks away") {
  const ServerProcess server;
  const std::string unended = "expected CRLF after bulk";
  check_protocol_error(server, "*1\r\n$4\r\nPINGxx", unended);
  check_protocol_error(server, "*1\r\n$4\r\nPING\n", unended);
  check_protocol_error(server, "*1\r\n$4\r\nPING\rx", unended);
  check_protocol_error(server, "*1\r\n$3\r\nPING\r\n", unended);
  check_protocol_error(server, "*1\rX", "invalid multibulk length");
  check_protocol_error(server, "*1\n$4\nPING\n", "invalid multibulk length");
  check_protocol_error(server, "*1\r\n$4\nPING\n", "invalid bulk length");
  check_protocol_error(server, "*1\r\n$4\rXPING\r\n", "invalid bulk length");
  // People type LF alone.
  check_at_every_split(server, {"PING\nPING\r\nECHO 'a b'\n", pong + pong + "$3\r\na b\r\n"});
}

TEST_CASE("many bad connections in a row harm nobody") {
  const ServerProcess server;
  Socket user = server.connect();
  const auto files_before = server.open_files();
  for (int round = 0; round < 2000; ++round) {
    Socket hostile = server.connect();
    hostile.send_if_open(round % 2 == 0 ? "*x\r\n" : "*3\r\n$3\r\nSET\r\n$100\r\n");
    if (round % 100 == 0) CHECK(user.command({"PING"}) == pong);
  }
  CHECK(user.command({"PING"}) == pong);
  // The last of them may still be on their way out, and each loop keeps a descriptor in reserve.
  constexpr std::size_t reserve = 16;
  for (int wait = 0; wait < 200 && server.open_files() > files_before + reserve; ++wait) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  CHECK(server.open_files() <= files_before + reserve);
}

}  // namespace
}  // namespace kvs::test
