#include "daemon/listener.h"

#include <arpa/inet.h>
#include <cassert>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>

#include <fmt/core.h>

#include "daemon/log.h"

namespace kvs::daemon {

namespace {

// Sockets taken per wake-up; more wait for the next iteration, so that a flood of connections does
// not starve those that are there.
constexpr int accepts_per_wakeup_max = 64;

struct Bound {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

Bound to_sockaddr(const SocketAddress& address) {
  Bound bound;
  if (address.ipv6) {
    sockaddr_in6 in6{};
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(address.port);
    inet_pton(AF_INET6, address.host.c_str(), &in6.sin6_addr);
    std::memcpy(&bound.storage, &in6, sizeof in6);
    bound.size = sizeof in6;
  } else {
    sockaddr_in in4{};
    in4.sin_family = AF_INET;
    in4.sin_port = htons(address.port);
    inet_pton(AF_INET, address.host.c_str(), &in4.sin_addr);
    std::memcpy(&bound.storage, &in4, sizeof in4);
    bound.size = sizeof in4;
  }
  return bound;
}

std::unexpected<Error> failed(const SocketAddress& address, const char* what) {
  const int number = errno;
  return fail(number == EADDRINUSE ? Code::busy : Code::io,
              fmt::format("cannot {} {}: {}", what, address.text, std::strerror(number)));
}

enum class Sharing { exclusive, shared };

Result<int> bind_socket(const SocketAddress& address, Sharing sharing) {
  const int family = address.ipv6 ? AF_INET6 : AF_INET;
  const int fd = ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return failed(address, "open a socket for");
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address.ipv6) ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (sharing == Sharing::shared) ::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  const Bound bound = to_sockaddr(address);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&bound.storage), bound.size) != 0) {
    auto error = failed(address, "listen on");
    ::close(fd);
    return error;
  }
  return fd;
}

// `size`: of what is in use of `storage`.
std::string path_of(const sockaddr_storage& storage, socklen_t size) {
  sockaddr_un address;
  std::memcpy(&address, &storage, sizeof address);
  constexpr std::size_t path_at = offsetof(sockaddr_un, sun_path);
  std::string path(address.sun_path, size > path_at ? size - path_at : 0);
  if (!path.empty() && path[0] == '\0') path[0] = '@';  // a name of the abstract namespace
  return path.substr(0, path.find('\0'));
}

std::string to_text(const sockaddr_storage& storage) {
  char text[INET6_ADDRSTRLEN] = "?";
  if (storage.ss_family == AF_INET6) {
    sockaddr_in6 in6;
    std::memcpy(&in6, &storage, sizeof in6);
    inet_ntop(AF_INET6, &in6.sin6_addr, text, sizeof text);
    return fmt::format("[{}]:{}", text, ntohs(in6.sin6_port));
  }
  sockaddr_in in4;
  std::memcpy(&in4, &storage, sizeof in4);
  inet_ntop(AF_INET, &in4.sin_addr, text, sizeof text);
  return fmt::format("{}:{}", text, ntohs(in4.sin_port));
}

bool is_loopback(const sockaddr_storage& storage) {
  if (storage.ss_family == AF_INET6) {
    sockaddr_in6 in6;
    std::memcpy(&in6, &storage, sizeof in6);
    return IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr) != 0;
  }
  sockaddr_in in4;
  std::memcpy(&in4, &storage, sizeof in4);
  return (ntohl(in4.sin_addr.s_addr) >> 24) == 127;
}

int open_reserve() {
  return ::open("/dev/null", O_RDONLY | O_CLOEXEC);
}

}  // namespace

Result<void> Listener::probe(const SocketAddress& address) {
  const auto fd = bind_socket(address, Sharing::exclusive);
  if (!fd) return std::unexpected(fd.error());
  ::close(*fd);
  return {};
}

Result<int> Listener::open(const SocketAddress& address, unsigned backlog) {
  const auto fd = bind_socket(address, Sharing::shared);
  if (!fd) return fd;
  if (::listen(*fd, static_cast<int>(backlog)) != 0) {
    auto error = failed(address, "listen on");
    ::close(*fd);
    return error;
  }
  return fd;
}

std::uint16_t Listener::port_of(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return 0;
  // The port stands at the same place in both families.
  sockaddr_in in4;
  std::memcpy(&in4, &storage, sizeof in4);
  return ntohs(in4.sin_port);
}

std::string Listener::address_of(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return "?";
  return storage.ss_family == AF_UNIX ? path_of(storage, size) : to_text(storage);
}

Listener::Listener(uv::Loop& loop, int fd, Accepted accepted)
    : fd_(fd),
      reserve_fd_(open_reserve()),
      accepted_(std::move(accepted)),
      poll_(uv::make_handle<uv_poll_t>([&](uv_poll_t* poll) {
        const int refused = uv_poll_init(loop.raw(), poll, fd);
        assert(refused == 0);
      })),
      retry_(loop, [this] { watch(); }) {
  poll_->data = this;
  watch();
}

void Listener::watch() {
  uv_poll_start(poll_.get(), UV_READABLE, [](uv_poll_t* poll, int, int) {
    static_cast<Listener*>(poll->data)->accept_some();
  });
}

Listener::~Listener() {
  poll_.reset();
  ::close(fd_);
  if (reserve_fd_ >= 0) ::close(reserve_fd_);
}

void Listener::accept_some() {
  for (int i = 0; i < accepts_per_wakeup_max; ++i) {
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    const int fd =
        ::accept4(fd_, reinterpret_cast<sockaddr*>(&peer), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EMFILE || errno == ENFILE) shed_one();
      return;
    }
    sockaddr_storage local{};
    size = sizeof local;
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&local), &size);
    if (local.ss_family == AF_UNIX) {
      const std::string path = path_of(local, size) + ":0";  // as Redis names both ends
      accepted_({fd, path, path, true, true});
    } else {
      accepted_({fd, to_text(peer), to_text(local), is_loopback(peer), false});
    }
  }
}

// Out of descriptors: a pending connection that nobody accepts would wake this loop for ever. It is
// accepted with the reserve descriptor and closed, so that the client learns of it. Another thread
// may snatch the descriptor that was freed for that; then the socket is left alone for a moment.
void Listener::shed_one() {
  static RateLimit once_a_second(std::chrono::seconds(1));
  if (once_a_second.admit()) log_warning("out of file descriptors: connections are being refused");
  if (reserve_fd_ >= 0) ::close(reserve_fd_);
  const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
  if (fd >= 0) ::close(fd);
  reserve_fd_ = open_reserve();
  if (fd >= 0 && reserve_fd_ >= 0) return;
  uv_poll_stop(poll_.get());
  retry_.start_once(std::chrono::milliseconds(100));
}

}  // namespace kvs::daemon
