#include "protocol/client/sync_client.h"

#include <utility>

#include "protocol/client/run.h"

namespace kvs::client {

Result<SyncClient> SyncClient::connect(const SocketAddress& address, ConnectOptions options) {
  auto loop = std::make_unique<uv::Loop>();
  Result<Client> client = run(*loop, Client::connect(*loop, address, options));
  if (!client) return std::unexpected(std::move(client).error());
  return SyncClient(std::move(loop), std::move(*client));
}

Result<std::optional<std::string>> SyncClient::get(std::string_view key) {
  return run(*loop_, client_.get(key));
}

Result<bool> SyncClient::set(std::string_view key, std::string_view value, SetOptions options) {
  return run(*loop_, client_.set(key, value, options));
}

Result<void> SyncClient::remove(std::string_view key) {
  return run(*loop_, client_.remove(key));
}

Result<Reply> SyncClient::command(std::vector<std::string> words) {
  return run(*loop_, client_.command(std::move(words)));
}

}  // namespace kvs::client
