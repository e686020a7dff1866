// pubsub_test.cc - publish/subscribe over real sockets: who gets what, in which order, and what a
// message promises about the writes before it.
#include <chrono>
#include <cstddef>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/server_process.h"
#include "tests/support/socket.h"

using namespace std::chrono_literals;

namespace kvs::test {
namespace {

std::string bulk(std::string_view text) {
  return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
}

std::string message(std::string_view channel, std::string_view text, char type = '*') {
  return std::string(1, type) + "3\r\n" + bulk("message") + bulk(channel) + bulk(text);
}

std::string subscribed(std::string_view channel, int count, char type = '*') {
  return std::string(1, type) + "3\r\n" + bulk("subscribe") + bulk(channel) + ":" +
         std::to_string(count) + "\r\n";
}

// Enough connections that both of the server's loops have some of them.
constexpr int connections = 6;

}  // namespace

TEST_CASE("a message reaches every subscriber of its channel, whichever loop it lives on") {
  const ServerProcess server({.arguments = {"--threads", "2"}});
  std::vector<Socket> listeners;
  for (int i = 0; i < connections; ++i) {
    listeners.push_back(server.connect());
    CHECK(listeners.back().command({"SUBSCRIBE", "news"}) == subscribed("news", 1));
  }
  Socket publisher = server.connect();
  CHECK(publisher.command({"PUBLISH", "news", "one"}) == ":6\r\n");
  CHECK(publisher.command({"PUBLISH", "other", "none"}) == ":0\r\n");
  CHECK(publisher.command({"PUBLISH", "news", std::string("t\0w\r\no", 6)}) == ":6\r\n");
  for (Socket& listener : listeners) {
    CHECK(listener.read_reply() == message("news", "one"));
    CHECK(listener.read_reply() == message("news", std::string_view("t\0w\r\no", 6)));
    CHECK(listener.silent_for(20ms));
  }
}

TEST_CASE("patterns get what matches them, and a subscriber of both gets both") {
  const ServerProcess server;
  Socket listener = server.connect();
  CHECK(listener.command({"SUBSCRIBE", "hello"}) == subscribed("hello", 1));
  CHECK(listener.command({"PSUBSCRIBE", "h?llo"}) ==
        "*3\r\n" + bulk("psubscribe") + bulk("h?llo") + ":2\r\n");
  Socket publisher = server.connect();
  CHECK(publisher.command({"PUBLISH", "hello", "m"}) == ":2\r\n");
  CHECK(listener.read_reply() == message("hello", "m"));
  CHECK(listener.read_reply() ==
        "*4\r\n" + bulk("pmessage") + bulk("h?llo") + bulk("hello") + bulk("m"));
  CHECK(publisher.command({"PUBLISH", "hallo", "m"}) == ":1\r\n");
}

TEST_CASE("two publishers' messages come in one order to all subscribers, and none is lost") {
  const ServerProcess server({.arguments = {"--threads", "2"}});
  std::vector<Socket> listeners;
  for (int i = 0; i < connections; ++i) {
    listeners.push_back(server.connect());
    (void)listeners.back().command({"SUBSCRIBE", "c"});
  }
  constexpr int each = 500;
  const auto publish = [&server](char who) {
    Socket socket = server.connect();
    std::string requests;
    for (int i = 0; i < each; ++i) {
      requests += "*3\r\n$7\r\nPUBLISH\r\n" + bulk("c") + bulk(who + std::to_string(i));
    }
    socket.send_all(requests);
    for (int i = 0; i < each; ++i) (void)socket.read_reply();
  };
  std::thread first(publish, 'a');
  std::thread second(publish, 'b');
  first.join();
  second.join();
  std::vector<std::string> order;
  for (int i = 0; i < 2 * each; ++i) order.push_back(listeners[0].read_reply());
  for (std::size_t listener = 1; listener < listeners.size(); ++listener) {
    int different = 0;
    for (const std::string& expected : order) {
      if (listeners[listener].read_reply() != expected) ++different;
    }
    CHECK(different == 0);
  }
}

TEST_CASE("who gets a message sees the writes that came before it in the same pipeline") {
  for (const char* policy : {"everysec", "always"}) {
    CAPTURE(policy);
    const ServerProcess server({.arguments = {"--sync", policy}});
    Socket listener = server.connect();
    (void)listener.command({"SUBSCRIBE", "done"});
    Socket reader = server.connect();
    Socket writer = server.connect();
    for (int i = 0; i < 200; ++i) {
      const std::string number = std::to_string(i);
      // As Celery's result backend does it; every second time without a transaction.
      const bool transaction = i % 2 == 0;
      writer.send_all((transaction ? "MULTI\r\n" : "") + ("SET result " + number) +
                      "\r\nPUBLISH done " + number + "\r\n" + (transaction ? "EXEC\r\n" : ""));
      CHECK(listener.read_reply() == message("done", number));
      CHECK(reader.command({"GET", "result"}) == bulk(number));
    }
  }
}

TEST_CASE("a RESP2 subscriber may only listen, a RESP3 one may do anything") {
  const ServerProcess server;
  Socket listener = server.connect();
  (void)listener.command({"SUBSCRIBE", "c"});
  CHECK(listener.command({"GET", "k"}) ==
        "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET "
        "are allowed in this context\r\n");
  CHECK(listener.command({"PING"}) == "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
  CHECK(listener.command({"UNSUBSCRIBE"}) == "*3\r\n" + bulk("unsubscribe") + bulk("c") + ":0\r\n");
  CHECK(listener.command({"GET", "k"}) == "$-1\r\n");

  (void)listener.command({"HELLO", "3"});
  CHECK(listener.command({"SUBSCRIBE", "c"}) == subscribed("c", 1, '>'));
  CHECK(listener.command({"SET", "k", "v"}) == "+OK\r\n");
  CHECK(listener.command({"GET", "k"}) == "$1\r\nv\r\n");
  // Its own message comes too, after the reply or before, but whole.
  listener.send_all("PUBLISH c m\r\n");
  const std::string one = listener.read_reply();
  const std::string two = listener.read_reply();
  CHECK(((one == ":1\r\n" && two == message("c", "m", '>')) ||
         (two == ":1\r\n" && one == message("c", "m", '>'))));
  CHECK(listener.command({"RESET"}) == "+RESET\r\n");
  Socket other = server.connect();
  CHECK(other.command({"PUBLISH", "c", "m"}) == ":0\r\n");
}

TEST_CASE("a subscriber that has gone is not counted any more") {
  const ServerProcess server;
  Socket publisher = server.connect();
  {
    Socket listener = server.connect();
    (void)listener.command({"SUBSCRIBE", "c"});
    CHECK(publisher.command({"PUBSUB", "NUMSUB", "c"}) == "*2\r\n$1\r\nc\r\n:1\r\n");
  }
  std::string receivers;
  for (int i = 0; i < 200 && receivers != ":0\r\n"; ++i) {
    receivers = publisher.command({"PUBLISH", "c", "m"});
    std::this_thread::sleep_for(10ms);
  }
  CHECK(receivers == ":0\r\n");
  CHECK(publisher.command({"PUBSUB", "CHANNELS"}) == "*0\r\n");
}

TEST_CASE("a subscriber gets what was published before it was killed") {
  const ServerProcess server({.arguments = {"--threads", "2"}});
  Socket publisher = server.connect();
  for (int round = 0; round < 500; ++round) {
    Socket listener = server.connect();
    REQUIRE(listener.command({"SUBSCRIBE", "c"}) == subscribed("c", 1));
    REQUIRE(publisher.command({"PUBLISH", "c", "last"}) == ":1\r\n");
    REQUIRE(publisher.command({"CLIENT", "KILL", "TYPE", "pubsub"}) == ":1\r\n");
    REQUIRE(listener.read_until_close() == message("c", "last"));
  }
}

TEST_CASE("a subscriber that does not read is closed at its limit; the publisher does not notice") {
  const ServerProcess server;
  Socket publisher = server.connect();
  CHECK(publisher.command({"CONFIG", "SET", "client-output-buffer-limit", "normal 4194304 0 0"}) ==
        "+OK\r\n");
  Socket listener = server.connect({.receive_buffer_bytes = 4096});
  (void)listener.command({"SUBSCRIBE", "c"});
  const std::string text(64 * 1024, 'x');
  std::string receivers = ":1\r\n";
  for (int i = 0; i < 2000 && receivers == ":1\r\n"; ++i) {
    receivers = publisher.command({"PUBLISH", "c", text});
  }
  CHECK(receivers == ":0\r\n");
  CHECK(server.rss_bytes() < std::size_t{256} << 20);
}

TEST_CASE("keyspace notifications tell of writes after they are visible, and only when asked for") {
  const ServerProcess server;
  Socket listener = server.connect();
  CHECK(listener.command({"PSUBSCRIBE", "__key*"}) ==
        "*3\r\n" + bulk("psubscribe") + bulk("__key*") + ":1\r\n");
  Socket writer = server.connect();
  CHECK(writer.command({"SET", "k", "1"}) == "+OK\r\n");
  CHECK(listener.silent_for(50ms));
  CHECK(writer.command({"CONFIG", "SET", "notify-keyspace-events", "KEA"}) == "+OK\r\n");
  const auto event = [](std::string_view channel, std::string_view text) {
    return "*4\r\n" + bulk("pmessage") + bulk("__key*") + bulk(channel) + bulk(text);
  };
  CHECK(writer.command({"SET", "k", "2"}) == "+OK\r\n");
  CHECK(listener.read_reply() == event("__keyspace@0__:k", "set"));
  CHECK(listener.read_reply() == event("__keyevent@0__:set", "k"));
  CHECK(writer.command({"DEL", "k", "absent"}) == ":1\r\n");
  CHECK(listener.read_reply() == event("__keyspace@0__:k", "del"));
  CHECK(listener.read_reply() == event("__keyevent@0__:del", "k"));
  CHECK(listener.silent_for(20ms));
  CHECK(writer.command({"CONFIG", "SET", "notify-keyspace-events", "Eg"}) == "+OK\r\n");
  CHECK(writer.command({"SET", "k", "3", "EX", "100"}) == "+OK\r\n");
  CHECK(listener.read_reply() == event("__keyevent@0__:expire", "k"));
}

}  // namespace kvs::test
