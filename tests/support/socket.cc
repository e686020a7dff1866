// socket.cc - non-blocking underneath, so that every call can keep its deadline.
#include "tests/support/socket.h"

#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

#include "tests/support/request.h"

namespace kvs::test {

namespace {

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

Address parse_address(const std::string& host, std::uint16_t port) {
  Address out;
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  if (inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&out.storage, &v4, out.size = sizeof v4);
  } else if (inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&out.storage, &v6, out.size = sizeof v6);
  } else {
    throw SocketError("not an IP address: " + host);
  }
  return out;
}

[[noreturn]] void fail(const std::string& what) {
  throw SocketError(what + ": " + std::strerror(errno));
}

bool peer_gone() {
  return errno == EPIPE || errno == ECONNRESET;
}

}  // namespace

Socket::Socket(const SocketOptions& options) : timeout_(options.timeout) {
  const Address peer = parse_address(options.host, options.port);
  const std::string name = options.host + ":" + std::to_string(options.port);
  fd_ = socket(peer.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd_ < 0) fail("socket");
  try {
    const int on = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (options.receive_buffer_bytes > 0) {
      setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &options.receive_buffer_bytes, sizeof(int));
    }
    if (!options.source.empty()) {
      const Address own = parse_address(options.source, 0);
      if (bind(fd_, own.get(), own.size) != 0) fail("bind to " + options.source);
    }
    if (connect(fd_, peer.get(), peer.size) != 0) {
      if (errno != EINPROGRESS) fail("connect to " + name);
      if (!wait_for(POLLOUT, deadline())) throw SocketError("connect to " + name + ": timeout");
      socklen_t size = sizeof errno;
      getsockopt(fd_, SOL_SOCKET, SO_ERROR, &errno, &size);
      if (errno != 0) fail("connect to " + name);
    }
    if (options.tls) {
      try {
        tls_ = std::make_unique<TlsLayer>(fd_, *options.tls, options.timeout);
      } catch (const std::runtime_error& error) {
        throw SocketError("connect to " + name + ": " + error.what());
      }
    }
  } catch (...) {
    close(fd_);
    throw;
  }
}

Socket::Socket(Socket&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      tls_(std::move(other.tls_)),
      timeout_(other.timeout_),
      received_(std::move(other.received_)) {}

Socket& Socket::operator=(Socket&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(tls_, other.tls_);
  std::swap(timeout_, other.timeout_);
  std::swap(received_, other.received_);
  return *this;
}

Socket::~Socket() {
  if (fd_ >= 0) close(fd_);
}

bool Socket::wait_for(short events, Clock::time_point until) const {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
    pollfd ready{fd_, events, 0};
    const int count = poll(&ready, 1, left.count() > 0 ? static_cast<int>(left.count()) : 0);
    if (count > 0) return true;
    if (count < 0 && errno != EINTR) fail("poll");
    if (count == 0 && left.count() <= 0) return false;
  }
}

ssize_t Socket::send_now(std::string_view bytes) {
  if (tls_ != nullptr) return tls_->send(bytes.data(), bytes.size());
  return send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

std::size_t Socket::send_some(std::string_view bytes) {
  const ssize_t size = send_now(bytes);
  if (size >= 0) return static_cast<std::size_t>(size);
  if (errno == EAGAIN || errno == EINTR) return 0;
  fail("send");
}

bool Socket::send_if_open(std::string_view bytes) {
  const auto until = deadline();
  while (!bytes.empty()) {
    const ssize_t size = send_now(bytes);
    if (size >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(size));
    } else if (peer_gone()) {
      return false;
    } else if (errno == EAGAIN) {
      if (!wait_for(POLLOUT, until)) throw SocketError("send: timeout");
    } else if (errno != EINTR) {
      fail("send");
    }
  }
  return true;
}

void Socket::send_all(std::string_view bytes) {
  if (!send_if_open(bytes)) throw SocketError("send: the peer has closed the connection");
}

void Socket::shutdown_write() {
  if (tls_ != nullptr) tls_->close();
  shutdown(fd_, SHUT_WR);
}

Socket::Arrival Socket::receive(Clock::time_point until) {
  std::array<char, 65536> chunk;
  for (;;) {
    const ssize_t size = tls_ != nullptr ? tls_->receive(chunk.data(), chunk.size())
                                         : recv(fd_, chunk.data(), chunk.size(), 0);
    if (size > 0) {
      received_.append(chunk.data(), static_cast<std::size_t>(size));
      return Arrival::bytes;
    }
    if (size == 0 || peer_gone()) return Arrival::end;
    if (errno != EAGAIN && errno != EINTR) fail("recv");
    if (!wait_for(POLLIN, until)) return Arrival::nothing;
  }
}

void Socket::receive_more(Clock::time_point until) {
  const Arrival arrival = receive(until);
  if (arrival == Arrival::bytes) return;
  const std::string after =
      " after " + std::to_string(received_.size()) + " bytes: '" + received_.substr(0, 200) + "'";
  throw SocketError((arrival == Arrival::end ? "connection closed" : "timeout") + after);
}

std::string Socket::take(std::size_t size) {
  std::string out = received_.substr(0, size);
  received_.erase(0, size);
  return out;
}

std::string Socket::read_exact(std::size_t size) {
  const auto until = deadline();
  while (received_.size() < size) receive_more(until);
  return take(size);
}

std::string Socket::read_some() {
  if (received_.empty()) receive_more(deadline());
  return take(received_.size());
}

std::string Socket::read_reply() {
  const auto until = deadline();
  // A large reply comes in many pieces: look again only when there is twice as much.
  for (std::size_t looked_at = 0;;) {
    if (received_.size() >= 2 * looked_at || received_.ends_with("\r\n")) {
      if (const auto size = reply_size(received_)) return take(*size);
      looked_at = received_.size();
    }
    receive_more(until);
  }
}

std::string Socket::read_until_close() {
  const auto until = deadline();
  for (;;) {
    switch (receive(until)) {
      case Arrival::bytes:
        continue;
      case Arrival::end:
        return take(received_.size());
      case Arrival::nothing:
        throw SocketError("still open after " + std::to_string(received_.size()) + " bytes: '" +
                          received_.substr(0, 200) + "'");
    }
  }
}

bool Socket::closes_within(std::chrono::milliseconds timeout) {
  return received_.empty() && receive(Clock::now() + timeout) == Arrival::end;
}

bool Socket::silent_for(std::chrono::milliseconds timeout) {
  return received_.empty() && receive(Clock::now() + timeout) == Arrival::nothing;
}

std::string Socket::command(const Request& words) {
  send_all(encode_request(words));
  return read_reply();
}

std::optional<std::size_t> reply_size(std::string_view bytes) {
  std::size_t at = 0;
  for (std::int64_t wanted = 1; wanted > 0; --wanted) {
    const std::size_t line_end = bytes.find("\r\n", at);
    if (line_end == std::string_view::npos) return std::nullopt;
    const std::string_view line = bytes.substr(at, line_end - at);
    at = line_end + 2;
    if (line.empty() || std::strchr("+-:_#,($=!*~>%|", line[0]) == nullptr) {
      throw SocketError("not a reply: '" + std::string(line.substr(0, 200)) + "'");
    }
    if (std::strchr("$=!*~>%|", line[0]) == nullptr) continue;
    std::int64_t count = 0;
    const auto parsed = std::from_chars(line.data() + 1, line.data() + line.size(), count);
    if (parsed.ec != std::errc{} || parsed.ptr != line.data() + line.size() || count < -1) {
      throw SocketError("not a length: '" + std::string(line.substr(0, 200)) + "'");
    }
    if (count < 0) continue;
    switch (line[0]) {
      case '*':
      case '~':
      case '>':
        wanted += count;
        break;
      case '%':
        wanted += 2 * count;
        break;
      case '|':
        wanted += 2 * count + 1;
        break;  // attributes stand before the reply
      default:
        if (bytes.size() - at < static_cast<std::size_t>(count) + 2) return std::nullopt;
        at += static_cast<std::size_t>(count);
        if (bytes.substr(at, 2) != "\r\n") throw SocketError("a bulk without its end");
        at += 2;
    }
  }
  return at;
}

std::uint16_t free_port(const std::string& host) {
  Address address = parse_address(host, 0);
  const int fd = socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket");
  const bool bound = bind(fd, address.get(), address.size) == 0 &&
                     getsockname(fd, address.get(), &address.size) == 0;
  close(fd);
  if (!bound) fail("bind to a free port of " + host);
  sockaddr_in v4;
  std::memcpy(&v4, &address.storage, sizeof v4);  // the port is at the same place in IPv6
  return ntohs(v4.sin_port);
}

}  // namespace kvs::test
