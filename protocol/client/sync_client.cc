#include "protocol/client/sync_client.h"

#include "protocol/client/run.h"

namespace kvs::client {

Result<SyncClient> SyncClient::connect(const SocketAddress& address, ConnectOptions options) {
  auto loop = std::make_unique<uv::Loop>();
  Result<Client> client = client::run(*loop, Client::connect(*loop, address, std::move(options)));
  if (!client) return std::unexpected(std::move(client).error());
  return SyncClient(std::move(loop), std::move(*client));
}

template <class O>
typename O::value_type SyncClient::wait(O operation) {
  // What happened since the last call: a connection that has ended takes no command any more.
  loop_->run_ready();
  return client::run(*loop_, std::move(operation));
}

bool SyncClient::connected() {
  loop_->run_ready();
  return client_.connected();
}

Result<std::optional<std::string>> SyncClient::get(std::string_view key) {
  return wait(client_.get_op(key));
}

Result<bool> SyncClient::set(std::string_view key, std::string_view value, SetOptions options) {
  return wait(client_.set_op(key, value, options));
}

Result<std::optional<std::string>> SyncClient::get_and_set(std::string_view key,
                                                           std::string_view value,
                                                           SetOptions options) {
  return wait(client_.get_and_set_op(key, value, options));
}

Result<void> SyncClient::remove(std::string_view key) {
  return wait(client_.remove_op(key));
}

Result<bool> SyncClient::exists(std::string_view key) {
  return wait(client_.exists_op(key));
}

Result<bool> SyncClient::expire(std::string_view key, std::chrono::milliseconds after) {
  return wait(client_.expire_op(key, after));
}

Result<std::optional<std::chrono::milliseconds>> SyncClient::time_to_live(std::string_view key) {
  return wait(client_.time_to_live_op(key));
}

Result<std::int64_t> SyncClient::increment(std::string_view key, std::int64_t by) {
  return wait(client_.increment_op(key, by));
}

Result<std::vector<std::optional<std::string>>> SyncClient::get_many(
    std::span<const std::string_view> keys) {
  return wait(client_.get_many_op(keys));
}

Result<void> SyncClient::set_many(std::span<const KeyValue> pairs) {
  return wait(client_.set_many_op(pairs));
}

Result<ScanPage> SyncClient::scan(std::uint64_t cursor, ScanOptions options) {
  return wait(client_.scan_op(cursor, options));
}

Result<Reply> SyncClient::command(const std::vector<std::string>& words) {
  return wait(client_.command(words));
}

PipelineReplies SyncClient::run(Pipeline& pipeline) {
  return wait(pipeline.run_op());
}

}  // namespace kvs::client
