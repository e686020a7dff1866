// connection.h - one client connection; serve() is the life of its requests from top to bottom.
//
// Bytes: a read brings them into the loop's shared buffer, where requests are parsed in place and,
// when nothing in them can wait, answered at once. What must go to the pool (or is incomplete) is
// first copied into `input_`, which stays put while its requests are being executed; bytes that
// arrive meanwhile queue in `backlog_`, and reading stops when that is full.
// Replies: commands append to client_.output, which belongs to the pool while a batch is in flight;
// what may leave moves to `ready_` and is written at the end of the loop's iteration, with one
// write per connection. A client that does not read its replies slows only itself.
// TLS stands between the socket and all this: what is read is decrypted before on_read() sees it,
// and what is ready is encrypted by flush() (connection_tls.cc). Nothing else knows of it.
// Thread: the loop's.
#pragma once

#include <chrono>
#include <coroutine>
#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <uv.h>

#include "daemon/client.h"
#include "daemon/durability.h"
#include "daemon/executor.h"
#include "daemon/limits.h"
#include "protocol/async/task.h"
#include "protocol/resp/request_parser.h"
#include "protocol/tls/session.h"
#include "protocol/uv/timer.h"

namespace kvs::daemon {

class Worker;

class Connection {
 public:
  using Clock = std::chrono::steady_clock;

  // Takes over `fd`, a connected socket; `tls` is null for a plain one. `worker` outlives the
  // connection.
  Connection(Worker& worker, int fd, std::shared_ptr<ClientShared> shared,
             std::shared_ptr<const tls::Context> tls);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Serves the client until either side ends it; returns when the socket is closed.
  Task<void> serve();

  // Ends the connection after what is being executed: no further request is begun.
  void finish();
  // Ends it if it is client `id` and CLIENT KILL asked for that.
  void finish_if_killed(std::uint64_t id);

  // CLIENT PAUSE is over.
  void end_pause();

  // Writes what is ready. Called by the worker at the end of the iteration.
  void flush();

  // Sends what its mailbox holds, if no reply is on its way that must come first.
  void deliver_mail();

  // Once a second: ends a connection that has been idle, stuck in a request or unread for too long.
  void check_timeouts(Clock::time_point now);

 private:
  // What answer_ready() found.
  enum class Step : std::uint8_t {
    starved,     // everything that has arrived is answered, but for an incomplete request
    paused,      // enough for one step: the replies leave before more is begun
    needs_pool,  // the next request must run on the pool
    held,        // the next request waits for the end of CLIENT PAUSE
    ended,       // the connection is over: protocol error, limit, or told to finish
  };
  class Arrival;  // awaits input
  class Drained;  // awaits that unsent replies are few, or none
  class Closed;   // closes the socket and awaits its close callback
  class Pause;    // awaits a delay
  class Held;     // awaits the end of CLIENT PAUSE

  enum class Waiting : std::uint8_t { nothing, input, drain, pause, held, close };

  bool start();
  bool over() const noexcept { return finishing_ || lost_; }
  void end(std::string_view reason);  // lets go of the peer at once and wakes serve()
  // Gives large buffers back to the allocator; small ones are kept for the next request.
  static void recycle(std::string& buffer);
  void wait_for(Waiting what, std::coroutine_handle<> waiter);
  void wake();

  // Requests
  Step answer_ready();
  Request resolve(Args words) const;
  bool collect_for_pool();  // fills requests_ from input_; true: for the slow lane
  void keep_words(const Request& request);
  void put_back_unexecuted(const BatchEntry& entry);
  bool refuse_http(const Request& request);
  std::chrono::milliseconds penalty();
  void answer_sync_wait(Parking::Outcome outcome);

  // Input
  std::string_view unread() const;
  void make_stable();  // copies what is unread of the loop's buffer to input_
  void consume(std::size_t bytes);
  void append_input(std::string_view bytes);
  void take_backlog();
  void on_read(ssize_t size, const char* data);
  void resume_reading();
  void stop_reading();
  bool within_limits();

  // Output
  void release();  // lets the replies in client_.output leave, and then the mail
  void take_mail();
  void check_output_limit();
  void list_for_flush();
  void send_ready();
  void queue_write(std::size_t written);
  void on_written(int status);
  void wake_if_drained();
  std::size_t unsent() const noexcept { return ready_.size() + sending_.size() - sent_; }

  // TLS (connection_tls.cc)
  struct Encryption;
  void on_encrypted(std::string_view bytes);
  bool shake_hands();  // true: done
  void flush_encrypted();
  void queue_encrypted(std::size_t written);
  void on_encrypted_written(int status);
  void note_encrypted_sent();
  void say_goodbye();
  bool handshake_overdue(Clock::time_point now) const;
  void account_encrypted();

  // For maxmemory-clients
  bool within_memory();
  void account_client();
  void account();
  void set_accounted(std::size_t bytes);

  Worker& worker_;
  const int fd_;
  uv_tcp_t socket_{};
  std::coroutine_handle<> waiter_;  // serve(), while it waits for the network
  Waiting waiting_ = Waiting::nothing;
  bool finishing_ = false;      // no further request is begun; replies are still sent
  bool lost_ = false;           // nothing more is sent
  bool end_of_stream_ = false;  // the peer sends no more
  bool reading_ = false;
  bool stranger_ = false;  // had not authenticated when its last requests were looked at
  Clock::time_point last_active_;
  std::optional<Clock::time_point> ends_by_;  // set when the last replies are being sent

  // Input
  std::string_view arrived_;  // of the loop's buffer; empty outside on_read
  std::string input_;
  std::size_t input_begin_ = 0;  // of input_: first byte not consumed
  std::string backlog_;          // arrived while input_ is in use
  resp::RequestParser parser_;
  bool parser_consistent_ = true;  // false: it has read past what will be parsed next
  std::optional<Clock::time_point> request_begun_;  // when an incomplete request began to arrive

  // Execution
  Client client_;
  Position position_ = 0;  // what must be synced before the replies in client_.output leave
  std::vector<Request> requests_;
  std::vector<std::size_t> request_ends_;  // offsets in input_
  std::vector<std::string_view> words_;    // of requests_
  std::deque<std::string> unquoted_;       // words that are not slices of input_
  unsigned penalized_failures_ = 0;
  std::unique_ptr<uv::Timer> pause_timer_;

  // Output
  std::string ready_;    // may leave
  std::string sending_;  // in libuv's or TLS's hands, but for the first sent_ bytes
  std::size_t sent_ = 0;
  uv_write_t write_{};
  bool write_queued_ = false;
  bool flush_listed_ = false;
  std::size_t drained_mark_ = 0;
  std::optional<Clock::time_point> unread_since_;  // above the soft output limit since

  std::unique_ptr<Encryption> tls_;  // null: plain
  std::size_t tls_bytes_ = 0;        // of tls_

  std::size_t client_bytes_ = 0;     // of client_, when it was last here
  std::size_t accounted_bytes_ = 0;  // what of all this stands in Metrics
};

}  // namespace kvs::daemon
