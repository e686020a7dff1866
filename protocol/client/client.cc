#include "protocol/client/client.h"

#include <utility>

namespace kvs::client {

Task<Result<Client>> Client::connect(uv::Loop& loop, SocketAddress address,
                                     ConnectOptions options) {
  // Closes the connection if this task is dropped while it waits.
  Client client = open(loop, address, std::move(options));
  Session::Opening opening(client.session_);
  Result<void> outcome = co_await opening;
  if (!outcome) co_return std::unexpected(std::move(outcome).error());
  co_return std::move(client);
}

Client Client::open(uv::Loop& loop, const SocketAddress& address, ConnectOptions options) {
  return Client(Session::open(loop, address, std::move(options)));
}

Client& Client::operator=(Client&& other) noexcept {
  std::swap(session_, other.session_);
  return *this;
}

Client::~Client() {
  if (session_) close();
}

}  // namespace kvs::client
