// fake_server.h - a server that does exactly what a test tells it, right or wrong.
//
// It runs one script per connection, on a thread of its own, with plain blocking sockets. Every
// wait is bounded: a script whose client does not do its part ends after `patience`, and the test
// fails on what it then sees.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "protocol/client/address.h"

namespace kvs::test {

inline constexpr std::chrono::milliseconds patience{10'000};

// The server's end of one connection. Thread: the script's.
class Peer {
 public:
  explicit Peer(int descriptor) : descriptor_(descriptor) {}
  ~Peer();
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  // Reads exactly `bytes` (less only when the client closes or patience ends).
  std::string read(std::size_t bytes);
  // What arrives within `time`, empty for nothing; nullopt when the client has closed.
  std::optional<std::string> read_some(std::chrono::milliseconds time);
  // Reads as many bytes as `request` has; true when they are `request`.
  bool expect(std::string_view request) { return read(request.size()) == request; }
  void send(std::string_view bytes);
  // Answers each `request_bytes` that arrive with `reply`, until the client closes, and takes
  // nothing from the heap for it.
  void answer_fixed(std::size_t request_bytes, std::string_view reply);
  // Waits until the client has closed.
  void wait_for_close();
  // Ends the connection with a reset instead of an orderly close.
  void reset();

 private:
  bool wait(short events) const;
  int descriptor_;
};

class FakeServer {
 public:
  using Script = std::function<void(Peer&)>;

  // Listens on a free port of 127.0.0.1; runs `script` for `connections` connections, one by one.
  explicit FakeServer(Script script, int connections = 1);
  // Waits for the script to end.
  ~FakeServer();
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;

  const client::SocketAddress& address() const { return address_; }

 private:
  int listener_ = -1;
  client::SocketAddress address_;
  std::atomic<bool> stopping_ = false;
  std::jthread thread_;
};

// A port of 127.0.0.1 on which nobody listens.
client::SocketAddress deserted_address();

// An address whose listener takes no connection: its queue is full.
class FullServer {
 public:
  FullServer();
  ~FullServer();
  FullServer(const FullServer&) = delete;
  FullServer& operator=(const FullServer&) = delete;
  const client::SocketAddress& address() const { return address_; }

 private:
  int listener_ = -1;
  int waiting_[4] = {-1, -1, -1, -1};
  client::SocketAddress address_;
};

}  // namespace kvs::test
