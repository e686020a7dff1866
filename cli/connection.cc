#include "cli/connection.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>
#include <utility>

namespace kvs::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds between_attempts{100};

std::chrono::milliseconds milliseconds(double seconds) {
  // 0 means no time-out at all to the client library.
  return std::chrono::milliseconds(std::max(1LL, static_cast<long long>(seconds * 1000)));
}

// A server that is there but not ready: it is reading its data.
bool may_pass(const Error& error) {
  return error.code() == Code::unreachable || error.code() == Code::connection_lost ||
         error.code() == Code::timeout ||
         (error.code() == Code::server && error.message().starts_with("LOADING"));
}

Result<client::SyncClient> try_connect(const ConnectionOptions& options,
                                       std::optional<std::chrono::milliseconds> at_most) {
  client::ConnectOptions settings = connect_options(options);
  if (at_most) {
    settings.connect_timeout = std::min(settings.connect_timeout, *at_most);
    settings.operation_timeout = std::min(settings.operation_timeout, *at_most);
  }
  return client::SyncClient::connect(options.address, std::move(settings));
}

// Returns when the server answers PING.
Result<void> wait_until_ready(const ConnectionOptions& options) {
  const auto deadline = Clock::now() + milliseconds(*options.wait_seconds);
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    Result<client::SyncClient> client =
        try_connect(options, std::max(left, std::chrono::milliseconds(1)));
    std::optional<Error> why;
    if (!client) {
      why = std::move(client).error();
    } else {
      const Result<client::Reply> pong = client->command({"PING"});
      if (pong) return {};
      why = pong.error();
    }
    if (!may_pass(*why)) return std::unexpected(std::move(*why));
    if (Clock::now() + between_attempts >= deadline) {
      return fail(Code::timeout, "the server is not ready: " + why->message());
    }
    std::this_thread::sleep_for(between_attempts);
  }
}

}  // namespace

client::ConnectOptions connect_options(const ConnectionOptions& options) {
  client::ConnectOptions settings;
  settings.user = options.user;
  settings.password = options.password;
  settings.database = options.database;
  settings.tls = options.tls;
  if (options.timeout_seconds) {
    settings.connect_timeout = milliseconds(*options.timeout_seconds);
    settings.operation_timeout = settings.connect_timeout;
  }
  return settings;
}

Result<client::SyncClient> connect(const ConnectionOptions& options) {
  if (options.wait_seconds) {
    if (Result<void> ready = wait_until_ready(options); !ready) {
      return std::unexpected(std::move(ready).error());
    }
  }
  return try_connect(options, std::nullopt);
}

Result<std::unique_ptr<client::BackgroundClient>> connect_background(
    const ConnectionOptions& options) {
  if (options.wait_seconds) {
    if (Result<void> ready = wait_until_ready(options); !ready) {
      return std::unexpected(std::move(ready).error());
    }
  }
  return client::BackgroundClient::connect(options.address, connect_options(options));
}

}  // namespace kvs::cli
