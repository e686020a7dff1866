#include "protocol/uv/tcp_socket.h"

#include <cassert>
#include <cerrno>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace kvs::uv {
namespace {

// A peer that vanished without a word is noticed after about two minutes.
constexpr int keepalive_idle_seconds = 60;
constexpr int keepalive_interval_seconds = 15;
constexpr int keepalive_probes = 4;

int last_error() noexcept {
  return uv_translate_sys_error(errno);
}

// Refusals cost time or detection only, so they are not errors.
void set(int descriptor, int level, int option, int value) noexcept {
  (void)::setsockopt(descriptor, level, option, &value, sizeof value);
}

void tune(int descriptor) noexcept {
  set(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);  // batches are ours
  set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, keepalive_idle_seconds);
  set(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, keepalive_interval_seconds);
  set(descriptor, IPPROTO_TCP, TCP_KEEPCNT, keepalive_probes);
}

}  // namespace

TcpSocket::~TcpSocket() {
  // In this order: libuv forgets the descriptor before its number can be used again.
  poll_.reset();
  if (descriptor_ >= 0) ::close(descriptor_);
}

int TcpSocket::connect(const std::string& host, std::uint16_t port) {
  assert(loop_.on_this_thread());
  assert(descriptor_ < 0);
  sockaddr_storage address{};
  socklen_t size = 0;
  if (uv_ip4_addr(host.c_str(), port, reinterpret_cast<sockaddr_in*>(&address)) == 0) {
    size = sizeof(sockaddr_in);
  } else if (uv_ip6_addr(host.c_str(), port, reinterpret_cast<sockaddr_in6*>(&address)) == 0) {
    size = sizeof(sockaddr_in6);
  } else {
    return UV_EINVAL;
  }
  descriptor_ = ::socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor_ < 0) return last_error();
  tune(descriptor_);
  int failed = 0;
  // NOLINTNEXTLINE(bugprone-branch-clone): EINTR goes on in the background as EINPROGRESS does
  if (::connect(descriptor_, reinterpret_cast<const sockaddr*>(&address), size) != 0 &&
      errno != EINPROGRESS && errno != EINTR) {
    return last_error();
  }
  poll_ = make_handle<uv_poll_t>(
      [&](uv_poll_t* poll) { failed = uv_poll_init(loop_.raw(), poll, descriptor_); });
  if (failed != 0) {
    // libuv does not know the handle: free it without closing.
    const std::unique_ptr<uv_poll_t> unused(poll_.release());
    return failed;
  }
  poll_->data = this;
  watch(Interest::send);
  return 0;
}

void TcpSocket::watch(Interest interest) {
  if (interest == interest_) return;
  interest_ = interest;
  if (interest == Interest::nothing) {
    uv_poll_stop(poll_.get());
    return;
  }
  const auto bits = static_cast<unsigned>(interest);
  const int events = ((bits & 1U) != 0 ? UV_READABLE : 0) | ((bits & 2U) != 0 ? UV_WRITABLE : 0);
  const int refused = uv_poll_start(poll_.get(), events, [](uv_poll_t* poll, int status, int) {
    static_cast<TcpSocket*>(poll->data)->on_poll(status);
  });
  assert(refused == 0);  // only for a handle that is being closed
}

void TcpSocket::on_poll(int status) {
  // libuv stops polling when the socket has an error. Go on: the owner fetches what has arrived
  // before it, then the error, and closes.
  if (status < 0) watch(std::exchange(interest_, Interest::nothing));
  events_.ready();
}

ssize_t TcpSocket::send(std::string_view bytes) noexcept {
  for (;;) {
    const ssize_t sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) return sent;
    if (errno == EINTR) continue;
    return errno == EWOULDBLOCK || errno == ENOBUFS ? static_cast<ssize_t>(UV_EAGAIN)
                                                    : last_error();
  }
}

ssize_t TcpSocket::receive(char* buffer, std::size_t bytes_max) noexcept {
  for (;;) {
    const ssize_t received = ::recv(descriptor_, buffer, bytes_max, 0);
    if (received > 0) return received;
    if (received == 0) return UV_EOF;
    if (errno == EINTR) continue;
    return errno == EWOULDBLOCK ? static_cast<ssize_t>(UV_EAGAIN) : last_error();
  }
}

int TcpSocket::take_error() noexcept {
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(descriptor_, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return last_error();
  return error == 0 ? 0 : uv_translate_sys_error(error);
}

}  // namespace kvs::uv
