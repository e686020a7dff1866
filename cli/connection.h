// connection.h - how the options of the command line become a connection.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "protocol/async/result.h"
#include "protocol/client/address.h"
#include "protocol/client/background_client.h"
#include "protocol/client/options.h"
#include "protocol/client/sync_client.h"

namespace kvs::cli {

struct ConnectionOptions {
  client::SocketAddress address;
  std::string user;
  std::string password;
  unsigned database = 0;
  std::optional<double> timeout_seconds;  // none: the client library's
  std::optional<double> wait_seconds;     // none: the server must be ready
  std::optional<client::TlsOptions> tls;
};

client::ConnectOptions connect_options(const ConnectionOptions& options);

// Both wait until the server is there and has read its data when options.wait_seconds says so.
// Errors: as Client::connect; Code::timeout when that time has passed.
Result<client::SyncClient> connect(const ConnectionOptions& options);
Result<std::unique_ptr<client::BackgroundClient>> connect_background(
    const ConnectionOptions& options);

}  // namespace kvs::cli
