// sync_client.h - the client for blocking code: a Client with a loop of its own.
//
// Each call runs the loop until its reply is there; one command at a time, or a pipeline. For
// programs such as kvs-client and for tests; whoever wants many commands in flight, or calls from
// many threads, uses Client or BackgroundClient.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
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
  Result<std::optional<std::string>> get_and_set(std::string_view key, std::string_view value,
                                                 SetOptions options = {});
  Result<void> remove(std::string_view key);
  Result<bool> exists(std::string_view key);
  Result<bool> expire(std::string_view key, std::chrono::milliseconds after);
  Result<std::optional<std::chrono::milliseconds>> time_to_live(std::string_view key);
  Result<std::int64_t> increment(std::string_view key, std::int64_t by = 1);
  Result<std::vector<std::optional<std::string>>> get_many(std::span<const std::string_view> keys);
  Result<void> set_many(std::span<const KeyValue> pairs);
  Result<ScanPage> scan(std::uint64_t cursor, ScanOptions options = {});
  Result<Reply> command(const std::vector<std::string>& words);

  Pipeline pipeline() { return client_.pipeline(); }
  PipelineReplies run(Pipeline& pipeline);

  // False: the server has closed the connection, or never will it be made again. Does not block.
  bool connected();

  // For work that wants more than one command in flight: tasks of this client, run by
  // kvs::client::run(loop(), task).
  Client& client() noexcept { return client_; }
  uv::Loop& loop() noexcept { return *loop_; }

  SyncClient(SyncClient&&) noexcept = default;
  // Would end the old loop before its client.
  SyncClient& operator=(SyncClient&&) = delete;

 private:
  SyncClient(std::unique_ptr<uv::Loop> loop, Client client)
      : loop_(std::move(loop)), client_(std::move(client)) {}

  template <class O>
  typename O::value_type wait(O operation);

  std::unique_ptr<uv::Loop> loop_;  // outlives client_
  Client client_;
};

}  // namespace kvs::client
