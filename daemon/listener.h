// listener.h - a listening socket on a loop: one per worker, all on one address (SO_REUSEPORT); one
// alone where it has a path (unix_socket.h) or was passed by the service manager (activation.h).
//
// The kernel spreads few connections unevenly over the sockets (with two loops and four connections
// often three and one), so an accepted socket is not tied to the loop that accepted it: whoever is
// told hands the descriptor to the least loaded one. That is why accepting is done here with a
// watched descriptor and not by libuv, which would bind the socket to this loop.
// The only home of setsockopt.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <uv.h>

#include "daemon/config.h"
#include "protocol/async/result.h"
#include "protocol/uv/loop.h"
#include "protocol/uv/timer.h"

namespace kvs::daemon {

// A connection as accept(2) returned it.
struct AcceptedSocket {
  int fd;
  std::string peer;   // "ip:port", or "path:0"
  std::string local;  // the same
  bool loopback;      // the peer is on this machine
  bool has_path;      // it came by a path
};

class Listener {
 public:
  // Told about each accepted socket, which it then owns. Loop thread.
  using Accepted = std::function<void(AcceptedSocket)>;

  // Opens a listening socket that may share its port with the server's other loops; the port of
  // `address` may be 0. Returns the descriptor.
  // Errors: busy when somebody else listens there, io otherwise; the message names the address.
  static Result<int> open(const SocketAddress& address, unsigned backlog);
  // Fails like open() if the address cannot be listened on by somebody who does not share: without
  // this a second server would silently get half of the first one's connections.
  static Result<void> probe(const SocketAddress& address);
  // The port that a descriptor of open() is bound to.
  static std::uint16_t port_of(int fd);
  // What a listening descriptor is bound to, for messages: "ip:port", or a path.
  static std::string address_of(int fd);

  // Starts watching; owns `fd`.
  Listener(uv::Loop& loop, int fd, Accepted accepted);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

 private:
  void watch();
  void accept_some();
  void shed_one();

  const int fd_;
  int reserve_fd_;  // given up for a moment when there are no descriptors left
  Accepted accepted_;
  uv::HandlePtr<uv_poll_t> poll_;
  uv::Timer retry_;  // watches again after a while without descriptors
};

}  // namespace kvs::daemon
