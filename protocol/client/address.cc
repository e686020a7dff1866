#include "protocol/client/address.h"

#include <charconv>
#include <netinet/in.h>
#include <optional>

#include <uv.h>

namespace kvs::client {
namespace {

std::optional<std::uint16_t> parse_port(std::string_view digits) {
  std::uint16_t port = 0;
  const char* const end = digits.data() + digits.size();
  const auto [stopped, failed] = std::from_chars(digits.data(), end, port);
  if (failed != std::errc() || stopped != end || port == 0) return std::nullopt;
  return port;
}

bool is_ipv4(const std::string& host) {
  sockaddr_in ignored{};
  return uv_ip4_addr(host.c_str(), 0, &ignored) == 0;
}

bool is_ipv6(const std::string& host) {
  sockaddr_in6 ignored{};
  return uv_ip6_addr(host.c_str(), 0, &ignored) == 0;
}

}  // namespace

std::string to_string(const SocketAddress& address) {
  const std::string port = std::to_string(address.port);
  if (address.host.find(':') == std::string::npos) return address.host + ":" + port;
  return "[" + address.host + "]:" + port;
}

Result<SocketAddress> parse_socket_address(std::string_view text) {
  const auto refused = [text] {
    return fail(Code::invalid, "'" + std::string(text) +
                                   "' is not a socket address: give IP:PORT or [IPv6]:PORT, "
                                   "for example 127.0.0.1:4000");
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return refused();
  const std::optional<std::uint16_t> port = parse_port(text.substr(colon + 1));
  if (!port) return refused();

  std::string_view host = text.substr(0, colon);
  const bool brackets = host.starts_with('[') && host.ends_with(']');
  if (brackets) host = host.substr(1, host.size() - 2);
  SocketAddress address{std::string(host), *port};
  // A NUL inside would end the text early for libuv.
  if (host.find('\0') != std::string_view::npos) return refused();
  if (brackets ? !is_ipv6(address.host) : !is_ipv4(address.host)) return refused();
  return address;
}

}  // namespace kvs::client
