// forms.cc - the client in every form, against a running server: forms [IP:PORT]
#include <cstdio>
#include <optional>
#include <string>

#include "protocol/async/combinators.h"
#include "protocol/client/background_client.h"
#include "protocol/client/client.h"
#include "protocol/client/run.h"
#include "protocol/client/sync_client.h"

using kvs::Result;
using kvs::Task;
using kvs::client::BackgroundClient;
using kvs::client::Client;
using kvs::client::SocketAddress;
using kvs::client::SyncClient;

// Blocking: a loop of its own, one call at a time.
static Result<void> blocking(const SocketAddress& server) {
  Result<SyncClient> client = SyncClient::connect(server);
  if (!client) return std::unexpected(client.error());
  Result<bool> stored = client->set("greeting", "hello");
  if (!stored) return std::unexpected(stored.error());
  std::printf("blocking: %s\n", client->get("greeting").value().value_or("?").c_str());
  return {};
}

// Boxed futures: no loop here, any thread may wait.
static Result<void> boxed(const SocketAddress& server) {
  auto client = BackgroundClient::connect(server);
  if (!client) return std::unexpected(client.error());
  auto first = (*client)->increment_future("counter");
  auto second = (*client)->increment_future("counter");
  Result<std::int64_t> count = second.get();
  if (!count) return std::unexpected(count.error());
  std::printf("boxed: counted on from %lld\n", static_cast<long long>(*first.get()));
  return {};
}

// A coroutine, on a loop of ours.
static Task<Result<std::size_t>> coroutine(Client& client) {
  auto getting = client.get("greeting");
  Result<std::optional<std::string>> value = co_await std::move(getting);
  if (!value) co_return std::unexpected(value.error());
  co_return value->value_or("").size();
}

static Result<void> on_a_loop(const SocketAddress& server) {
  kvs::uv::Loop loop;
  Result<Client> client = kvs::client::run(loop, Client::connect(loop, server));
  if (!client) return std::unexpected(client.error());
  std::printf("coroutine: %zu bytes\n", kvs::client::run(loop, coroutine(*client)).value());

  // Combinators of operations written by hand: the type spells the pipeline, and no heap is used.
  const std::string key = "greeting";
  auto size = kvs::map(client->get_op(key), [](const std::optional<std::string>& value) {
    return value.value_or("").size();
  });
  std::printf("combinators: %zu bytes\n", kvs::client::run(loop, std::move(size)).value());
  return {};
}

int main(int argc, char** argv) {
  const auto server = kvs::client::parse_socket_address(argc > 1 ? argv[1] : "127.0.0.1:4000");
  if (!server) return 2;
  for (auto* const form : {blocking, boxed, on_a_loop}) {
    if (Result<void> done = form(*server); !done) {
      std::fprintf(stderr, "%s\n", done.error().message().c_str());
      return 1;
    }
  }
  return 0;
}
