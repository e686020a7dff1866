// reconnect_test.cc - the greeting, connections that are lost and made again, and what becomes of
// commands meanwhile.
#include <atomic>
#include <chrono>
#include <csignal>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "protocol/async/gate.h"
#include "protocol/client/background_client.h"
#include "protocol/client/client.h"
#include "protocol/client/sync_client.h"
#include "protocol/uv/timer.h"
#include "tests/support/server_process.h"
#include "tests/unit/client/fixture.h"

using kvs::Code;
using kvs::Gate;
using kvs::Result;
using kvs::Task;
using kvs::client::BackgroundClient;
using kvs::client::Client;
using kvs::client::ConnectOptions;
using kvs::client::may_have_happened;
using kvs::client::Reconnect;
using kvs::client::run;
using kvs::client::SocketAddress;
using kvs::client::SyncClient;
using kvs::test::ClientFixture;
using kvs::test::failed_with;
using kvs::test::FakeServer;
using kvs::test::Peer;
using namespace std::chrono_literals;

namespace {

using Value = Result<std::optional<std::string>>;

constexpr std::size_t get_k_bytes = 20;

ConnectOptions reconnecting() {
  return {.operation_timeout = kvs::test::patience,
          .reconnect = Reconnect{.first_delay = 5ms, .delay_max = 20ms},
          .wait_while_down = 5s};
}

Task<void> get_into(Client& client, std::string key, std::optional<Value>& answer) {
  Task<Value> getting = client.get(key);
  answer = co_await std::move(getting);
}

Task<void> closed(Gate& gate) {
  auto closing = gate.closed();
  co_await closing;
}

std::string words(std::initializer_list<std::string_view> all) {
  std::string request;
  kvs::client::append_request(request, all);
  return request;
}

}  // namespace

TEST_CASE("the greeting gives password, database and name, in one write, before any command") {
  FakeServer server([](Peer& peer) {
    if (!peer.expect(words({"AUTH", "me", "secret"}) + words({"SELECT", "7"}) +
                     words({"CLIENT", "SETNAME", "tester"}))) {
      return;
    }
    peer.send("+OK\r\n+OK\r\n+OK\r\n");
    if (peer.expect(words({"GET", "k"}))) peer.send("$1\r\n1\r\n");
    peer.wait_for_close();
  });
  ClientFixture fixture(server.address(),
                        {.user = "me", .password = "secret", .database = 7, .name = "tester"});
  CHECK(*fixture.run(fixture.client().get("k")) == "1");
}

TEST_CASE("kvs-server takes the greeting, at every connect") {
  kvs::test::ServerProcess server({.password = "secret"});
  const SocketAddress address{"127.0.0.1", server.port()};
  kvs::uv::Loop loop;
  CHECK(failed_with(run(loop, Client::connect(loop, address, {.password = "wrong"})), Code::server,
                    "the server answered AUTH with: WRONGPASS"));
  CHECK(
      failed_with(run(loop, Client::connect(loop, address, {.password = "secret", .database = 99})),
                  Code::server, "SELECT"));
  ConnectOptions options = reconnecting();
  options.user = "default";
  options.password = "secret";
  options.database = 3;
  options.name = "again";
  ClientFixture fixture(address, options);
  CHECK(*fixture.run(fixture.client().set("k", "in three")));
  for (int round = 0; round < 2; ++round) {
    server.kill();
    server.restart();
    // Whether the end has been noticed yet or not, a command after an error finds the new one.
    Value value = fixture.run(fixture.client().get("k"));
    if (!value) value = fixture.run(fixture.client().get("k"));
    REQUIRE(value);
    CHECK(*value == "in three");
    const auto name = fixture.run(fixture.client().command({"CLIENT", "GETNAME"}));
    CHECK(name->text == "again");
  }
}

TEST_CASE("a refusal in the middle of the greeting, or an end at any place of it, is an error") {
  const std::string answers = "+OK\r\n+OK\r\n";
  for (std::size_t bytes = 0; bytes < answers.size(); ++bytes) {
    CAPTURE(bytes);
    FakeServer server([&](Peer& peer) {
      peer.read(words({"AUTH", "p"}).size() + words({"SELECT", "1"}).size());
      peer.send(answers.substr(0, bytes));
    });
    kvs::uv::Loop loop;
    const auto client =
        run(loop, Client::connect(loop, server.address(), {.password = "p", .database = 1}));
    CHECK(failed_with(client, Code::unreachable));
  }
}

TEST_CASE("a greeting that is not answered ends with the connect time-out") {
  FakeServer server([](Peer& peer) { peer.wait_for_close(); });
  kvs::uv::Loop loop;
  const ConnectOptions options{.connect_timeout = 100ms, .password = "p"};
  CHECK(failed_with(run(loop, Client::connect(loop, server.address(), options)), Code::unreachable,
                    "no answer within 100 ms"));
}

TEST_CASE("after a lost connection the next command waits for the new one") {
  std::atomic<int> connections = 0;
  FakeServer server(
      [&](Peer& peer) {
        if (++connections == 1) {
          peer.read(get_k_bytes);
          return;
        }
        while (peer.expect(words({"GET", "k"}))) peer.send("$3\r\nnew\r\n");
      },
      2);
  ClientFixture fixture(server.address(), reconnecting());
  const Value lost = fixture.run(fixture.client().get("k"));
  CHECK(failed_with(lost, Code::connection_lost, "may have been executed"));
  CHECK(may_have_happened(lost.error()));
  CHECK_FALSE(fixture.client().connected());
  std::optional<Value> answers[3];
  Gate gate;
  for (auto& answer : answers) spawn(gate, get_into(fixture.client(), "k", answer));
  CHECK(fixture.client().in_flight() == 3);
  fixture.run(closed(gate));
  for (const auto& answer : answers) CHECK(**answer == "new");
  CHECK(fixture.client().connected());
}

TEST_CASE("without a wait a command that finds no connection is refused at once") {
  FakeServer server([](Peer& peer) { peer.read(get_k_bytes); });
  ConnectOptions options = reconnecting();
  options.wait_while_down = 0ms;
  ClientFixture fixture(server.address(), options);
  CHECK_FALSE(fixture.run(fixture.client().get("k")));
  const auto start = std::chrono::steady_clock::now();
  const Value refused = fixture.run(fixture.client().get("k"));
  CHECK(failed_with(refused, Code::unreachable, "the command was not sent"));
  CHECK_FALSE(may_have_happened(refused.error()));
  CHECK(std::chrono::steady_clock::now() - start < 1s);
}

TEST_CASE("the wait for a connection has a bound") {
  kvs::uv::Loop loop;
  ConnectOptions options = reconnecting();
  options.wait_while_down = 100ms;
  Client client = Client::open(loop, kvs::test::deserted_address(), options);
  const auto start = std::chrono::steady_clock::now();
  const Value value = run(loop, client.get("k"));
  CHECK(failed_with(value, Code::unreachable, "no connection in time"));
  CHECK(std::chrono::steady_clock::now() - start >= 100ms);
  CHECK_FALSE(client.ended());
}

TEST_CASE("attempts have a bound, and then the client is ended") {
  kvs::uv::Loop loop;
  ConnectOptions options = reconnecting();
  options.reconnect->attempts_max = 3;
  Client client = Client::open(loop, kvs::test::deserted_address(), options);
  CHECK(failed_with(run(loop, client.get("k")), Code::unreachable, "was not sent"));
  CHECK(client.ended());
  CHECK(failed_with(run(loop, client.get("k")), Code::unreachable));
}

TEST_CASE("a command that was dropped while it waited is never sent") {
  FakeServer server([](Peer& peer) {
    if (peer.expect(words({"GET", "b"}))) peer.send("$1\r\nb\r\n");
    peer.wait_for_close();
  });
  kvs::uv::Loop loop;
  Client client = Client::open(loop, server.address(), reconnecting());
  struct Ignore final : kvs::Completion {
    void complete() noexcept override {}
  } ignore;
  {
    auto dropped = client.get_op("a");
    REQUIRE_FALSE(dropped.start(ignore));
    CHECK(client.in_flight() == 1);
  }
  CHECK(*run(loop, client.get("b")) == "b");
}

TEST_CASE("closing a client that has no connection ends what waits") {
  kvs::uv::Loop loop;
  std::optional<Client> client(Client::open(loop, kvs::test::deserted_address(), reconnecting()));
  std::optional<Value> answer;
  Gate gate;
  spawn(gate, get_into(*client, "k", answer));
  client.reset();
  CHECK_FALSE(answer);
  run(loop, closed(gate));
  CHECK(failed_with(*answer, Code::unreachable, "the client was closed"));
}

TEST_CASE("delays grow up to a bound, with jitter") {
  std::vector<std::chrono::steady_clock::time_point> times;
  FakeServer server(
      [&](Peer& peer) {
        times.push_back(std::chrono::steady_clock::now());
        peer.send("-ERR go away\r\n");
      },
      6);
  kvs::uv::Loop loop;
  // With a greeting, so that an accepted connection is no success yet.
  ConnectOptions options{
      .password = "p",
      .reconnect =
          Reconnect{.first_delay = 20ms, .delay_max = 80ms, .jitter = 0.5, .attempts_max = 5},
      .wait_while_down = 10s};
  Client client = Client::open(loop, server.address(), options);
  CHECK(failed_with(run(loop, client.get("k")), Code::unreachable, "go away"));
  REQUIRE(times.size() == 6);
  const std::chrono::milliseconds longest[] = {20ms, 40ms, 80ms, 80ms, 80ms};
  for (std::size_t index = 0; index < 5; ++index) {
    const auto gap = times[index + 1] - times[index];
    CAPTURE(index);
    CHECK(gap >= longest[index] / 2 - 2ms);
    CHECK(gap < longest[index] + 1s);
  }
}

TEST_CASE("the background client answers everybody when it ends with commands in flight") {
  FakeServer server([](Peer& peer) { peer.wait_for_close(); });
  Result<std::unique_ptr<BackgroundClient>> client = BackgroundClient::connect(server.address());
  REQUIRE(client);
  std::vector<kvs::Future<Value>> futures;
  for (int number = 0; number < 100; ++number) futures.push_back((*client)->get_future("k"));
  client->reset();
  for (auto& future : futures) {
    REQUIRE(future.wait_for(kvs::test::patience));
    const Value value = future.get();
    REQUIRE_FALSE(value);
    CHECK((value.error().code() == Code::cancelled || value.error().code() == Code::unreachable));
  }
}

TEST_CASE("the background client reports a server that is not there") {
  CHECK(failed_with(BackgroundClient::connect(kvs::test::deserted_address()), Code::unreachable));
  const auto later = BackgroundClient::open(kvs::test::deserted_address());
  REQUIRE(later);
  CHECK(failed_with((*later)->get_future("k").get(), Code::unreachable));
}

TEST_CASE("the blocking client notices between calls that the server has closed") {
  FakeServer server([](Peer&) {});
  Result<SyncClient> client = SyncClient::connect(server.address());
  REQUIRE(client);
  const auto deadline = std::chrono::steady_clock::now() + kvs::test::patience;
  while (client->connected() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(1ms);
  }
  const Value value = client->get("k");
  CHECK(failed_with(value, Code::unreachable, "was not sent"));
}

TEST_CASE("a loop that ends before a closed client's commands were told answers none of them") {
  FakeServer server([](Peer& peer) { peer.wait_for_close(); });
  bool told = false;
  struct Note final : kvs::Completion {
    bool& told;
    explicit Note(bool& note) : told(note) {}
    void complete() noexcept override { told = true; }
  } note(told);
  std::optional<kvs::client::GetOperation> sent;
  std::optional<kvs::client::GetOperation> waiting;
  {
    kvs::uv::Loop loop;
    Client client = *run(loop, Client::connect(loop, server.address()));
    sent.emplace(client.get_op("k"));
    REQUIRE_FALSE(sent->start(note));
    Client other = Client::open(loop, server.address(), reconnecting());
    waiting.emplace(other.get_op("k"));
    REQUIRE_FALSE(waiting->start(note));
  }
  CHECK_FALSE(told);  // and both may be dropped now, without their loop
}

TEST_CASE("writing to a connection that the server has reset raises no SIGPIPE") {
  static std::atomic<int> signals = 0;
  struct sigaction counting {};
  struct sigaction before {};
  counting.sa_handler = [](int) { ++signals; };
  sigaction(SIGPIPE, &counting, &before);
  std::promise<void> connected;  // a reset before that is a refused connection, another case
  std::future<void> reset_allowed = connected.get_future();
  FakeServer server([&reset_allowed](Peer& peer) {
    static_cast<void>(reset_allowed.wait_for(kvs::test::patience));
    peer.reset();
  });
  ClientFixture fixture(server.address());
  connected.set_value();
  const std::string value(std::size_t{1} << 20, 'x');
  for (int round = 0; round < 10; ++round) {
    CHECK_FALSE(fixture.run(fixture.client().set("k", value)));
    std::this_thread::sleep_for(5ms);
  }
  sigaction(SIGPIPE, &before, nullptr);
  CHECK(signals == 0);
}
