// client_test.cc - what the client sends and understands when all goes well.
#include "protocol/client/client.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "protocol/async/gate.h"
#include "tests/unit/client/fixture.h"

using kvs::Code;
using kvs::Gate;
using kvs::Result;
using kvs::Task;
using kvs::client::Client;
using kvs::client::may_have_happened;
using kvs::client::Reply;
using kvs::client::SetOptions;
using kvs::test::ClientFixture;
using kvs::test::failed_with;
using kvs::test::FakeServer;
using kvs::test::Peer;
using namespace std::chrono_literals;

namespace {

// A server that expects `request` and answers `reply`.
FakeServer::Script exchange(std::string request, std::string reply) {
  return [request, reply](Peer& peer) {
    if (peer.expect(request)) peer.send(reply);
    peer.wait_for_close();
  };
}

}  // namespace

TEST_CASE("get returns the value, and nothing for an absent key") {
  FakeServer server([](Peer& peer) {
    if (peer.expect("*2\r\n$3\r\nGET\r\n$1\r\na\r\n")) peer.send("$5\r\nvalue\r\n");
    if (peer.expect("*2\r\n$3\r\nGET\r\n$1\r\nb\r\n")) peer.send("$-1\r\n");
    peer.wait_for_close();
  });
  ClientFixture fixture(server.address());
  CHECK(*fixture.run(fixture.client().get("a")) == "value");
  CHECK(*fixture.run(fixture.client().get("b")) == std::nullopt);
}

TEST_CASE("keys and values are any bytes, the empty ones included") {
  const std::string key("\0k\r\n", 4);
  const std::string value("\xff\0$-1\r\n", 7);
  FakeServer server([&](Peer& peer) {
    if (peer.expect("*3\r\n$3\r\nSET\r\n$4\r\n" + key + "\r\n$7\r\n" + value + "\r\n")) {
      peer.send("+OK\r\n");
    }
    if (peer.expect("*2\r\n$3\r\nGET\r\n$4\r\n" + key + "\r\n")) {
      peer.send("$7\r\n" + value + "\r\n");
    }
    if (peer.expect("*3\r\n$3\r\nSET\r\n$0\r\n\r\n$0\r\n\r\n")) peer.send("+OK\r\n");
    if (peer.expect("*2\r\n$3\r\nGET\r\n$0\r\n\r\n")) peer.send("$0\r\n\r\n");
    peer.wait_for_close();
  });
  ClientFixture fixture(server.address());
  CHECK(*fixture.run(fixture.client().set(key, value)));
  CHECK(*fixture.run(fixture.client().get(key)) == value);
  CHECK(*fixture.run(fixture.client().set({}, {})));
  CHECK(*fixture.run(fixture.client().get({})) == "");
}

TEST_CASE("set says when, and for how long") {
  FakeServer server([](Peer& peer) {
    if (peer.expect(
            "*6\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n$2\r\nPX\r\n$4\r\n1500\r\n$2\r\nNX\r\n")) {
      peer.send("+OK\r\n");
    }
    if (peer.expect("*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n$2\r\nXX\r\n")) peer.send("$-1\r\n");
    peer.wait_for_close();
  });
  ClientFixture fixture(server.address());
  const SetOptions absent{.when = SetOptions::When::absent, .expire_after = 1500ms};
  CHECK(*fixture.run(fixture.client().set("k", "v", absent)) == true);
  const SetOptions present{.when = SetOptions::When::present};
  CHECK(*fixture.run(fixture.client().set("k", "v", present)) == false);
}

TEST_CASE("remove of an absent key is Code::not_found") {
  FakeServer server([](Peer& peer) {
    if (peer.expect("*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n")) peer.send(":1\r\n");
    if (peer.expect("*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n")) peer.send(":0\r\n");
    peer.wait_for_close();
  });
  ClientFixture fixture(server.address());
  CHECK(fixture.run(fixture.client().remove("k")));
  CHECK(failed_with(fixture.run(fixture.client().remove("k")), Code::not_found, "Key not found"));
}

TEST_CASE("command takes any words and returns the whole reply") {
  FakeServer server(
      exchange("*3\r\n$4\r\nMGET\r\n$1\r\na\r\n$1\r\nb\r\n", "*2\r\n$1\r\n1\r\n$-1\r\n"));
  ClientFixture fixture(server.address());
  const Result<Reply> reply = fixture.run(fixture.client().command({"MGET", "a", "b"}));
  REQUIRE(reply);
  CHECK(reply->kind == Reply::Kind::array);
  CHECK(reply->elements == std::vector<Reply>{{.kind = Reply::Kind::string, .text = "1"}, {}});
  CHECK(failed_with(fixture.run(fixture.client().command({})), Code::invalid));
}

TEST_CASE("an error reply is Code::server with the server's text, and the connection goes on") {
  FakeServer server([](Peer& peer) {
    if (peer.expect("*2\r\n$3\r\nGET\r\n$1\r\nl\r\n")) peer.send("-WRONGTYPE not a string\r\n");
    if (peer.expect("*2\r\n$3\r\nGET\r\n$1\r\na\r\n")) peer.send("$1\r\n1\r\n");
    peer.wait_for_close();
  });
  ClientFixture fixture(server.address());
  const auto wrong = fixture.run(fixture.client().get("l"));
  CHECK(failed_with(wrong, Code::server, "WRONGTYPE not a string"));
  CHECK_FALSE(may_have_happened(wrong.error()));
  CHECK(*fixture.run(fixture.client().get("a")) == "1");
}

TEST_CASE("a reply is understood when it comes byte by byte") {
  FakeServer server([](Peer& peer) {
    peer.read(24);
    for (const char byte : std::string("$5\r\nva\r\ne\r\n")) {
      peer.send({&byte, 1});
      std::this_thread::sleep_for(2ms);
    }
    peer.wait_for_close();
  });
  ClientFixture fixture(server.address());
  CHECK(*fixture.run(fixture.client().get("key12")) == "va\r\ne");
}

namespace {

Task<void> get_into(Client& client, std::string key, std::vector<std::string>& answers) {
  Task<Result<std::optional<std::string>>> getting = client.get(key);
  const Result<std::optional<std::string>> value = co_await std::move(getting);
  answers.push_back(key + "=" + (value && *value ? **value : "?"));
}

Task<void> get_many(Client& client, int count, std::vector<std::string>& answers) {
  Gate gate;
  for (int number = 0; number < count; ++number) {
    spawn(gate, get_into(client, std::to_string(number), answers));
  }
  auto closed = gate.closed();
  co_await closed;
}

Task<void> get_each(Client& client, int count, int& right) {
  for (int number = 0; number < count; ++number) {
    Task<Result<std::optional<std::string>>> getting = client.get("k");
    const Result<std::optional<std::string>> value = co_await std::move(getting);
    if (value && *value == "v") ++right;
  }
}

}  // namespace

TEST_CASE("commands in flight together leave together and are answered in order") {
  constexpr int count = 1000;
  std::string requests;
  std::string replies;
  for (int number = 0; number < count; ++number) {
    const std::string key = std::to_string(number);
    const std::string bulk = "$" + std::to_string(key.size()) + "\r\n" + key + "\r\n";
    requests += "*2\r\n$3\r\nGET\r\n" + bulk;
    replies += bulk;
  }
  FakeServer server([&](Peer& peer) {
    // All of them, before the first is answered.
    if (!peer.expect(requests)) return;
    for (std::size_t at = 0; at < replies.size(); at += 777) {
      peer.send(std::string_view(replies).substr(at, 777));
    }
    peer.wait_for_close();
  });
  ClientFixture fixture(server.address());
  std::vector<std::string> answers;
  kvs::client::run(fixture.loop(), get_many(fixture.client(), count, answers));
  REQUIRE(answers.size() == count);
  for (int number = 0; number < count; ++number) {
    const std::string key = std::to_string(number);
    REQUIRE(answers[static_cast<std::size_t>(number)] == key + "=" + key);
  }
}

TEST_CASE("ten thousand commands one after another are served on one connection") {
  constexpr int count = 10'000;
  const std::string request = "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";
  FakeServer server([&](Peer& peer) {
    for (int number = 0; number < count && peer.expect(request); ++number) peer.send("$1\r\nv\r\n");
    peer.wait_for_close();
  });
  ClientFixture fixture(server.address());
  int right = 0;
  kvs::client::run(fixture.loop(), get_each(fixture.client(), count, right));
  CHECK(right == count);
}

TEST_CASE("a value of 16 MiB goes there and back") {
  const std::string value(std::size_t{16} << 20, 'x');
  const std::string bulk = "$" + std::to_string(value.size()) + "\r\n" + value + "\r\n";
  FakeServer server([&](Peer& peer) {
    if (peer.expect("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n" + bulk)) peer.send("+OK\r\n");
    if (peer.expect("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n")) peer.send(bulk);
    peer.wait_for_close();
  });
  ClientFixture fixture(server.address());
  CHECK(*fixture.run(fixture.client().set("k", value)));
  const auto read = fixture.run(fixture.client().get("k"));
  REQUIRE(read);
  CHECK((*read == value));
}

TEST_CASE("a client is moved with its connection") {
  FakeServer server(exchange("*2\r\n$3\r\nGET\r\n$1\r\na\r\n", "$1\r\n1\r\n"));
  ClientFixture fixture(server.address());
  Client moved = std::move(fixture.client());
  CHECK(*fixture.run(moved.get("a")) == "1");
}
