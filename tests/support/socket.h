// socket.h - a test's own blocking TCP client that knows just enough of RESP to find a reply's end.
//
// It is deliberately not our client library: a test that sends bytes must get bytes. Every call
// ends within the socket's timeout. Failures are exceptions (SocketError), which end the test case.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "tests/support/request.h"
#include "tests/support/tls_layer.h"

namespace kvs::test {

struct SocketOptions {
  std::string host = "127.0.0.1";  // numeric, IPv4 or IPv6
  std::uint16_t port = 0;
  std::string source;            // our own address, e.g. 127.0.0.2; empty: any
  int receive_buffer_bytes = 0;  // 0: the system's default
  std::chrono::milliseconds timeout = std::chrono::seconds(10);  // of each call below
  std::optional<TlsClient> tls = std::nullopt;
};

class SocketError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Socket {
 public:
  // Connects, with TCP_NODELAY: each send is a segment of its own; and shakes hands, with TLS.
  explicit Socket(const SocketOptions& options);
  Socket(Socket&& other) noexcept;
  Socket& operator=(Socket&& other) noexcept;
  ~Socket();

  void send_all(std::string_view bytes);
  // False when the peer has closed meanwhile, as it does after refusing what came before.
  bool send_if_open(std::string_view bytes);
  // Sends what the kernel takes at once and returns how many bytes that was.
  std::size_t send_some(std::string_view bytes);
  void shutdown_write();

  std::string read_exact(std::size_t size);
  // What has arrived, at least one byte.
  std::string read_some();
  // The bytes of one whole reply, nested ones included, RESP2 or RESP3.
  std::string read_reply();
  // Everything up to the end of the connection, however that came. Throws if it does not come.
  std::string read_until_close();
  // True when the peer has closed or closes within `timeout`, and sends nothing before.
  bool closes_within(std::chrono::milliseconds timeout);
  // True when nothing arrives within `timeout`, neither bytes nor the end.
  bool silent_for(std::chrono::milliseconds timeout);

  // Sends a request in the array form and reads its reply.
  std::string command(const Request& words);

  int fd() const noexcept { return fd_; }
  // Null without TLS.
  const TlsLayer* tls() const noexcept { return tls_.get(); }

 private:
  using Clock = std::chrono::steady_clock;
  enum class Arrival : std::uint8_t { bytes, end, nothing };

  Clock::time_point deadline() const { return Clock::now() + timeout_; }
  bool wait_for(short events, Clock::time_point until) const;
  Arrival receive(Clock::time_point until);
  ssize_t send_now(std::string_view bytes);
  void receive_more(Clock::time_point until);
  std::string take(std::size_t size);

  int fd_ = -1;
  std::unique_ptr<TlsLayer> tls_;
  std::chrono::milliseconds timeout_;
  std::string received_;
};

// The size of the first whole reply in `bytes`; nullopt when it is not all there. Throws
// SocketError for bytes that are no reply.
std::optional<std::size_t> reply_size(std::string_view bytes);

// A port of `host` that was free a moment ago.
std::uint16_t free_port(const std::string& host = "127.0.0.1");

}  // namespace kvs::test
