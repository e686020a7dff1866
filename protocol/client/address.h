// address.h - where a server listens: a numeric IPv4 or IPv6 address and a port.
//
// Not here: host names. kvs takes socket addresses only, so that nothing waits for a resolver.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/async/result.h"

namespace kvs::client {

struct SocketAddress {
  std::string host = "127.0.0.1";  // numeric, without brackets
  std::uint16_t port = 4000;

  bool operator==(const SocketAddress&) const = default;
};

// "IP:PORT" or "[IPv6]:PORT", as parse_socket_address reads it.
std::string to_string(const SocketAddress& address);

// Errors: Code::invalid for anything but "IP:PORT" and "[IPv6]:PORT" with a port of 1 to 65535.
Result<SocketAddress> parse_socket_address(std::string_view text);

}  // namespace kvs::client
