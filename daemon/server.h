// server.h - the workers, the sockets that they listen on, and who gets which connection.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "daemon/config.h"
#include "daemon/context.h"
#include "daemon/durability.h"
#include "daemon/listener.h"
#include "daemon/worker.h"
#include "protocol/async/result.h"

namespace kvs::daemon {

// Thread: main's, but for what says "any thread".
class Server {
 public:
  // `services` and `turn` outlive it. As many workers as `metrics` has blocks for.
  Server(Services& services, SyncTurn& turn, std::size_t workers);

  // Binds and listens; nobody is served yet. Errors: busy, io.
  Result<void> listen(const SocketAddress& address);
  // The port that listen() bound.
  std::uint16_t port() const noexcept { return port_; }

  // Starts the worker threads.
  void start();
  // Stops accepting, lets every connection finish what it has begun, ends the threads, and calls
  // `stopped` on the last of them. Any thread, once.
  void stop(std::function<void()> stopped);
  // Waits for the threads to end.
  void join();

 private:
  void admit(AcceptedSocket socket, Worker& here);

  Services& services_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::uint16_t port_ = 0;
  std::atomic<std::size_t> running_{0};
  std::function<void()> stopped_;
};

}  // namespace kvs::daemon
