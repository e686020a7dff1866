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

  // Whether connections to an address are encrypted.
  enum class Encryption : std::uint8_t { none, tls };

  // Binds and listens, also to more than one address; nobody is served yet. Returns the port, which
  // the kernel chooses when that of `address` is 0. Errors: busy, io.
  Result<std::uint16_t> listen(const SocketAddress& address, Encryption encryption);

  // Serves a socket that listens already: one of a path, or that was passed; owns `fd`.
  void listen(int fd, Encryption encryption);

  // Starts the worker threads.
  void start();
  // Stops accepting, lets every connection finish what it has begun, ends the threads, and calls
  // `stopped` on the last of them. Any thread, once.
  void stop(std::function<void()> stopped);
  // Waits for the threads to end.
  void join();

 private:
  void admit(AcceptedSocket socket, Encryption encryption, Worker& here);

  Services& services_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::size_t next_listener_ = 0;  // the worker that accepts for the next single socket
  std::atomic<std::size_t> running_{0};
  std::function<void()> stopped_;
};

}  // namespace kvs::daemon
