#include "daemon/server.h"

#include <algorithm>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

#include "daemon/acl/accounts.h"
#include "daemon/client_registry.h"
#include "daemon/log.h"
#include "daemon/metrics.h"
#include "daemon/settings.h"
#include "daemon/wall_clock.h"

namespace kvs::daemon {

namespace {

constexpr std::string_view too_many_clients = "-ERR max number of clients reached\r\n";

constexpr std::string_view protected_mode_refusal =
    "-DENIED Running in protected mode because protected mode is enabled and no password is set "
    "for "
    "the default user. In this mode connections are only accepted from the loopback interface. If "
    "you want to connect from external computers, either set a password with --requirepass (or "
    "CONFIG SET requirepass, from the loopback interface), or disable protected mode with "
    "'CONFIG SET protected-mode no' from the loopback interface or --protected-mode no, after "
    "making sure that the server is not reachable from the internet.\r\n";

// With TLS nothing can be said before the handshake, which is not worth a refusal: `line` is empty.
// The socket was just accepted, so its empty buffer takes the line at once, or never.
void refuse(int fd, std::string_view line) {
  [[maybe_unused]] const ssize_t sent =
      ::send(fd, line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  ::close(fd);
}

}  // namespace

Server::Server(Services& services, SyncTurn& turn, std::size_t workers) : services_(services) {
  for (std::size_t i = 0; i < workers; ++i) {
    workers_.push_back(std::make_unique<Worker>(services, turn, services.metrics.worker(i)));
  }
}

Result<std::uint16_t> Server::listen(const SocketAddress& address, Encryption encryption) {
  if (address.port != 0) {
    if (auto free = Listener::probe(address); !free) return std::unexpected(free.error());
  }
  SocketAddress chosen = address;
  for (const auto& worker : workers_) {
    const auto fd = Listener::open(chosen, services_.config.tcp_backlog);
    if (!fd) return std::unexpected(fd.error());
    // Port 0 lets the kernel choose; the others follow the first.
    chosen.port = Listener::port_of(*fd);
    Worker& here = *worker;
    here.listen(*fd, [this, encryption, &here](AcceptedSocket socket) {
      admit(std::move(socket), encryption, here);
    });
  }
  return chosen.port;
}

void Server::listen(int fd, Encryption encryption) {
  Worker& here = *workers_[next_listener_++ % workers_.size()];
  here.listen(fd, [this, encryption, &here](AcceptedSocket socket) {
    admit(std::move(socket), encryption, here);
  });
}

void Server::start() {
  running_.store(workers_.size());
  for (const auto& worker : workers_) {
    worker->start([this] {
      if (running_.fetch_sub(1) == 1) stopped_();
    });
  }
}

void Server::stop(std::function<void()> stopped) {
  stopped_ = std::move(stopped);
  for (const auto& worker : workers_) worker->stop();
}

void Server::join() {
  for (const auto& worker : workers_) worker->join();
}

void Server::admit(AcceptedSocket socket, Encryption encryption, Worker& here) {
  std::size_t clients = 0;
  Worker* least = &here;
  for (const auto& worker : workers_) {
    clients += worker->load();
    if (worker->load() < least->load()) least = worker.get();
  }
  const Settings& settings = services_.settings;
  const bool plain = encryption == Encryption::none;
  if (clients >= settings.maxclients.load(std::memory_order_relaxed)) {
    here.metrics().connections_rejected.fetch_add(1, std::memory_order_relaxed);
    return refuse(socket.fd, plain ? too_many_clients : "");
  }
  if (!socket.loopback && settings.protected_mode.load(std::memory_order_relaxed) &&
      services_.accounts.default_is_open()) {
    here.metrics().connections_rejected.fetch_add(1, std::memory_order_relaxed);
    return refuse(socket.fd, plain ? protected_mode_refusal : "");
  }
  auto shared = std::make_shared<ClientShared>(services_.clients.next_id(), std::move(socket.peer),
                                               std::move(socket.local), socket.fd, wall_clock_ms());
  if (socket.has_path) shared->set(ClientShared::unix_socket_flag);
  least->adopt(socket.fd, std::move(shared), plain ? nullptr : settings.tls.context());
}

}  // namespace kvs::daemon
