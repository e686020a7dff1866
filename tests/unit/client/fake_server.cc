#include "tests/unit/client/fake_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

#include <doctest/doctest.h>

namespace kvs::test {
namespace {

int listen_on_free_port(int backlog, client::SocketAddress& address) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(listener >= 0);
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof name;
  REQUIRE(::bind(listener, reinterpret_cast<sockaddr*>(&name), size) == 0);
  REQUIRE(::listen(listener, backlog) == 0);
  REQUIRE(::getsockname(listener, reinterpret_cast<sockaddr*>(&name), &size) == 0);
  address = {"127.0.0.1", ntohs(name.sin_port)};
  return listener;
}

bool wait_for(int descriptor, short events, std::chrono::milliseconds time) {
  pollfd wanted{descriptor, events, 0};
  return ::poll(&wanted, 1, static_cast<int>(time.count())) > 0;
}

}  // namespace

Peer::~Peer() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

bool Peer::wait(short events) const {
  return wait_for(descriptor_, events, patience);
}

std::string Peer::read(std::size_t bytes) {
  std::string all;
  while (all.size() < bytes && wait(POLLIN)) {
    char buffer[65536];
    const ssize_t got = ::recv(descriptor_, buffer, std::min(sizeof buffer, bytes - all.size()), 0);
    if (got <= 0) break;
    all.append(buffer, static_cast<std::size_t>(got));
  }
  return all;
}

std::optional<std::string> Peer::read_some(std::chrono::milliseconds time) {
  if (!wait_for(descriptor_, POLLIN, time)) return std::string();
  char buffer[65536];
  const ssize_t got = ::recv(descriptor_, buffer, sizeof buffer, 0);
  if (got <= 0) return std::nullopt;
  return std::string(buffer, static_cast<std::size_t>(got));
}

void Peer::send(std::string_view bytes) {
  while (!bytes.empty() && wait(POLLOUT)) {
    const ssize_t sent =
        ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

void Peer::answer_fixed(std::size_t request_bytes, std::string_view reply) {
  char buffer[4096];
  std::size_t arrived = 0;
  while (wait(POLLIN)) {
    const ssize_t got = ::recv(descriptor_, buffer, sizeof buffer, 0);
    if (got <= 0) return;
    for (arrived += static_cast<std::size_t>(got); arrived >= request_bytes;
         arrived -= request_bytes) {
      send(reply);
    }
  }
}

void Peer::wait_for_close() {
  char ignored[4096];
  while (wait(POLLIN) && ::recv(descriptor_, ignored, sizeof ignored, 0) > 0) {
  }
}

void Peer::reset() {
  const linger none{1, 0};
  ::setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &none, sizeof none);
  ::close(std::exchange(descriptor_, -1));
}

FakeServer::FakeServer(Script script, int connections) {
  listener_ = listen_on_free_port(16, address_);
  thread_ = std::jthread([this, script = std::move(script), connections] {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    for (int served = 0; served < connections;) {
      if (stopping_ || std::chrono::steady_clock::now() > deadline) return;
      if (!wait_for(listener_, POLLIN, std::chrono::milliseconds(50))) continue;
      const int descriptor = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (descriptor < 0) return;
      Peer peer(descriptor);
      script(peer);
      ++served;
    }
  });
}

FakeServer::~FakeServer() {
  stopping_ = true;
  thread_.join();
  ::close(listener_);
}

client::SocketAddress deserted_address() {
  client::SocketAddress address;
  ::close(listen_on_free_port(1, address));
  return address;
}

FullServer::FullServer() {
  listener_ = listen_on_free_port(0, address_);
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  name.sin_port = htons(address_.port);
  for (int& descriptor : waiting_) {
    descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    REQUIRE(descriptor >= 0);
    (void)::connect(descriptor, reinterpret_cast<sockaddr*>(&name), sizeof name);
  }
}

FullServer::~FullServer() {
  for (const int descriptor : waiting_) ::close(descriptor);
  ::close(listener_);
}

}  // namespace kvs::test
