// redis_server.h - Debian's redis-server as a child of the test: a second opinion of
// publish/subscribe and TLS. On free ports of 127.0.0.1, with nothing on disk.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#include "protocol/client/address.h"

namespace kvs::test {

class RedisServer {
 public:
  // False: there is no redis-server on this machine; the test says so and ends.
  static bool available();

  // Returns when it accepts; throws std::runtime_error when it does not. With TLS arguments, give
  // the port as "--tls-port" by yourself and wait_port for it.
  explicit RedisServer(std::vector<std::string> arguments = {}, std::uint16_t port = 0);
  ~RedisServer();
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  const client::SocketAddress& address() const { return address_; }
  void kill();
  void restart();

 private:
  void start();
  std::vector<std::string> arguments_;
  client::SocketAddress address_;
  pid_t pid_ = -1;
};

}  // namespace kvs::test
