// subscription_test.cc - publish/subscribe, against redis-server and against servers that
// misbehave.
#include "protocol/client/subscription.h"

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "protocol/async/gate.h"
#include "protocol/client/limits.h"
#include "protocol/client/run.h"
#include "protocol/client/sync_client.h"
#include "tests/support/server_process.h"
#include "tests/unit/client/fixture.h"
#include "tests/unit/client/redis_server.h"

using kvs::Code;
using kvs::Gate;
using kvs::Result;
using kvs::Task;
using kvs::client::Message;
using kvs::client::Reconnect;
using kvs::client::run;
using kvs::client::Subscription;
using kvs::client::SyncClient;
using kvs::test::failed_with;
using kvs::test::FakeServer;
using kvs::test::Peer;
using kvs::test::RedisServer;
using namespace std::chrono_literals;

namespace {

constexpr Message gap{.kind = Message::Kind::gap};

std::string confirmation(std::string_view kind, std::string_view name) {
  return "*3\r\n$" + std::to_string(kind.size()) + "\r\n" + std::string(kind) + "\r\n$" +
         std::to_string(name.size()) + "\r\n" + std::string(name) + "\r\n:1\r\n";
}

std::string subscribe_news() {
  std::string request;
  kvs::client::append_request(request, {"SUBSCRIBE", "news"});
  return request;
}

const std::string hello = "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n";

Task<void> next_into(Subscription& subscription, std::optional<Result<Message>>& message) {
  auto next = subscription.next();
  message = co_await next;
}

Task<void> closed(Gate& gate) {
  auto closing = gate.closed();
  co_await closing;
}

// What one server's messages look like from here.
void check_messages_of(const kvs::client::SocketAddress& address) {
  kvs::uv::Loop loop;
  Result<Subscription> opened = run(loop, Subscription::open(loop, address));
  REQUIRE(opened);
  Subscription& news = *opened;
  REQUIRE(run(loop, news.subscribe({"news", "weather"})));
  REQUIRE(run(loop, news.subscribe_patterns({"sport.*"})));
  Result<SyncClient> publisher = SyncClient::connect(address);
  REQUIRE(publisher);
  for (int number = 0; number < 1000; ++number) {
    CHECK(publisher->command({"PUBLISH", "news", std::to_string(number)})->integer == 1);
  }
  CHECK(publisher->command({"PUBLISH", "sport.tennis", "6:4"})->integer == 1);
  CHECK(publisher->command({"PUBLISH", "else", "nobody"})->integer == 0);
  for (int number = 0; number < 1000; ++number) {
    REQUIRE(*run(loop, news.next()) ==
            Message{.channel = "news", .payload = std::to_string(number)});
  }
  CHECK(*run(loop, news.next()) ==
        Message{.channel = "sport.tennis", .pattern = "sport.*", .payload = "6:4"});
  REQUIRE(run(loop, news.unsubscribe({"news"})));
  REQUIRE(run(loop, news.unsubscribe_patterns({"sport.*"})));
  CHECK(publisher->command({"PUBLISH", "news", "late"})->integer == 0);
  CHECK(publisher->command({"PUBLISH", "weather", "rain"})->integer == 1);
  CHECK(run(loop, news.next())->payload == "rain");
}

}  // namespace

TEST_CASE("messages of redis-server arrive in order, by name and by pattern") {
  if (!RedisServer::available()) {
    MESSAGE("no redis-server here: not tested");
    return;
  }
  const RedisServer server;
  check_messages_of(server.address());
}

TEST_CASE("messages of kvs-server arrive in order, by name and by pattern") {
  const kvs::test::ServerProcess server;
  check_messages_of({"127.0.0.1", server.port()});
}

TEST_CASE("a lost connection is made again, subscribed again, and the gap is told") {
  if (!RedisServer::available()) {
    MESSAGE("no redis-server here: not tested");
    return;
  }
  RedisServer server;
  kvs::uv::Loop loop;
  Result<Subscription> news = run(
      loop, Subscription::open(loop, server.address(),
                               {.reconnect = Reconnect{.first_delay = 5ms, .delay_max = 50ms}}));
  REQUIRE(news);
  REQUIRE(run(loop, news->subscribe({"news"})));
  server.restart();
  CHECK(*run(loop, news->next()) == gap);
  REQUIRE(run(loop, news->subscribe({"more"})));  // behind the renewed one: both are there now
  Result<SyncClient> publisher = SyncClient::connect(server.address());
  REQUIRE(publisher);
  CHECK(publisher->command({"PUBLISH", "news", "1"})->integer == 1);
  CHECK(publisher->command({"PUBLISH", "more", "2"})->integer == 1);
  CHECK(run(loop, news->next())->payload == "1");
  CHECK(run(loop, news->next())->payload == "2");
}

TEST_CASE("without reconnecting, what has arrived is handed out and then the end is told") {
  FakeServer server([](Peer& peer) {
    if (!peer.expect(subscribe_news())) return;
    peer.send(confirmation("subscribe", "news") + hello + hello);
  });
  kvs::uv::Loop loop;
  Result<Subscription> news = run(loop, Subscription::open(loop, server.address()));
  REQUIRE(news);
  (void)run(loop, news->subscribe({"news"}));
  CHECK(run(loop, news->next())->payload == "hello");
  CHECK(run(loop, news->next())->payload == "hello");
  CHECK(failed_with(run(loop, news->next()), Code::connection_lost));
  CHECK(failed_with(run(loop, news->next()), Code::connection_lost));
  CHECK(failed_with(run(loop, news->subscribe({"x"})), Code::connection_lost));
}

TEST_CASE(
    "a server that refuses, talks nonsense or ends anywhere gives an error, never a message") {
  for (const std::string& bytes :
       {std::string("-NOPERM no\r\n"), std::string("+OK\r\n"), std::string("*0\r\n"),
        std::string(":1\r\n"), std::string("*1\r\n:1\r\n"),
        std::string("*2\r\n$7\r\nmessage\r\n$1\r\nx\r\n"), std::string("rubbish\r\n")}) {
    CAPTURE(bytes);
    FakeServer server([&](Peer& peer) {
      peer.expect(subscribe_news());
      peer.send(bytes);
      peer.wait_for_close();
    });
    kvs::uv::Loop loop;
    Result<Subscription> news = run(loop, Subscription::open(loop, server.address()));
    REQUIRE(news);
    CHECK_FALSE(run(loop, news->subscribe({"news"})));
    CHECK_FALSE(run(loop, news->next()));
  }
  const std::string all = confirmation("subscribe", "news") + hello;
  for (std::size_t bytes = 0; bytes < all.size(); ++bytes) {
    FakeServer server([&](Peer& peer) {
      peer.expect(subscribe_news());
      peer.send(all.substr(0, bytes));
    });
    kvs::uv::Loop loop;
    Result<Subscription> news = run(loop, Subscription::open(loop, server.address()));
    REQUIRE(news);
    (void)run(loop, news->subscribe({"news"}));
    CHECK(failed_with(run(loop, news->next()), Code::connection_lost));
  }
}

TEST_CASE("nobody listens: the subscription is not opened") {
  kvs::uv::Loop loop;
  CHECK(failed_with(run(loop, Subscription::open(loop, kvs::test::deserted_address(),
                                                 {.reconnect = Reconnect{}})),
                    Code::unreachable));
}

TEST_CASE("a slow consumer stops the reading, and loses nothing") {
  const std::size_t count = 3 * kvs::client::limits::messages_kept_max;
  std::atomic<bool> all_sent = false;
  FakeServer server([&](Peer& peer) {
    if (!peer.expect(subscribe_news())) return;
    peer.send(confirmation("subscribe", "news"));
    std::string many;
    for (std::size_t number = 0; number < count; ++number) {
      const std::string text = std::to_string(number);
      many += "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$" + std::to_string(text.size()) + "\r\n" +
              text + "\r\n";
    }
    peer.send(many);
    all_sent = true;
    peer.wait_for_close();
  });
  kvs::uv::Loop loop;
  Result<Subscription> news = run(loop, Subscription::open(loop, server.address()));
  REQUIRE(news);
  REQUIRE(run(loop, news->subscribe({"news"})));
  for (std::size_t number = 0; number < count; ++number) {
    const Result<Message> message = run(loop, news->next());
    REQUIRE(message);
    REQUIRE(message->payload == std::to_string(number));
  }
}

TEST_CASE("dropping next() loses no message, and closing ends the one who waits") {
  FakeServer server([](Peer& peer) {
    if (!peer.expect(subscribe_news())) return;
    peer.send(confirmation("subscribe", "news") + hello);
    peer.wait_for_close();
  });
  kvs::uv::Loop loop;
  Result<Subscription> opened = run(loop, Subscription::open(loop, server.address()));
  REQUIRE(opened);
  std::optional<Subscription> news(std::move(*opened));
  struct Ignore final : kvs::Completion {
    void complete() noexcept override {}
  } ignore;
  { auto unstarted = news->next(); }
  {
    auto dropped = news->next();
    REQUIRE_FALSE(dropped.start(ignore));
  }
  REQUIRE(run(loop, news->subscribe({"news"})));
  CHECK(run(loop, news->next())->payload == "hello");
  std::optional<Result<Message>> message;
  Gate gate;
  spawn(gate, next_into(*news, message));
  news.reset();
  CHECK_FALSE(message);
  run(loop, closed(gate));
  CHECK(failed_with(*message, Code::cancelled, "subscription was closed"));
}
