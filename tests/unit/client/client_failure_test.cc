// client_failure_test.cc - servers that are gone, slow, mad or rude. Every case ends within
// `patience`.
#include <chrono>
#include <coroutine>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "protocol/async/gate.h"
#include "protocol/client/client.h"
#include "protocol/uv/timer.h"
#include "tests/unit/client/fixture.h"

using kvs::Code;
using kvs::Gate;
using kvs::Result;
using kvs::Task;
using kvs::client::Client;
using kvs::client::ConnectOptions;
using kvs::client::may_have_happened;
using kvs::client::run;
using kvs::test::ClientFixture;
using kvs::test::failed_with;
using kvs::test::FakeServer;
using kvs::test::Peer;
using namespace std::chrono_literals;

namespace {

using Value = Result<std::optional<std::string>>;

constexpr std::size_t get_k_bytes = 20;  // *2 GET k

std::chrono::milliseconds since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                               start);
}

Task<void> get_into(Client& client, std::string key, std::optional<Value>& answer) {
  Task<Value> getting = client.get(key);
  answer = co_await std::move(getting);
}

Task<void> set_into(Client& client, std::string key, std::string value,
                    std::optional<Result<bool>>& answer) {
  Task<Result<bool>> setting = client.set(key, value);
  answer = co_await std::move(setting);
}

Task<void> closed(Gate& gate) {
  auto closing = gate.closed();
  co_await closing;
}

// What one `get k` gives when the server reads it, sends `bytes` and closes.
Value get_from_server_that_sends(std::string bytes) {
  FakeServer server([&](Peer& peer) {
    peer.read(get_k_bytes);
    peer.send(bytes);
  });
  ClientFixture fixture(server.address());
  return fixture.run(fixture.client().get("k"));
}

}  // namespace

TEST_CASE("nobody listens: unreachable, at once, with the address in the message") {
  kvs::uv::Loop loop;
  const auto address = kvs::test::deserted_address();
  const Result<Client> client = run(loop, Client::connect(loop, address));
  CHECK(failed_with(client, Code::unreachable, to_string(address) + ": connection refused"));
  CHECK_FALSE(may_have_happened(client.error()));
}

TEST_CASE("an address that is none is an error, not a crash") {
  kvs::uv::Loop loop;
  CHECK(failed_with(run(loop, Client::connect(loop, {"localhost", 4000})), Code::unreachable));
}

TEST_CASE("a server that does not accept is given up after the connect time-out") {
  kvs::test::FullServer server;
  kvs::uv::Loop loop;
  const auto start = std::chrono::steady_clock::now();
  const ConnectOptions options{.connect_timeout = 100ms};
  const auto client = run(loop, Client::connect(loop, server.address(), options));
  CHECK(failed_with(client, Code::unreachable, "no answer within 100 ms"));
  CHECK(since(start) >= 100ms);
  CHECK(since(start) < 5s);
}

TEST_CASE("a slow server: the command times out, and its late reply goes to nobody") {
  std::promise<void> timed_out;
  FakeServer server([&](Peer& peer) {
    peer.read(get_k_bytes);
    timed_out.get_future().wait_for(kvs::test::patience);
    peer.send("$4\r\nlate\r\n");
    peer.read(get_k_bytes);
    peer.send("$4\r\nmine\r\n");
    peer.wait_for_close();
  });
  ClientFixture fixture(server.address(), {.operation_timeout = 300ms});
  const auto start = std::chrono::steady_clock::now();
  const Value slow = fixture.run(fixture.client().get("k"));
  CHECK(failed_with(slow, Code::timeout, "within 300 ms (the command may have been executed)"));
  CHECK(may_have_happened(slow.error()));
  CHECK(since(start) >= 300ms);
  CHECK(since(start) < 5s);
  timed_out.set_value();
  CHECK(*fixture.run(fixture.client().get("k")) == "mine");
}

TEST_CASE("garbage is a protocol error, and the connection is not used again") {
  FakeServer server([](Peer& peer) {
    peer.read(get_k_bytes);
    peer.send("HTTP/1.1 400 Bad Request\r\n\r\n");
    peer.wait_for_close();  // returns because the client closes
  });
  ClientFixture fixture(server.address());
  const Value first = fixture.run(fixture.client().get("k"));
  CHECK(failed_with(first, Code::protocol, "the command may have been executed"));
  CHECK(may_have_happened(first.error()));
  const Value second = fixture.run(fixture.client().get("k"));
  CHECK(failed_with(second, Code::unreachable, "the command was not sent"));
  CHECK_FALSE(may_have_happened(second.error()));
}

TEST_CASE("a server that closes in the middle of a reply, wherever, has lost the connection") {
  const std::string reply = "$5\r\nvalue\r\n";
  for (std::size_t bytes = 0; bytes < reply.size(); ++bytes) {
    CAPTURE(bytes);
    const Value value = get_from_server_that_sends(reply.substr(0, bytes));
    CHECK(failed_with(value, Code::connection_lost, "the command may have been executed"));
  }
  CHECK(*get_from_server_that_sends(reply) == "value");
}

TEST_CASE("half a reply and then nothing ends with the time-out") {
  FakeServer server([](Peer& peer) {
    peer.read(get_k_bytes);
    peer.send("$5\r\nva");
    peer.wait_for_close();
  });
  ClientFixture fixture(server.address(), {.operation_timeout = 100ms});
  CHECK(failed_with(fixture.run(fixture.client().get("k")), Code::timeout));
}

TEST_CASE("a reset ends the command as a lost connection") {
  FakeServer server([](Peer& peer) {
    peer.read(get_k_bytes);
    peer.reset();
  });
  ClientFixture fixture(server.address());
  CHECK(failed_with(fixture.run(fixture.client().get("k")), Code::connection_lost));
}

TEST_CASE("a reply of another kind than the command has is a protocol error") {
  CHECK(failed_with(get_from_server_that_sends(":1\r\n"), Code::protocol));
  CHECK(failed_with(get_from_server_that_sends("*0\r\n"), Code::protocol));
}

TEST_CASE("a server that refuses clients is quoted") {
  FakeServer server([](Peer& peer) { peer.send("-ERR max number of clients reached\r\n"); });
  ClientFixture fixture(server.address());
  const Value value = fixture.run(fixture.client().get("k"));
  REQUIRE_FALSE(value);
  CHECK(value.error().message().find("ERR max number of clients reached") != std::string::npos);
}

TEST_CASE("a reply that nobody asked for ends the connection") {
  FakeServer server([](Peer& peer) {
    peer.read(get_k_bytes);
    peer.send("$1\r\n1\r\n+OK\r\n");
    peer.wait_for_close();
  });
  ClientFixture fixture(server.address());
  CHECK(*fixture.run(fixture.client().get("k")) == "1");
  const Value next = fixture.run(fixture.client().get("k"));
  REQUIRE_FALSE(next);
  CHECK(next.error().message().find("reply to no command") != std::string::npos);
}

TEST_CASE(
    "a lost connection ends every command in flight; those answered before keep their reply") {
  FakeServer server([](Peer& peer) {
    peer.read(3 * get_k_bytes);
    peer.send("$1\r\n1\r\n");
  });
  ClientFixture fixture(server.address());
  std::optional<Value> answers[3];
  Gate gate;
  for (auto& answer : answers) spawn(gate, get_into(fixture.client(), "k", answer));
  run(fixture.loop(), closed(gate));
  CHECK(**answers[0] == "1");
  CHECK(failed_with(*answers[1], Code::connection_lost, "may have been executed"));
  CHECK(failed_with(*answers[2], Code::connection_lost, "may have been executed"));
}

TEST_CASE("of commands that the kernel never took, the error says that they were not sent") {
  std::promise<void> both_issued;
  FakeServer server([&](Peer&) { both_issued.get_future().wait_for(kvs::test::patience); });
  ClientFixture fixture(server.address());
  std::optional<Result<bool>> begun;
  std::optional<Result<bool>> kept;
  Gate gate;
  // More than all socket buffers on the way can hold, so that its write stays under way.
  const std::string value(std::size_t{64} << 20, 'x');
  spawn(gate, set_into(fixture.client(), "a", value, begun));
  kvs::uv::Timer pause(fixture.loop(), [&] { fixture.loop().stop(); });
  pause.start_once(50ms);
  fixture.loop().run();
  spawn(gate, set_into(fixture.client(), "b", "1", kept));
  both_issued.set_value();
  run(fixture.loop(), closed(gate));
  REQUIRE(begun);
  CHECK(failed_with(*begun, Code::connection_lost, "may have been executed"));
  REQUIRE(kept);
  CHECK(failed_with(*kept, Code::unreachable, "was not sent"));
  CHECK_FALSE(may_have_happened(kept->error()));
}

namespace {

// A task that its owner starts at once and may drop.
struct Droppable {
  struct promise_type {
    Droppable get_return_object() {
      return Droppable(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_always final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }
  };
  explicit Droppable(std::coroutine_handle<promise_type> started) : frame(started) {}
  Droppable(Droppable&& other) noexcept : frame(std::exchange(other.frame, nullptr)) {}
  ~Droppable() {
    if (frame) frame.destroy();
  }
  std::coroutine_handle<promise_type> frame;
};

Droppable start(Task<void> task) {
  co_await std::move(task);
}

Task<void> connect_into(kvs::uv::Loop& loop, kvs::client::SocketAddress address,
                        std::optional<Result<Client>>& result) {
  Task<Result<Client>> connecting = Client::connect(loop, address);
  result.emplace(co_await std::move(connecting));
}

}  // namespace

TEST_CASE("the reply to a dropped command goes to nobody, and the next command gets its own") {
  FakeServer server([](Peer& peer) {
    peer.read(2 * get_k_bytes);
    peer.send("$5\r\nfirst\r\n$6\r\nsecond\r\n");
    peer.wait_for_close();
  });
  ClientFixture fixture(server.address());
  std::optional<Value> dropped;
  { const Droppable task = start(get_into(fixture.client(), "k", dropped)); }
  CHECK(*fixture.run(fixture.client().get("k")) == "second");
  CHECK_FALSE(dropped);
}

TEST_CASE("a connect that is dropped closes its socket") {
  FakeServer server([](Peer& peer) { peer.wait_for_close(); });
  kvs::uv::Loop loop;
  std::optional<Result<Client>> result;
  { const Droppable task = start(connect_into(loop, server.address(), result)); }
  CHECK_FALSE(result);
}

TEST_CASE("closing the client cancels what is in flight") {
  FakeServer server([](Peer& peer) { peer.wait_for_close(); });
  ClientFixture fixture(server.address());
  std::optional<Value> answer;
  Gate gate;
  spawn(gate, get_into(fixture.client(), "k", answer));
  fixture.drop_client();
  CHECK_FALSE(answer);  // not from inside the destructor
  run(fixture.loop(), closed(gate));
  REQUIRE(answer);
  CHECK(
      failed_with(*answer, Code::unreachable, "the client was closed (the command was not sent)"));
}

namespace {

// Drops the client as soon as the first reply is there, from inside the resumption.
Task<void> get_and_drop(ClientFixture& fixture, std::optional<Value>& answer) {
  Task<Value> getting = fixture.client().get("k");
  answer = co_await std::move(getting);
  fixture.drop_client();
}

}  // namespace

TEST_CASE("a client may be dropped by the task that got its reply") {
  FakeServer server([](Peer& peer) {
    peer.read(2 * get_k_bytes);
    peer.send("$1\r\n1\r\n$1\r\n2\r\n");
    peer.wait_for_close();
  });
  ClientFixture fixture(server.address());
  std::optional<Value> first;
  std::optional<Value> second;
  Gate gate;
  spawn(gate, get_and_drop(fixture, first));
  spawn(gate, get_into(fixture.client(), "k", second));
  run(fixture.loop(), closed(gate));
  CHECK(**first == "1");
  CHECK(failed_with(*second, Code::cancelled, "may have been executed"));
}
