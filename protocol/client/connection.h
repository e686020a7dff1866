// connection.h - one connection and the commands in flight on it, answered in order.
//
// RESP has no request numbers: the n-th reply answers the n-th command. So every command that was
// sent has a slot in a queue, and a slot stays until its reply has been read even when nobody waits
// for it any more (dropped or timed out), or every later caller would get a stranger's reply
// (CVE-2023-28858).
//
// A connection lives once: connecting, greeting (AUTH and so on), open, closed. Making another is
// the link's business (link.h). Not here either: what the commands mean (commands.h), sockets
// (transport.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/async/result.h"
#include "protocol/client/address.h"
#include "protocol/client/exchange.h"
#include "protocol/client/options.h"
#include "protocol/client/reply.h"
#include "protocol/client/reply_reader.h"
#include "protocol/client/ring.h"
#include "protocol/client/transport.h"
#include "protocol/uv/loop.h"
#include "protocol/uv/timer.h"

namespace kvs::client {

// Lives on one loop; all members run on that loop's thread.
class Connection final : public std::enable_shared_from_this<Connection>, Transport::Events {
 public:
  using Clock = std::chrono::steady_clock;

  // Who made it, and outlives it or has closed it.
  class Owner {
   public:
    // The greeting is over, commands may be sent.
    virtual void opened() = 0;
    // It could not be opened, or has ended by itself. Exchanges in flight are told afterwards.
    virtual void lost(const Error& why) = 0;
    // A reply of a connection in Mode::pushes.
    virtual void pushed(Reply reply) = 0;

   protected:
    ~Owner() = default;
  };

  // What the replies are: each to a command, or pushed by the server (publish/subscribe).
  enum class Mode : std::uint8_t { commands, pushes };

  // Begins to connect. `loop` must outlive the connection.
  static std::shared_ptr<Connection> open(uv::Loop& loop, const SocketAddress& address,
                                          const ConnectOptions& options,
                                          std::shared_ptr<const TlsContext> tls, Owner& owner,
                                          Mode mode);

  Connection(uv::Loop& loop, const SocketAddress& address, const ConnectOptions& options,
             std::shared_ptr<const TlsContext> tls, Owner& owner, Mode mode);  // for open()
  ~Connection();

  // Closes the socket now, without a word to the owner. Exchanges in flight end with
  // Code::cancelled in the loop's next iteration.
  void close();

  bool is_open() const noexcept { return state_ == State::open; }
  std::size_t in_flight() const noexcept { return slots_.size(); }

  // Sends the request of `exchange`, which must be answered before `deadline`, or an error that
  // says why it was refused. While open. `request` is the encoded bytes, empty: encode it here.
  Result<void> submit(Exchange& exchange, Clock::time_point deadline,
                      std::string_view request = {});
  void abandon(const Exchange& exchange);

  // In Mode::pushes, while open: appends a request and returns.
  std::string& output() { return transport_->output(); }
  void send_soon() { transport_->send_soon(); }
  void set_reading(Transport::Reading reading);

 private:
  enum class State : std::uint8_t { connecting, greeting, open, closed };

  struct Slot {
    Exchange* exchange = nullptr;  // null: dropped or timed out, the reply goes nowhere
    Clock::time_point deadline;
    std::uint64_t first_byte = 0;  // position of the request in all that was written
  };

  void start(const SocketAddress& address);
  void greet();
  void greeting_answered(const Reply& reply);

  void connected(Result<void> outcome) override;
  void received(std::string_view bytes) override;
  void ended(std::string reason) override;

  void answer(Reply reply);
  void on_timer();
  void expire_operations();
  void shut(Code code, std::string reason);
  void end_with(Code code, std::string reason);
  void fail_operations();
  void give(Exchange* exchange, Result<Reply> result);
  void arm_timer();

  uv::Loop& loop_;
  const std::string peer_;
  const ConnectOptions options_;
  const Mode mode_;
  Owner* owner_;  // null once closed
  State state_ = State::connecting;

  std::optional<Transport> transport_;  // none once closed
  std::optional<uv::Timer> timer_;      // the connect's deadline, then the oldest operation's
  bool timer_armed_ = false;
  ReplyReader reader_;

  std::vector<std::string> greeting_;  // what has been said and not been answered, for messages
  std::size_t greeting_answered_ = 0;

  Ring<Slot> slots_;
  std::uint64_t first_slot_ = 0;  // number of slots_.front(), counted from the first command

  // Once closed: why, and the position up to which the kernel may have taken requests.
  Code closed_code_ = Code::connection_lost;
  std::string closed_reason_;
  std::uint64_t sent_bytes_ = 0;
};

}  // namespace kvs::client
