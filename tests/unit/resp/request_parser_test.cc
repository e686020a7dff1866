// request_parser_test.cc - what the parser takes, what it refuses and with which words, and that no
// way of cutting the input changes either.
#include "protocol/resp/request_parser.h"

#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/request_feed.h"

using namespace std::string_literals;

namespace kvs::test {
namespace {

constexpr std::size_t line_bytes_max = 64 * 1024;

const std::string ping = "*1\r\n$4\r\nPING\r\n";

// What every cutting must give; long inputs are cut around their ends only.
void check_every_split(const std::string& bytes, const Transcript& expected,
                       const FeedOptions& options = {}) {
  CAPTURE(bytes.substr(0, 80));
  CHECK(feed_at_once(bytes, options) == expected);
  constexpr std::size_t near = 200;
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    if (bytes.size() > 2 * near && cut == near) cut = bytes.size() - near;
    const Transcript cut_up = feed_cut_at(bytes, cut, options);
    if (cut_up == expected) continue;
    FAIL_CHECK("another outcome when cut at byte ", cut, ": ", cut_up.requests.size(),
               " requests, error '", cut_up.error, "', unused ", cut_up.unused);
  }
  if (bytes.size() <= 2 * near) CHECK(feed_byte_by_byte(bytes, options) == expected);
}

void check_requests(const std::string& bytes, const std::vector<Request>& requests,
                    const FeedOptions& options = {}) {
  check_every_split(bytes, {.requests = requests, .error = {}, .unused = 0}, options);
}

// An error must come at the same byte however the input is cut, and nothing may follow it.
void check_error(const std::string& bytes, const std::string& text,
                 const FeedOptions& options = {}) {
  const std::string line = "ERR Protocol error: " + text;
  CAPTURE(bytes.substr(0, 80));
  CHECK(feed_at_once(bytes, options).error == line);
  constexpr std::size_t near = 200;
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    if (bytes.size() > 2 * near && cut == near) cut = bytes.size() - near;
    CAPTURE(cut);
    const Transcript cut_up = feed_cut_at(bytes, cut, options);
    if (cut_up.error != line || !cut_up.requests.empty()) {
      FAIL_CHECK("another outcome when cut: '", cut_up.error, "'");
    }
  }
  // The same error behind a good request, which is answered first.
  const Transcript behind = feed_at_once(ping + bytes, options);
  CHECK(behind.requests == std::vector<Request>{{"PING"}});
  CHECK(behind.error == line);
}

TEST_CASE("an array of bulks is one request") {
  check_requests(ping, {{"PING"}});
  check_requests("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nhello\r\n", {{"SET", "k", "hello"}});
  check_requests("*2\r\n$0\r\n\r\n$0\r\n\r\n", {{"", ""}});
}

TEST_CASE("a bulk may hold any byte") {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  check_requests(encode_request({"SET", "\r\n$3\r\n", all}), {{"SET", "\r\n$3\r\n", all}});
}

TEST_CASE("lengths of more digits are read too") {
  const std::string ten(10, 'x'), hundred(100, 'y'), large(12345, 'z');
  check_requests(encode_request({ten, hundred, large}), {{ten, hundred, large}});
  check_requests(encode_request(Request(123, "a")), {Request(123, "a")});
}

TEST_CASE("a pipeline cut anywhere gives the same requests as at once") {
  const std::string pipeline = ping + "SET a b\r\n" + encode_request({"GET", "a"}) + "\r\n" +
                               "*0\r\n" + encode_request({"MGET", "a", "b", ""}) +
                               "get \"quoted key\"\n" + "*-1\r\n" + ping;
  check_requests(pipeline, {{"PING"},
                            {"SET", "a", "b"},
                            {"GET", "a"},
                            {"MGET", "a", "b", ""},
                            {"get", "quoted key"},
                            {"PING"}});
}

TEST_CASE("a pipeline cut at two places gives the same requests as at once") {
  const std::string pipeline =
      encode_request({"SET", "k", "v\r\n"}) + "GET 'k'\r\n*0\r\n" + encode_request({"DEL", "k"});
  const Transcript expected = feed_at_once(pipeline);
  REQUIRE(expected.requests.size() == 3);
  for (std::size_t first = 0; first <= pipeline.size(); ++first) {
    for (std::size_t second = first; second <= pipeline.size(); ++second) {
      RequestFeed feed({});
      feed.feed(std::string_view(pipeline).substr(0, first));
      feed.feed(std::string_view(pipeline).substr(first, second - first));
      feed.feed(std::string_view(pipeline).substr(second));
      if (feed.transcript() != expected) FAIL_CHECK("cut at ", first, " and ", second);
    }
  }
}

// S2, and CVE-2026-27623 of a neighbour: state left over from an empty request.
TEST_CASE("empty requests before, between and after others change nothing") {
  for (const std::string empty :
       {"*0\r\n", "*-1\r\n", "*-10\r\n", "*-9223372036854775808\r\n", "\r\n", " \r\n", "\n",
        "\t \r\n", "\r\r\n", "*0\r\n*0\r\n", "\r\n*-1\r\n \r\n"}) {
    CAPTURE(empty);
    const std::string set = encode_request({"SET", "k", "v"});
    check_requests(empty, {});
    check_requests(empty + ping + empty + set + empty + "get k\r\n" + empty,
                   {{"PING"}, {"SET", "k", "v"}, {"get", "k"}});
  }
}

TEST_CASE("an empty request is reported with its bytes, one at a time") {
  resp::RequestParser parser;
  const auto outcome = parser.parse("*0\r\n\r\n" + ping);
  CHECK(outcome.status == resp::RequestParser::Status::empty);
  CHECK(outcome.consumed == 4);
  CHECK(parser.parse("\r\n" + ping).consumed == 2);
  CHECK(parser.parse(ping).status == resp::RequestParser::Status::complete);
}

TEST_CASE("nothing is not yet a request") {
  resp::RequestParser parser;
  CHECK(parser.parse("").status == resp::RequestParser::Status::incomplete);
  CHECK(parser.parse("*").status == resp::RequestParser::Status::incomplete);
  CHECK(parser.parse("*").status == resp::RequestParser::Status::incomplete);
  CHECK(parser.parse(ping).status == resp::RequestParser::Status::complete);
}

TEST_CASE("a request that is not complete keeps its bytes") {
  const std::string begun = "*2\r\n$3\r\nGET\r\n$5\r\nab";
  check_every_split(ping + begun, {.requests = {{"PING"}}, .error = {}, .unused = begun.size()});
}

TEST_CASE("inline requests are split as Redis splits them") {
  check_requests("PING\r\n", {{"PING"}});
  check_requests("PING\n", {{"PING"}});
  check_requests("  set\tkey \v\f value  \r\n", {{"set", "key", "value"}});
  check_requests("ping\rx\r\n", {{"ping", "x"}});
  check_requests("ping\r\r\n", {{"ping"}});
  check_requests("\tping\v\r\n", {{"ping\v"}});
  check_requests("ping \0 x\0\r\n"s, {{"ping", "\0"s, "x\0"s}});
  check_requests("set k \xff\x01\r\n", {{"set", "k", "\xff\x01"}});
}

TEST_CASE("inline quotes are undone as Redis undoes them") {
  check_requests("set k \"a b\"\r\n", {{"set", "k", "a b"}});
  check_requests("set k 'a b'\r\n", {{"set", "k", "a b"}});
  check_requests("\"\"\r\n", {{""}});
  check_requests("'' \"\" ''\r\n", {{"", "", ""}});
  check_requests("set k a\"b\"\r\n", {{"set", "k", "ab"}});
  check_requests("set k a'b c' d\r\n", {{"set", "k", "ab c", "d"}});
  check_requests("set k \"it's\" 'say \"hi\"'\r\n", {{"set", "k", "it's", "say \"hi\""}});
  check_requests(R"(set k "\x41\xfF\x00" x)"
                 "\r\n",
                 {{"set", "k", "A\xff\0"s, "x"}});
  check_requests("set k \"\\n\\r\\t\\b\\a\\\\\\\"\\q\"\r\n", {{"set", "k", "\n\r\t\b\a\\\"q"}});
  check_requests("set k \"\\x4\\xg1\\x\"\r\n", {{"set", "k", "x4xg1x"}});
  check_requests("set k 'a\\'b\\n'\r\n", {{"set", "k", "a'b\\n"}});
  check_requests("set k a\\x41\\n\r\n", {{"set", "k", "a\\x41\\n"}});
  check_requests("a \"b\"\vc\r\n", {{"a", "b", "c"}});
}

// S6
TEST_CASE("unbalanced quotes are refused") {
  for (const std::string line :
       {"set \"\"\"k\"\"\" v\r\n", "set k \"v\r\n", "set k 'v\r\n", "set k \"a\"b\r\n",
        "set k 'a'b\r\n", "\"\r\n", "'\n", "a\"\r\n", "set k \"v\\\"\r\n", "set k 'v\\'\r\n",
        "set k \"v\\\r\n", "set k \"\\x4\r\n", "set k \"a\"\"b\"\r\n"}) {
    check_error(line, "unbalanced quotes in request");
  }
}

// S1
TEST_CASE("a multibulk length that is no canonical number in range is refused") {
  for (const std::string count : {"3000000000",
                                  "abc",
                                  "2147483648",
                                  "",
                                  "+1",
                                  "01",
                                  "00",
                                  "-0",
                                  "-01",
                                  "-",
                                  " 1",
                                  "1 ",
                                  "1a",
                                  "--1",
                                  "99999999999999999999999999",
                                  "9223372036854775808",
                                  "-9223372036854775809",
                                  "1.0",
                                  "0x1",
                                  "4294967297",
                                  "18446744073709551617"}) {
    check_error("*" + count + "\r\n", "invalid multibulk length");
  }
  check_error("*1\0\r\n"s, "invalid multibulk length");
}

// S3
TEST_CASE("a bulk length that is no canonical number in range is refused") {
  for (const std::string size :
       {"-10", "-1", "blabla", "536870913", "2000000000", "", "04", "-0", "+4", " 4", "4 ",
        "9223372036854775808", "18446744073709551620", "4294967300"}) {
    check_error("*1\r\n$" + size + "\r\n", "invalid bulk length");
    check_error("*2\r\n$1\r\na\r\n$" + size + "\r\n", "invalid bulk length");
  }
}

TEST_CASE("the largest numbers in range are taken") {
  const auto nothing_yet = [](const std::string& bytes, const FeedOptions& options = {}) {
    check_every_split(bytes, {.requests = {}, .error = {}, .unused = bytes.size()}, options);
  };
  nothing_yet("*2147483647\r\n");
  nothing_yet("*1\r\n$536870912\r\n");
  nothing_yet("*10\r\n$16384\r\n", {.limits = {}, .authenticated = false});
  nothing_yet("*1\r\n$1073741824\r\n", {.limits = {.bulk_bytes_max = 1 << 30}});
}

TEST_CASE("the limit of a bulk can be changed while running") {
  resp::RequestParser parser;
  parser.set_bulk_bytes_max(4);
  CHECK(parser.parse(ping).status == resp::RequestParser::Status::complete);
  parser.set_bulk_bytes_max(3);
  CHECK(parser.parse(ping).status == resp::RequestParser::Status::error);
  CHECK(parser.error() == "ERR Protocol error: invalid bulk length");
}

// S4
TEST_CASE("something else where a bulk should begin is named on one printable line") {
  check_error("*1\r\nfoo\r\n", "expected '$', got 'f'");
  check_error("*1\r\n*1\r\n", "expected '$', got '*'");
  check_error("*1\r\n'\r\n", "expected '$', got '''");
  check_error("*2\r\n$1\r\na\r\n:1\r\n", "expected '$', got ':'");
  for (const char strange : {'\0', '\r', '\n', '\xff', '\x7f', '\x1b', ' '}) {
    check_error("*1\r\n"s + strange + "x\r\n", "expected '$', got ' '");
  }
}

// S5. The longest line that is taken has 64 KiB before its end, as Redis' check has it.
TEST_CASE("a line without end is refused at its 64 KiB + 1st byte") {
  const std::string full(line_bytes_max, 'a');
  check_error(full + "a", "too big inline request");
  check_error(full + "a\r\n", "too big inline request");
  check_every_split(full, {.requests = {}, .error = {}, .unused = full.size()});
  check_requests(full + "\n", {{full}});
  check_error(full + "\r\n", "too big inline request");
  check_requests(full.substr(1) + "\r\n", {{full.substr(1)}});

  const std::string ones(line_bytes_max - 1, '1');
  check_error("*" + ones + "1", "too big mbulk count string");
  check_every_split("*" + ones, {.requests = {}, .error = {}, .unused = ones.size() + 1});
  check_error("*" + ones + "\r\n", "invalid multibulk length");
  check_error("*" + ones + "1\r\n", "too big mbulk count string");
  const std::string begun = "*1\r\n$" + ones;
  check_error(begun + "1", "too big bulk count string");
  check_every_split(begun, {.requests = {}, .error = {}, .unused = begun.size()});
  check_error(begun + "\r\n", "invalid bulk length");
}

// S7, S8
TEST_CASE("who has not authenticated gets tighter limits") {
  const FeedOptions stranger{.limits = {}, .authenticated = false};
  check_error("*11\r\n", "unauthenticated multibulk length", stranger);
  check_error("*2147483647\r\n", "unauthenticated multibulk length", stranger);
  check_error("*2147483648\r\n", "invalid multibulk length", stranger);
  check_error("*1\r\n$16385\r\n", "unauthenticated bulk length", stranger);
  check_error("*1\r\n$536870913\r\n", "invalid bulk length", stranger);
  check_requests(encode_request({"AUTH", "secret"}), {{"AUTH", "secret"}}, stranger);
  check_requests("AUTH secret\r\n", {{"AUTH", "secret"}}, stranger);
}

TEST_CASE("authentication lifts the tighter limits from the next request on") {
  resp::RequestParser parser;
  parser.set_authenticated(false);
  REQUIRE(parser.parse(ping).status == resp::RequestParser::Status::complete);
  parser.set_authenticated(true);
  CHECK(parser.parse("*11\r\n").status == resp::RequestParser::Status::incomplete);
}

// S20: our own rule, Redis skips two bytes unseen.
TEST_CASE("a bulk that does not end in CRLF is refused") {
  for (const std::string end : {"xx", "\rx", "\n", "\n\r", "x\r\n", "\r\r\n", " \r\n"}) {
    check_error("*1\r\n$4\r\nPING" + end, "expected CRLF after bulk");
    check_error("*1\r\n$0\r\n" + end, "expected CRLF after bulk");
  }
  check_error("*2\r\n$4\r\nECHOxx$1\r\na\r\n", "expected CRLF after bulk");
}

// S20: Redis reads on behind "\r?" and never finds the end of an LF-only line.
TEST_CASE("length lines end in CRLF and nothing else") {
  check_error("*1\rX", "invalid multibulk length");
  check_error("*1\n$4\nPING\n", "invalid multibulk length");
  check_error("*\n", "invalid multibulk length");
  check_error("*1\r\r\n", "invalid multibulk length");
  check_error("*1\r\n$4\rX", "invalid bulk length");
  check_error("*1\r\n$4\nPING\r\n", "invalid bulk length");
}

TEST_CASE("after an error every further byte is refused") {
  resp::RequestParser parser;
  REQUIRE(parser.parse("*x\r\n").status == resp::RequestParser::Status::error);
  const auto again = parser.parse(ping);
  CHECK(again.status == resp::RequestParser::Status::error);
  CHECK(again.consumed == 0);
  CHECK(parser.error() == "ERR Protocol error: invalid multibulk length");
}

TEST_CASE("the words of a request point into the bytes of the completing call") {
  const std::string whole = encode_request({"SET", "k", "value"});
  resp::RequestParser parser;
  const std::string first_half = whole.substr(0, whole.size() - 3);
  REQUIRE(parser.parse(first_half).status == resp::RequestParser::Status::incomplete);
  const std::string moved = whole + ping;
  const auto outcome = parser.parse(moved);
  REQUIRE(outcome.status == resp::RequestParser::Status::complete);
  CHECK(outcome.consumed == whole.size());
  REQUIRE(parser.args().size() == 3);
  CHECK(parser.args()[0].data() == moved.data() + 8);
  CHECK(parser.args()[2].data() == moved.data() + whole.find("value"));
}

TEST_CASE("once a bulk is announced the bytes it needs are known") {
  resp::RequestParser parser;
  CHECK(parser.bytes_needed() == 0);
  parser.parse("*2\r\n$3\r\nG");
  CHECK(parser.bytes_needed() == 13);
  parser.parse("*2\r\n$3\r\nGET\r\n$100000");
  CHECK(parser.bytes_needed() == 0);
  parser.parse("*2\r\n$3\r\nGET\r\n$100000\r\n");
  CHECK(parser.bytes_needed() == 13 + 9 + 100000 + 2);
  parser.parse("*2\r\n$3\r\nGET\r\n$100000\r\n" + std::string(100000, 'x') + "\r\n");
  CHECK(parser.bytes_needed() == 0);
}

}  // namespace
}  // namespace kvs::test
