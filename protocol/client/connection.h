// connection.h - one connection and the commands in flight on it, answered in order.
//
// RESP has no request numbers: the n-th reply answers the n-th command. So every command that was
// sent has a slot in a queue, and a slot stays until its reply has been read even when nobody waits
// for it any more (dropped or timed out), or every later caller would get a stranger's reply
// (CVE-2023-28858).
//
// Operation is the future written by hand: it lives in the awaiting frame and allocates nothing.
//
// Not here: what the commands mean (client.h), sockets (transport.h).
#pragma once

#include <chrono>
#include <coroutine>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/async/result.h"
#include "protocol/client/address.h"
#include "protocol/client/reply.h"
#include "protocol/client/reply_reader.h"
#include "protocol/client/transport.h"
#include "protocol/uv/loop.h"
#include "protocol/uv/timer.h"

namespace kvs::client {

struct ConnectOptions {
  std::chrono::milliseconds connect_timeout{5000};     // 0: the kernel's own
  std::chrono::milliseconds operation_timeout{30000};  // from issue to complete reply; 0: none
};

// Lives on one loop; all members run on that loop's thread. Shared by its Client and its
// operations.
class Connection final : public std::enable_shared_from_this<Connection>, Transport::Events {
 public:
  class Opened;
  class Operation;

  // Begins to connect; await an Opened for the outcome. `loop` must outlive the connection.
  static std::shared_ptr<Connection> open(uv::Loop& loop, const SocketAddress& address,
                                          ConnectOptions options);

  Connection(uv::Loop& loop, const SocketAddress& address, ConnectOptions options);
  ~Connection();

  // Closes the socket now. Commands in flight end with Code::cancelled in the loop's next
  // iteration.
  void close();

 private:
  using Clock = std::chrono::steady_clock;
  enum class State : std::uint8_t { connecting, open, closed };

  struct Slot {
    Operation* operation;  // null: dropped or timed out, the reply goes nowhere
    Clock::time_point deadline;
    std::uint64_t first_byte;  // position of the request in all that was written
  };

  void start(const SocketAddress& address);
  // False: refused, and the operation has its result.
  bool submit(Operation& operation, std::string_view request);
  void abandon(const Operation& operation);

  void connected(Result<void> outcome) override;
  void received(std::string_view bytes) override;
  void ended(std::string reason) override;

  void settle_connect(Result<void> outcome);
  void answer(Reply reply);
  void on_timer();
  void expire_operations();
  void shut(Code code, std::string reason);
  void fail_operations();
  void resume(Slot slot, Result<Reply> result);
  void arm_timer();

  uv::Loop& loop_;
  const std::string peer_;
  const ConnectOptions options_;
  State state_ = State::connecting;

  std::optional<Transport> transport_;  // none once closed
  uv::Timer timer_;                     // the connect's deadline, then the oldest operation's
  bool timer_armed_ = false;
  ReplyReader reader_;

  std::deque<Slot> slots_;
  std::uint64_t first_slot_ = 0;  // number of slots_.front(), counted from the first command

  std::optional<Result<void>> connect_outcome_;
  Opened* opening_ = nullptr;

  // Once closed: why, and the position up to which the kernel may have taken requests.
  Code closed_code_ = Code::connection_lost;
  std::string closed_reason_;
  std::uint64_t sent_bytes_ = 0;
};

// The outcome of connecting. Resumes on the loop's thread. One per connection.
class Connection::Opened {
 public:
  explicit Opened(Connection& connection) : connection_(connection) {}
  ~Opened();
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;

  bool await_ready() const noexcept { return connection_.connect_outcome_.has_value(); }
  void await_suspend(std::coroutine_handle<> waiter) noexcept;
  Result<void> await_resume() const { return *connection_.connect_outcome_; }

 private:
  friend Connection;
  Connection& connection_;  // outlives this
  std::coroutine_handle<> waiter_;
};

// One command: sent when awaited, resumed on the loop's thread with its reply. Await it once.
// Errors:   see errors.h; an error reply is Code::server.
// Lifetime: may be destroyed at any time; a command that was sent is still executed.
class Connection::Operation {
 public:
  Operation(std::shared_ptr<Connection> connection, std::string request)
      : connection_(std::move(connection)), request_(std::move(request)) {}
  ~Operation();
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> waiter);
  Result<Reply> await_resume() { return std::move(*result_); }

 private:
  friend Connection;
  std::shared_ptr<Connection> connection_;
  std::string request_;
  std::optional<Result<Reply>> result_;
  std::coroutine_handle<> waiter_;
  std::uint64_t slot_ = 0;
  bool in_flight_ = false;
};

}  // namespace kvs::client
