// session.h - what a Client stands on: one connection at a time, and the commands that wait for it.
//
// While the connection is up, a command goes straight to it. While it is being made (again), a
// command waits, for options.wait_while_down at most, and is sent in its turn; nothing that was
// sent is ever sent twice.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "protocol/async/operation.h"
#include "protocol/async/result.h"
#include "protocol/client/address.h"
#include "protocol/client/connection.h"
#include "protocol/client/exchange.h"
#include "protocol/client/link.h"
#include "protocol/client/options.h"
#include "protocol/client/ring.h"
#include "protocol/uv/loop.h"
#include "protocol/uv/timer.h"

namespace kvs::client {

// Thread: all members on the loop's, but once closed it may be destroyed on any.
class Session final : public std::enable_shared_from_this<Session>, Link::Listener {
 public:
  class Opening;

  // Begins to connect. `loop` outlives the session.
  static std::shared_ptr<Session> open(uv::Loop& loop, const SocketAddress& address,
                                       ConnectOptions options);

  Session(uv::Loop& loop, const SocketAddress& address, ConnectOptions options);  // for open()
  ~Session();

  // Takes `exchange` for its replies, or says why not: nothing was sent then, and it is not told.
  Result<void> submit(Exchange& exchange);
  void abandon(const Exchange& exchange);

  // Ends the connection now. Commands in flight end with Code::cancelled, those that wait with
  // Code::unreachable, in the loop's next iteration.
  void close();

  bool connected() const noexcept { return link_.connection() != nullptr; }
  // Neither connected nor ever again.
  bool closed() const noexcept { return closed_; }
  std::size_t in_flight() const noexcept;

 private:
  using Clock = Connection::Clock;

  struct Waiting {
    Exchange* exchange = nullptr;  // null: dropped
    std::string request;
    Clock::time_point deadline;    // of its reply
    Clock::time_point wait_until;  // of the connection
  };

  void link_up() override;
  void link_down(const Error& why, Link::Next next) override;
  void link_pushed(Reply reply) override;

  Result<void> refuse(Code code, std::string why) const;
  Result<void> wait(Exchange& exchange, Clock::time_point now);
  void settle_opening(Result<void> outcome);
  void expire_waiting();
  void fail_waiting();
  Waiting pop_waiting();
  void give(const Waiting& waiting, Result<void> outcome);
  void arm_timer();

  Link link_;
  bool closed_ = false;
  std::optional<Error> last_error_;  // why there is no connection
  std::optional<Result<void>> first_outcome_;
  Opening* opening_ = nullptr;

  Ring<Waiting> waiting_;
  std::uint64_t first_waiting_ = 0;  // number of waiting_.front()
  std::size_t waiting_bytes_ = 0;
  std::unique_ptr<uv::Timer> timer_;  // for the front of waiting_; null once closed
  bool timer_armed_ = false;
};

// The outcome of the first attempt to connect, as an operation. One per session.
class [[nodiscard]] Session::Opening {
 public:
  using value_type = Result<void>;

  explicit Opening(std::shared_ptr<Session> session) : session_(std::move(session)) {}
  Opening(Opening&&) noexcept = default;
  Opening& operator=(Opening&&) = delete;
  ~Opening();

  bool start(Completion& done);
  Result<void> take() { return *session_->first_outcome_; }
  auto operator co_await() noexcept { return OperationAwaiter<Opening>(*this); }

 private:
  friend Session;
  std::shared_ptr<Session> session_;
  Completion* done_ = nullptr;
};

}  // namespace kvs::client
