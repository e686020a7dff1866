#include "protocol/client/reply_reader.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "protocol/client/limits.h"

using kvs::Code;
using kvs::Result;
using kvs::client::Reply;
using kvs::client::ReplyReader;
namespace limits = kvs::client::limits;

namespace {

const std::string binary("\0\r\n\xff$*", 6);

// One stream with every kind of reply, and the replies in it.
std::string stream_bytes() {
  return "+OK\r\n-ERR no\r\n:-42\r\n$-1\r\n*-1\r\n$0\r\n\r\n$6\r\n" + binary +
         "\r\n*0\r\n*3\r\n:1\r\n*2\r\n$1\r\na\r\n-ERR in\r\n+end\r\n";
}

Reply text(Reply::Kind kind, std::string content) {
  return {.kind = kind, .text = std::move(content)};
}

std::vector<Reply> stream_replies() {
  using enum Reply::Kind;
  const Reply inner{.kind = array, .elements = {text(string, "a"), text(error, "ERR in")}};
  return {
      text(status, "OK"),
      text(error, "ERR no"),
      {.kind = integer, .integer = -42},
      {},
      {},
      text(string, ""),
      text(string, binary),
      {.kind = array},
      {.kind = array, .elements = {{.kind = integer, .integer = 1}, inner, text(status, "end")}}};
}

// Feeds `bytes` in pieces of `piece_bytes` and returns the replies.
std::vector<Reply> read_all(std::string_view bytes, std::size_t piece_bytes) {
  ReplyReader reader;
  std::vector<Reply> replies;
  for (std::size_t at = 0; at < bytes.size(); at += piece_bytes) {
    reader.feed(bytes.substr(at, piece_bytes));
    for (;;) {
      Result<std::optional<Reply>> reply = reader.next();
      REQUIRE(reply);
      if (!*reply) break;
      replies.push_back(std::move(**reply));
    }
  }
  return replies;
}

// The error that `bytes` lead to; fails the test when they lead to none.
std::string failure_of(std::string_view bytes) {
  ReplyReader reader;
  for (std::size_t at = 0; at < bytes.size(); at += limits::read_bytes) {
    reader.feed(bytes.substr(at, limits::read_bytes));
    for (;;) {
      const Result<std::optional<Reply>> reply = reader.next();
      if (!reply) {
        CHECK(reply.error().code() == Code::protocol);
        CHECK_FALSE(reader.next());  // for ever after
        return reply.error().message();
      }
      if (!*reply) break;
    }
  }
  return "no failure";
}

}  // namespace

TEST_CASE("every kind of reply is read, however the bytes are cut") {
  const std::string bytes = stream_bytes();
  for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
    CAPTURE(piece);
    CHECK(read_all(bytes, piece) == stream_replies());
  }
}

TEST_CASE("what is not RESP is a protocol error, and stays one") {
  for (const std::string bytes : {"hello\r\n", "\r\n", "HTTP/1.1 200 OK\r\n", "$abc\r\n",
                                  ":12x\r\n", "*-2\r\n", "$-2\r\n", "_\r\n", "%1\r\n"}) {
    CAPTURE(bytes);
    CHECK(failure_of(bytes) != "no failure");
  }
}

TEST_CASE("an array of announced size reserves nothing and may be refused") {
  ReplyReader reader;
  reader.feed("*1000000\r\n:1\r\n");
  CHECK(*reader.next() == std::nullopt);
  CHECK(failure_of("*2147483647\r\n") == "the reply has too many elements");
  CHECK(failure_of("*9223372036854775807\r\n") != "no failure");
  CHECK(failure_of("*4294967297\r\n") != "no failure");
}

TEST_CASE("nesting is bounded") {
  std::string deep;
  for (int level = 0; level < 100; ++level) deep += "*1\r\n";
  CHECK(failure_of(deep) == "the reply is nested too deeply");
}

TEST_CASE("arrays as deep as COMMAND DOCS has them are read, however the bytes are cut") {
  std::string bytes;
  for (std::size_t level = 0; level < limits::reply_depth_max; ++level) {
    bytes += "*3\r\n$1\r\nx\r\n";
  }
  bytes += "*0\r\n";
  for (std::size_t level = 0; level < limits::reply_depth_max; ++level) bytes += ":7\r\n";
  bytes += "+next\r\n";
  for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
    CAPTURE(piece);
    const std::vector<Reply> replies = read_all(bytes, piece);
    REQUIRE(replies.size() == 2);
    CHECK(replies[1].text == "next");
    const Reply* inner = &replies[0];
    std::size_t depth = 0;
    for (; inner->elements.size() == 3; ++depth) {
      CHECK(inner->elements[0].text == "x");
      CHECK(inner->elements[2].integer == 7);
      inner = &inner->elements[1];
    }
    CHECK(depth == limits::reply_depth_max);
    CHECK(inner->kind == Reply::Kind::array);
  }
}

TEST_CASE("a line without an end is given up, a long string is not") {
  for (const std::string start : {"+", "-", ":", "$", "*"}) {
    CAPTURE(start);
    CHECK(failure_of(start + std::string(2 * limits::reply_line_bytes_max, '1')) != "no failure");
  }
  const std::string value(3 * limits::reply_line_bytes_max, 'v');
  const std::string bytes =
      "*2\r\n:1\r\n$" + std::to_string(value.size()) + "\r\n" + value + "\r\n";
  const std::vector<Reply> replies = read_all(bytes, 1000);
  REQUIRE(replies.size() == 1);
  CHECK(replies[0].elements[1].text == value);
}
