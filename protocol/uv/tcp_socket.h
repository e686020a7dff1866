// tcp_socket.h - one end of a TCP connection on a loop, with the system calls in our own hands.
//
// libuv's uv_tcp_t would do, but for two things: libuv 1.44 writes without MSG_NOSIGNAL, so that a
// library on it would ask every program to ignore SIGPIPE; and it does not tell how much of a write
// the kernel took before it failed, which decides whether a command may have been executed. So
// libuv only says when the socket is ready (uv_poll_t), and send and recv are called here.
//
// Not here: buffers, TLS (protocol/client/transport.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <sys/types.h>

#include <uv.h>

#include "protocol/uv/handle.h"
#include "protocol/uv/loop.h"

namespace kvs::uv {

// Thread: all members on the loop's. Destroying it closes the socket at once; no event comes
// afterwards.
class TcpSocket {
 public:
  // Called on the loop's thread, never from inside a member function. Each may destroy the socket.
  class Events {
   public:
    // There may be bytes to receive, room to send, or an error to fetch.
    virtual void ready() = 0;

   protected:
    ~Events() = default;
  };

  // What ready() is wanted for.
  enum class Interest : std::uint8_t { nothing = 0, receive = 1, send = 2, both = 3 };

  TcpSocket(Loop& loop, Events& events) : loop_(loop), events_(events) {}
  ~TcpSocket();
  TcpSocket(const TcpSocket&) = delete;
  TcpSocket& operator=(const TcpSocket&) = delete;

  // Begins to connect to a numeric address; ready() comes when it is decided, take_error() says
  // how. Returns 0 or a libuv error.
  int connect(const std::string& host, std::uint16_t port);

  void watch(Interest interest);

  // Returns the bytes that the kernel took, UV_EAGAIN for none, or another libuv error.
  ssize_t send(std::string_view bytes) noexcept;
  // Returns the bytes received, UV_EAGAIN for none now, UV_EOF after the last, or another error.
  ssize_t receive(char* buffer, std::size_t bytes_max) noexcept;

  // Returns the error that is pending on the socket, 0 for none.
  int take_error() noexcept;

 private:
  void on_poll(int status);

  Loop& loop_;  // outlives this
  Events& events_;
  int descriptor_ = -1;
  Interest interest_ = Interest::nothing;
  HandlePtr<uv_poll_t> poll_;
};

}  // namespace kvs::uv
