// sync_client.h - the client for blocking code: a Client with a loop of its own.
//
// Each call runs the loop until its reply is there; one command at a time. For programs such as
// kvs-client and for tests; whoever wants many commands in flight uses Client.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/async/result.h"
#include "protocol/client/client.h"
#include "protocol/uv/loop.h"

namespace kvs::client {

// Thread: one at a time; each call blocks, at most for the time-outs in ConnectOptions.
// Results and errors: as Client's.
class SyncClient {
 public:
  static Result<SyncClient> connect(const SocketAddress& address, ConnectOptions options = {});

  Result<std::optional<std::string>> get(std::string_view key);
  Result<bool> set(std::string_view key, std::string_view value, SetOptions options = {});
  Result<void> remove(std::string_view key);
  Result<Reply> command(std::vector<std::string> words);

  SyncClient(SyncClient&&) noexcept = default;
  // Would end the old loop before its client.
  SyncClient& operator=(SyncClient&&) = delete;

 private:
  SyncClient(std::unique_ptr<uv::Loop> loop, Client client)
      : loop_(std::move(loop)), client_(std::move(client)) {}

  std::unique_ptr<uv::Loop> loop_;  // outlives client_
  Client client_;
};

}  // namespace kvs::client
