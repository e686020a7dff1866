// link.h - keeps one connection to a server up: connects, and connects again when it was lost.
//
// Used by Session (commands) and Subscription (messages), which differ only in what the replies
// are.
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <string>

#include "protocol/async/result.h"
#include "protocol/client/address.h"
#include "protocol/client/connection.h"
#include "protocol/client/options.h"
#include "protocol/uv/loop.h"
#include "protocol/uv/timer.h"

namespace kvs::client {

// Thread: all members on the loop's.
class Link final : Connection::Owner {
 public:
  // What follows after a connection was lost or could not be made.
  enum class Next : std::uint8_t { tries_again, stays_down };

  // Called on the loop's thread. None of them may destroy the Link; close() is allowed.
  class Listener {
   public:
    virtual void link_up() = 0;
    virtual void link_down(const Error& why, Next next) = 0;
    virtual void link_pushed(Reply reply) = 0;

   protected:
    ~Listener() = default;
  };

  Link(uv::Loop& loop, SocketAddress address, ConnectOptions options, Listener& listener,
       Connection::Mode mode);
  ~Link() { close(); }
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  // Begins; the first attempt counts like any other.
  void start();

  // Ends the connection and tries no more; the listener is not called again.
  void close();

  // The open connection, or null while there is none.
  Connection* connection() const noexcept {
    return connection_ && connection_->is_open() ? connection_.get() : nullptr;
  }

  const ConnectOptions& options() const noexcept { return options_; }
  const SocketAddress& address() const noexcept { return address_; }
  uv::Loop& loop() const noexcept { return loop_; }

 private:
  void opened() override;
  void lost(const Error& why) override;
  void pushed(Reply reply) override { listener_.link_pushed(std::move(reply)); }

  void connect();
  std::chrono::milliseconds next_delay();

  uv::Loop& loop_;  // outlives this
  const SocketAddress address_;
  const ConnectOptions options_;
  Listener& listener_;
  const Connection::Mode mode_;
  bool closed_ = false;
  unsigned failures_ = 0;  // since the last success
  std::minstd_rand random_;
  std::shared_ptr<const TlsContext> tls_;
  std::shared_ptr<Connection> connection_;
  std::unique_ptr<uv::Timer> timer_;  // until the next attempt; null once closed
};

}  // namespace kvs::client
