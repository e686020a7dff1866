// forms_test.cc - every command in its four forms, pipelines, and programs of every shape, against
// a kvs-server of the test's own.
#include <array>
#include <atomic>
#include <csignal>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "protocol/async/combinators.h"
#include "protocol/async/gate.h"
#include "protocol/async/sync_wait.h"
#include "protocol/client/background_client.h"
#include "protocol/client/client.h"
#include "protocol/client/run.h"
#include "protocol/client/sync_client.h"
#include "tests/support/server_process.h"
#include "tests/unit/client/fixture.h"

using kvs::Code;
using kvs::Future;
using kvs::map;
using kvs::or_else;
using kvs::Result;
using kvs::Task;
using kvs::then;
using kvs::when_all;
using kvs::client::BackgroundClient;
using kvs::client::Client;
using kvs::client::KeyValue;
using kvs::client::Pipeline;
using kvs::client::PipelineReplies;
using kvs::client::Reply;
using kvs::client::ScanPage;
using kvs::client::SetOptions;
using kvs::client::SocketAddress;
using kvs::client::SyncClient;
using kvs::test::ClientFixture;
using kvs::test::failed_with;
using namespace std::chrono_literals;

namespace {

using Value = Result<std::optional<std::string>>;

// One server for all cases: it takes longer to start than they take.
kvs::test::ServerProcess& server() {
  static kvs::test::ServerProcess process;
  return process;
}

SocketAddress address() {
  return {"127.0.0.1", server().port()};
}

}  // namespace

// The outcomes of one method in its three forms (the coroutine, written by hand, boxed).
#define IN_EVERY_FORM(fixture, method, ...)                                             \
  std::array {                                                                          \
    kvs::client::run(fixture.loop(), fixture.client().method(__VA_ARGS__)),             \
        kvs::client::run(fixture.loop(), fixture.client().method##_op(__VA_ARGS__)),    \
        kvs::client::run(fixture.loop(), fixture.client().method##_future(__VA_ARGS__)) \
  }

TEST_CASE("every command works in every form") {
  ClientFixture fixture(address());
  for (const auto& stored : IN_EVERY_FORM(fixture, set, "forms", "value")) CHECK(*stored);
  for (const auto& value : IN_EVERY_FORM(fixture, get, "forms")) CHECK(**value == "value");
  for (const auto& value : IN_EVERY_FORM(fixture, get, "no such key")) CHECK(!*value);
  for (const auto& old : IN_EVERY_FORM(fixture, get_and_set, "forms", "value")) {
    CHECK(**old == "value");
  }
  for (const auto& there : IN_EVERY_FORM(fixture, exists, "forms")) CHECK(*there);
  for (const auto& left : IN_EVERY_FORM(fixture, time_to_live, "forms")) CHECK(!*left);
  for (const auto& done : IN_EVERY_FORM(fixture, expire, "forms", 100s)) CHECK(*done);
  for (const auto& left : IN_EVERY_FORM(fixture, time_to_live, "forms")) {
    CHECK(**left > 50s);
    CHECK(**left <= 100s);
  }
  std::int64_t expected = 0;
  for (const auto& number : IN_EVERY_FORM(fixture, increment, "counter", 5)) {
    CHECK(*number == (expected += 5));
  }
  const std::array<KeyValue, 2> pairs{KeyValue{"many:a", "1"}, KeyValue{"many:b", "2"}};
  for (const auto& stored : IN_EVERY_FORM(fixture, set_many, pairs)) CHECK(stored);
  const std::array<std::string_view, 3> keys{"many:a", "absent", "many:b"};
  for (const auto& values : IN_EVERY_FORM(fixture, get_many, keys)) {
    CHECK(*values == std::vector<std::optional<std::string>>{"1", std::nullopt, "2"});
  }
  for (const auto& values : IN_EVERY_FORM(fixture, get_many, {})) {
    CHECK(failed_with(values, Code::invalid));
  }
  for (const auto& stored : IN_EVERY_FORM(fixture, set_many, {})) {
    CHECK(failed_with(stored, Code::invalid));
  }
  for (const auto& page :
       IN_EVERY_FORM(fixture, scan, 0, {.match = "many:*", .count_hint = 1000})) {
    CHECK(page->keys.size() == 2);
    CHECK(page->cursor == 0);
  }
  const auto removed = IN_EVERY_FORM(fixture, remove, "forms");
  CHECK(removed[0]);
  CHECK(failed_with(removed[1], Code::not_found));
  CHECK(failed_with(removed[2], Code::not_found));

  const std::array<std::string_view, 2> echo{"ECHO", "hello"};
  const Reply hello{.kind = Reply::Kind::string, .text = "hello"};
  CHECK(*fixture.run(fixture.client().command({"ECHO", "hello"})) == hello);
  CHECK(*kvs::client::run(fixture.loop(), fixture.client().command_op(echo)) == hello);
  CHECK(*kvs::client::run(fixture.loop(), fixture.client().command_future(echo)) == hello);
  CHECK(failed_with(kvs::client::run(fixture.loop(), fixture.client().command_op({})),
                    Code::invalid));
}

TEST_CASE("operations go into combinators, and several into one") {
  ClientFixture fixture(address());
  Client& client = fixture.client();
  const auto run = [&](auto operation) {
    return kvs::client::run(fixture.loop(), std::move(operation));
  };
  const std::string key = "combined";
  CHECK(*run(then(client.set_op(key, "12345"), [&](bool) { return client.get_op(key); })) ==
        "12345");
  CHECK(*run(map(client.get_op(key),
                 [](const std::optional<std::string>& value) { return value->size(); })) == 5);
  auto [first, second] = run(when_all(client.get_op(key), client.exists_op(key)));
  CHECK(**first == "12345");
  CHECK(*second);
  CHECK(run(or_else(client.remove_op("never there"),
                    [&](const kvs::Error&) { return map(client.set_op(key, "6"), [](bool) {}); })));
  CHECK(**run(client.get_op(key)) == "6");
}

TEST_CASE("a callback that throws is an error, and the connection goes on") {
  ClientFixture fixture(address());
  const std::string key = "throwing";
  const auto thrown = kvs::client::run(
      fixture.loop(), map(fixture.client().set_op(key, "1"),
                          [](bool) -> int { throw std::runtime_error("from the callback"); }));
  CHECK(failed_with(thrown, Code::exception, "from the callback"));
  CHECK(kvs::client::may_have_happened(thrown.error()));
  CHECK(**kvs::client::run(fixture.loop(), fixture.client().get_op(key)) == "1");
}

TEST_CASE("a pipeline is answered in order, with each command's own outcome") {
  ClientFixture fixture(address());
  Pipeline pipeline = fixture.client().pipeline();
  pipeline.set("p", "1").get("p").increment("p", 41).command({"LPUSH"}).remove("p").get("p");
  CHECK(pipeline.size() == 6);
  const PipelineReplies replies = fixture.run(pipeline.run());
  CHECK(pipeline.size() == 0);
  REQUIRE(replies);
  REQUIRE(replies->size() == 6);
  const auto& all = *replies;
  CHECK(all[0]->text == "OK");
  CHECK(all[1]->text == "1");
  CHECK(all[2]->integer == 42);
  CHECK(failed_with(all[3], Code::server, "ERR"));
  CHECK(all[4]->integer == 1);
  CHECK(all[5]->kind == Reply::Kind::nil);

  const PipelineReplies none = fixture.run(pipeline.run());
  REQUIRE(none);
  CHECK(none->empty());
  pipeline.get("p").command(std::span<const std::string_view>());
  CHECK(failed_with(kvs::client::run(fixture.loop(), pipeline.run_op()), Code::invalid));
  for (int number = 0; number < 10'000; ++number) pipeline.increment("piped");
  const auto many = kvs::client::run(fixture.loop(), pipeline.run_future());
  REQUIRE(many);
  CHECK(many->back()->integer == 10'000);
}

TEST_CASE("the background client serves many threads at once") {
  const auto client = BackgroundClient::connect(address());
  REQUIRE(client);
  BackgroundClient& kvs = **client;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&kvs, thread] {
      for (int number = 0; number < 250; ++number) {
        const std::string key = std::to_string(thread) + ":" + std::to_string(number);
        Future<Result<bool>> stored = kvs.set_future(key, key);
        if (number % 10 == 0) continue;  // dropped before it can be there
        CHECK(*stored.get());
        CHECK(**kvs.get_future(key).get() == key);
        CHECK(*kvs.increment_future("background").get() > 0);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(**kvs.get_future("background").get() == "900");
  CHECK(failed_with(kvs.remove_future("none of these").get(), Code::not_found));
}

namespace {

Task<Result<std::int64_t>> add_twice(Client& client) {
  auto once = client.increment("twice");
  const Result<std::int64_t> first = co_await std::move(once);
  if (!first) co_return std::unexpected(first.error());
  auto again = client.increment("twice", *first);
  co_return co_await std::move(again);
}

Task<Result<std::int64_t>> await_future(BackgroundClient& client) {
  Future<Result<std::int64_t>> future = client.increment_future("awaited");
  co_return co_await future;
}

}  // namespace

TEST_CASE("the background client runs a coroutine beside its connection") {
  const auto client = BackgroundClient::connect(address());
  REQUIRE(client);
  CHECK(*(*client)->run(add_twice).get() == 2);
  CHECK(*kvs::sync_wait(await_future(**client)) == 1);
}

TEST_CASE("the blocking client has every command and pipelines") {
  Result<SyncClient> client = SyncClient::connect(address());
  REQUIRE(client);
  CHECK(*client->set("sync", "1", {.expire_after = 100s}));
  CHECK(*client->exists("sync"));
  CHECK(**client->time_to_live("sync") <= 100s);
  CHECK(*client->expire("sync", 200s));
  CHECK(*client->increment("sync") == 2);
  CHECK(**client->get_and_set("sync", "x") == "2");
  const std::array<KeyValue, 1> pairs{KeyValue{"sync2", "y"}};
  CHECK(client->set_many(pairs));
  const std::array<std::string_view, 2> keys{"sync", "sync2"};
  CHECK(client->get_many(keys)->at(1) == "y");
  CHECK(client->scan(0, {.match = "sync*", .count_hint = 10'000})->keys.size() == 2);
  Pipeline pipeline = client->pipeline();
  pipeline.get("sync").get("sync2");
  CHECK(client->run(pipeline)->size() == 2);
  CHECK(client->connected());
}

namespace {

Task<void> count_up(Client client, int rounds, int& last, std::optional<bool>& ended) {
  for (int round = 0; round < rounds; ++round) {
    auto counting = client.increment("own loop");
    const Result<std::int64_t> number = co_await std::move(counting);
    if (number) last = static_cast<int>(*number);
  }
  ended = true;
}

Task<void> use_program_loop(kvs::uv::Loop& loop, SocketAddress server, int& last,
                            std::optional<bool>& ended) {
  auto connecting = Client::connect(loop, server);
  Result<Client> client = co_await std::move(connecting);
  if (!client) co_return;
  auto counting = count_up(std::move(*client), 10, last, ended);
  co_await std::move(counting);
}

}  // namespace

TEST_CASE("a program's own libuv loop runs the client, and ends when nothing is left to do") {
  uv_loop_t raw;
  REQUIRE(uv_loop_init(&raw) == 0);
  int last = 0;
  std::optional<bool> ended;
  {
    kvs::uv::Loop loop(raw);
    kvs::Gate gate;
    spawn(gate, use_program_loop(loop, address(), last, ended));
    // Ends by itself: the wake-up does not keep it, and the client is gone.
    uv_run(&raw, UV_RUN_DEFAULT);
    CHECK(ended);
    CHECK(last == 10);
  }
  uv_run(&raw, UV_RUN_DEFAULT);
  CHECK(uv_loop_close(&raw) == 0);
}
