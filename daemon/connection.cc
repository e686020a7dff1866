#include "daemon/connection.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <span>
#include <unistd.h>
#include <utility>

#include "daemon/acl/accounts.h"
#include "daemon/cold_reads.h"
#include "daemon/command_table.h"
#include "daemon/commands/arguments.h"
#include "daemon/connection_tls.h"
#include "daemon/lane.h"
#include "daemon/log.h"
#include "daemon/operations.h"
#include "daemon/settings.h"
#include "daemon/wall_clock.h"
#include "daemon/watches.h"
#include "daemon/worker.h"

namespace kvs::daemon {

using namespace std::chrono_literals;

namespace {

// A connection that is over gets this long to read its last replies.
constexpr auto farewell_time = 5s;

resp::ParserLimits parser_limits(const Settings& settings) {
  resp::ParserLimits limits;
  limits.bulk_bytes_max = static_cast<std::int64_t>(settings.proto_max_bulk_len.load());
  return limits;
}

bool is_http(const Request& request) {
  if (request.command != nullptr) return false;
  const auto equals = [name = request.args[0]](std::string_view word) {
    return name.size() == word.size() &&
           std::equal(name.begin(), name.end(), word.begin(), [](char a, char b) {
             return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + ('a' - 'A')) : a) == b;
           });
  };
  return equals("post") || equals("host:");
}

}  // namespace

// --- What serve() waits for -----------------------------------------------------------------

// Resumes when there is input, or when there will never be any again.
class Connection::Arrival {
 public:
  explicit Arrival(Connection& connection) : connection_(connection) {}
  bool await_ready() const noexcept {
    return connection_.over() || connection_.end_of_stream_ || !connection_.backlog_.empty();
  }
  void await_suspend(std::coroutine_handle<> waiter) {
    connection_.wait_for(Waiting::input, waiter);
    connection_.resume_reading();
  }
  void await_resume() const noexcept {}

 private:
  Connection& connection_;
};

// Resumes when at most `mark` bytes of replies are still to be sent, or when the peer is gone.
class Connection::Drained {
 public:
  Drained(Connection& connection, std::size_t mark) : connection_(connection), mark_(mark) {}
  bool await_ready() const noexcept { return connection_.lost_ || connection_.unsent() <= mark_; }
  void await_suspend(std::coroutine_handle<> waiter) {
    connection_.drained_mark_ = mark_;
    connection_.wait_for(Waiting::drain, waiter);
  }
  void await_resume() const noexcept {}

 private:
  Connection& connection_;
  std::size_t mark_;
};

// Resumes after `delay`, or when the connection is told to end.
class Connection::Pause {
 public:
  Pause(Connection& connection, std::chrono::milliseconds delay)
      : connection_(connection), delay_(delay) {}
  bool await_ready() const noexcept { return connection_.over(); }
  void await_suspend(std::coroutine_handle<> waiter) {
    connection_.wait_for(Waiting::pause, waiter);
    if (connection_.pause_timer_ == nullptr) {
      Connection* self = &connection_;
      connection_.pause_timer_ =
          std::make_unique<uv::Timer>(self->worker_.loop(), [self] { self->wake(); });
    }
    connection_.pause_timer_->start_once(delay_);
  }
  void await_resume() const { connection_.pause_timer_.reset(); }

 private:
  Connection& connection_;
  std::chrono::milliseconds delay_;
};

// Resumes when CLIENT PAUSE has ended, by time or by a command, or when the connection is told to
// end.
class Connection::Held {
 public:
  explicit Held(Connection& connection) : connection_(connection) {}
  bool await_ready() const noexcept { return connection_.over() || left() <= 0ms; }
  void await_suspend(std::coroutine_handle<> waiter) {
    connection_.wait_for(Waiting::held, waiter);
    Connection* self = &connection_;
    connection_.pause_timer_ =
        std::make_unique<uv::Timer>(self->worker_.loop(), [self] { self->wake(); });
    connection_.pause_timer_->start_once(left());
  }
  void await_resume() const { connection_.pause_timer_.reset(); }

 private:
  std::chrono::milliseconds left() const {
    const ClientPause& pause = connection_.worker_.services().operations.pause;
    return std::chrono::milliseconds(pause.until() - wall_clock_ms());
  }

  Connection& connection_;
};

// Closes the socket; resumes when libuv has let go of it.
class Connection::Closed {
 public:
  explicit Closed(Connection& connection) : connection_(connection) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiter) {
    connection_.wait_for(Waiting::close, waiter);
    if (connection_.tls_ != nullptr) connection_.say_goodbye();
    uv_close(reinterpret_cast<uv_handle_t*>(&connection_.socket_),
             [](uv_handle_t* handle) { static_cast<Connection*>(handle->data)->wake(); });
  }
  void await_resume() const noexcept {}

 private:
  Connection& connection_;
};

// --- The life of a connection ----------------------------------------------------------------

Task<void> Connection::serve() {
  const bool started = start();
  while (started && !over()) {
    const Step step = answer_ready();
    stranger_ = !client_.authenticated;
    if (step == Step::ended) arrived_ = {};  // nothing more of it will be looked at
    if (step == Step::needs_pool) {
      BatchEntry entry{&client_, &worker_.metrics(), {}};
      Lane& lane = collect_for_pool() ? worker_.slow_lane() : worker_.lane();
      entry.requests = requests_;
      ColdReads::Done values(worker_.cold_reads(), entry);
      co_await values;  // from the disk, all at once; does not wait if they are in memory
      const bool only_reads =
          !entry.read_ahead.empty() && answer_reads(worker_.services(), entry) == Inline::answered;
      if (!only_reads) {
        Lane::Done done(lane, entry);
        co_await done;  // on the pool, in one job with all that the loop has gathered; then here
      }
      put_back_unexecuted(entry);
    }
    if (client_.output_overflowed) end("its reply exceeds client-output-buffer-limit");
    if (lost_) break;

    Parking::Reached reached(worker_.parking(), position_);
    const auto promised = co_await reached;           // parked; no thread waits
    if (promised == Parking::Outcome::failed) break;  // cannot promise: close without a reply

    if (const auto delay = penalty(); delay > 0ms) {
      Pause pause(*this, delay);
      co_await pause;
    }
    release();  // the replies leave at the end of this iteration
    if (client_.sync_wait) {
      Parking::Reached synced(worker_.parking(), worker_.services().engine.committed(),
                              client_.sync_wait->timeout);
      const auto outcome = co_await synced;
      answer_sync_wait(outcome);
      release();
    }
    if (step == Step::ended || client_.close_after_reply) break;

    Drained drained(*this, client_.authenticated ? limits::unsent_bytes_high : 0);
    co_await drained;  // a slow reader slows only itself

    if (step == Step::held) {
      Held held(*this);
      co_await held;
    }
    if (step == Step::starved) {
      if (end_of_stream_ && backlog_.empty()) break;
      Arrival arrival(*this);
      co_await arrival;
    }
  }
  finishing_ = true;
  if (started) {
    stop_reading();
    if (!ends_by_) ends_by_ = worker_.now() + farewell_time;
    Drained everything(*this, 0);
    co_await everything;
  }
  drop_watches(client_, worker_.services().watches);
  drop_subscriptions(client_, worker_.services().pubsub);
  stop_tracking(client_, worker_.services().operations.tracking);
  if (client_.shared->has(ClientShared::monitor_flag)) {
    worker_.services().operations.monitors.remove(*client_.mailbox);
  }
  worker_.forget_client(client_.shared->id);  // before the client can see that it is over
  Closed closed(*this);
  co_await closed;
  set_accounted(0);
}

Connection::Connection(Worker& worker, int fd, std::shared_ptr<ClientShared> shared,
                       std::shared_ptr<const tls::Context> tls)
    : worker_(worker),
      fd_(fd),
      last_active_(worker.now()),
      parser_(parser_limits(worker.services().settings)),
      client_(std::move(shared)),
      tls_(tls == nullptr ? nullptr : std::make_unique<Encryption>(std::move(tls), worker.now())) {
  if (tls_ != nullptr) tls_bytes_ = limits::tls_session_bytes;
  client_.account = worker.services().accounts.default_account();
  client_.authenticated = worker.services().accounts.default_is_open();
  stranger_ = !client_.authenticated;
  client_.mailbox = std::make_shared<Mailbox>(&worker.mailroom(), this, client_.shared);
  client_.shared->mailbox = client_.mailbox;
}

Connection::~Connection() {
  if (flush_listed_) worker_.forget_flush(*this);
  client_.mailbox->forget_owner();
}

void Connection::recycle(std::string& buffer) {
  if (buffer.capacity() > limits::kept_buffer_bytes) {
    std::string().swap(buffer);
  } else {
    buffer.clear();
  }
}

bool Connection::start() {
  uv_tcp_init(worker_.loop().raw(), &socket_);
  socket_.data = this;
  if (uv_tcp_open(&socket_, fd_) != 0) {
    ::close(fd_);
    return false;
  }
  uv_tcp_nodelay(&socket_, 1);
  const auto keepalive = worker_.services().config.tcp_keepalive;
  if (keepalive.count() > 0) {
    uv_tcp_keepalive(&socket_, 1, static_cast<unsigned>(keepalive.count()));
  }
  resume_reading();
  return true;
}

void Connection::finish() {
  finishing_ = true;
  ends_by_ = worker_.now() + farewell_time;  // also for one that waits for its client to read
  if (waiting_ == Waiting::input || waiting_ == Waiting::pause || waiting_ == Waiting::held) wake();
}

void Connection::end_pause() {
  if (waiting_ == Waiting::held) wake();
}

void Connection::finish_if_killed(std::uint64_t id) {
  if (client_.shared->id != id || !client_.shared->kill.load()) return;
  // What was published before the kill leaves before it, as far as the socket takes it at once.
  deliver_mail();
  send_ready();
  end("killed by CLIENT KILL");
}

void Connection::end(std::string_view reason) {
  if (lost_) return;
  log_debug("client {} {}: closed: {}", client_.shared->id, client_.shared->address, reason);
  lost_ = true;
  // While a batch or a sync is being waited for, serve() finds out when that is over.
  if (waiting_ != Waiting::nothing && waiting_ != Waiting::close) wake();
}

void Connection::wait_for(Waiting what, std::coroutine_handle<> waiter) {
  assert(waiting_ == Waiting::nothing);
  waiting_ = what;
  waiter_ = waiter;
}

void Connection::wake() {
  if (waiting_ == Waiting::nothing) return;
  waiting_ = Waiting::nothing;
  std::exchange(waiter_, nullptr).resume();
}

// --- Requests --------------------------------------------------------------------------------

Connection::Step Connection::answer_ready() {
  std::size_t foreseen = 0;  // requests whose keys have been asked for
  for (std::size_t answered = 0;; ++answered) {
    if (input_.empty() && arrived_.empty()) take_backlog();
    if (over() || client_.close_after_reply) return Step::ended;
    if (answered == limits::step_requests_max ||
        client_.output.size() >= (client_.authenticated ? limits::step_output_bytes
                                                        : limits::unauthenticated_output_bytes)) {
      make_stable();
      return Step::paused;
    }
    parser_.set_authenticated(client_.authenticated);
    const auto outcome = parser_.parse(unread());
    switch (outcome.status) {
      case resp::RequestParser::Status::incomplete:
        if (!backlog_.empty()) {
          take_backlog();
          continue;
        }
        if (!unread().empty() && !request_begun_) request_begun_ = worker_.now();
        make_stable();
        return within_limits() ? Step::starved : Step::ended;
      case resp::RequestParser::Status::empty:
        consume(outcome.consumed);
        continue;
      case resp::RequestParser::Status::error:
        resp::ReplyWriter(client_.output, client_.version).error(parser_.error());
        return Step::ended;
      case resp::RequestParser::Status::complete:
        break;
    }
    request_begun_.reset();
    Request request = resolve(parser_.args());
    if (refuse_http(request)) return Step::ended;
    if (worker_.services().operations.pause.any() &&
        is_held(worker_.services(), client_, request, wall_clock_ms())) {
      make_stable();
      return Step::held;
    }
    if (foreseen > 0) {
      --foreseen;
    } else if (unread().size() > outcome.consumed && request.command != nullptr &&
               request.command->has(reads)) {
      foreseen = worker_.key_prefetch().look_at(unread(), client_.database);
    }
    if (answer_inline(worker_.services(), worker_.metrics(), client_, request, position_) ==
        Inline::needs_pool) {
      make_stable();
      return Step::needs_pool;
    }
    consume(outcome.consumed);
    if (client_.auth_failures > penalized_failures_ || client_.sync_wait) {
      make_stable();
      return Step::paused;
    }
  }
}

Request Connection::resolve(Args words) const {
  return resolve_request(worker_.services(), *client_.shared, words);
}

// A browser that was made to talk to us would send these lines; answering the rest of what it sends
// could run commands in a visitor's name.
bool Connection::refuse_http(const Request& request) {
  if (!is_http(request)) return false;
  static RateLimit once_a_minute(60s);
  if (once_a_minute.admit()) {
    log_warning("client {} sent an HTTP request (possible cross protocol attack): closed",
                client_.shared->address);
  }
  lost_ = true;
  return true;
}

bool Connection::collect_for_pool() {
  requests_.clear();
  request_ends_.clear();
  words_.clear();
  unquoted_.clear();
  parser_consistent_ = true;
  std::size_t at = input_begin_;
  bool slow_lane = false;
  bool queueing = client_.in_transaction;
  while (requests_.size() < limits::step_requests_max) {
    const auto rest = std::string_view(input_).substr(at);
    if (rest.empty()) break;
    const auto outcome = parser_.parse(rest);
    if (outcome.status == resp::RequestParser::Status::incomplete) break;
    if (outcome.status == resp::RequestParser::Status::error) {
      parser_consistent_ = false;  // to be met again, after what came before it has been answered
      break;
    }
    if (outcome.status == resp::RequestParser::Status::empty) {
      at += outcome.consumed;
      if (!request_ends_.empty()) request_ends_.back() = at;
      continue;
    }
    Request request = resolve(parser_.args());
    const bool is_slow = request.command != nullptr && request.command->has(slow) && !queueing;
    if ((is_slow && !requests_.empty()) || is_http(request)) {
      parser_consistent_ = false;
      break;
    }
    slow_lane = is_slow;
    at += outcome.consumed;
    if (request.command != nullptr && request.command->has(transaction_family)) {
      queueing = request.command->name == "multi" || (queueing && request.command->name == "watch");
    }
    keep_words(request);
    request_ends_.push_back(at);
    requests_.push_back(std::move(request));
    if (slow_lane) break;
  }
  // The words are in place for good only now.
  const std::span<const std::string_view> words(words_);
  std::size_t first = 0;
  for (Request& request : requests_) {
    const std::size_t count = request.args.size();
    request.args = words.subspan(first, count);
    first += count;
  }
  assert(!requests_.empty());
  return slow_lane;
}

void Connection::keep_words(const Request& request) {
  const std::string_view input(input_);
  for (const std::string_view word : request.args) {
    const bool in_place = word.empty() || (!std::less<>()(word.data(), input.data()) &&
                                           std::less<>()(word.data(), input.data() + input.size()));
    words_.push_back(in_place ? word : std::string_view(unquoted_.emplace_back(word)));
  }
}

void Connection::put_back_unexecuted(const BatchEntry& entry) {
  position_ = std::max(position_, entry.position);
  if (entry.executed < requests_.size()) parser_consistent_ = false;
  if (!parser_consistent_) {
    // It has read ahead of where the next request begins.
    parser_ = resp::RequestParser(parser_limits(worker_.services().settings));
    parser_consistent_ = true;
  }
  if (entry.executed == 0) return;
  consume(request_ends_[entry.executed - 1] - input_begin_);
  request_begun_.reset();
}

std::chrono::milliseconds Connection::penalty() {
  // Guessing passwords costs time that grows with the guesses, on this connection only.
  const bool failed_again = client_.auth_failures > penalized_failures_;
  penalized_failures_ = client_.auth_failures;
  if (!failed_again) return 0ms;
  return std::min(std::chrono::milliseconds(50) * client_.auth_failures, 1000ms);
}

// WAITAOF: whether what was committed before is synced, and how many replicas have it.
void Connection::answer_sync_wait(Parking::Outcome outcome) {
  const bool wanted = client_.sync_wait->answered;
  client_.sync_wait.reset();
  if (!wanted) return;
  resp::ReplyWriter reply(client_.output, client_.version);
  if (outcome == Parking::Outcome::failed) return reply.error(texts::sync_failed);
  reply.array(2);
  reply.integer(outcome == Parking::Outcome::synced ? 1 : 0);
  reply.integer(0);
}

// --- Input -----------------------------------------------------------------------------------

std::string_view Connection::unread() const {
  return arrived_.empty() ? std::string_view(input_).substr(input_begin_) : arrived_;
}

void Connection::make_stable() {
  if (arrived_.empty()) return;
  assert(input_.empty());
  input_.assign(arrived_);
  arrived_ = {};
}

void Connection::consume(std::size_t bytes) {
  if (!arrived_.empty()) {
    arrived_.remove_prefix(bytes);
    return;
  }
  input_begin_ += bytes;
  if (input_begin_ < input_.size()) return;
  recycle(input_);
  input_begin_ = 0;
}

void Connection::append_input(std::string_view bytes) {
  if (input_begin_ > 0) {
    input_.erase(0, input_begin_);
    input_begin_ = 0;
  }
  // Grows with what arrives, at most twofold, but not beyond what a long value announced; once much
  // of that has come it gets its room at once, which is no memory yet, rather than be copied again.
  const std::size_t size = input_.size() + bytes.size();
  if (size > input_.capacity()) {
    const std::size_t announced = std::max(parser_.bytes_needed(), size);
    const bool much = size >= limits::announced_input_trusted_bytes;
    input_.reserve(much ? announced : std::min(announced, 2 * size));
  }
  input_.append(bytes);
}

void Connection::take_backlog() {
  if (backlog_.empty()) return;
  assert(arrived_.empty());
  if (input_.empty()) {
    input_.swap(backlog_);
  } else {
    append_input(backlog_);
    recycle(backlog_);
  }
}

void Connection::resume_reading() {
  if (reading_ || end_of_stream_) return;
  reading_ = true;
  uv_read_start(
      reinterpret_cast<uv_stream_t*>(&socket_),
      [](uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
        // Reads are synchronous, so one buffer serves the whole loop.
        auto* const self = static_cast<Connection*>(handle->data);
        const std::span<char> shared = self->worker_.read_buffer();
        const std::size_t size =
            self->stranger_ ? limits::unauthenticated_read_bytes : shared.size();
        *buffer = uv_buf_init(shared.data(), static_cast<unsigned>(size));
      },
      [](uv_stream_t* stream, ssize_t size, const uv_buf_t* buffer) {
        if (size == 0) return;
        auto* const self = static_cast<Connection*>(stream->data);
        if (self->tls_ != nullptr && size > 0) {
          self->on_encrypted(std::string_view(buffer->base, static_cast<std::size_t>(size)));
        } else {
          self->on_read(size, buffer->base);
        }
      });
}

void Connection::stop_reading() {
  if (!reading_) return;
  reading_ = false;
  uv_read_stop(reinterpret_cast<uv_stream_t*>(&socket_));
}

void Connection::on_read(ssize_t size, const char* data) {
  if (size < 0) {
    stop_reading();
    end_of_stream_ = true;
    // A reset peer reads no replies; one that only closed its sending side may still do so.
    if (size != UV_EOF) return end("connection reset by peer");
    if (waiting_ == Waiting::input) wake();
    return;
  }
  const std::string_view bytes(data, static_cast<std::size_t>(size));
  last_active_ = worker_.now();
  worker_.metrics().net_input_bytes.fetch_add(bytes.size(), std::memory_order_relaxed);
  WorkerMetrics::count_one(worker_.metrics().net_reads);
  if (waiting_ != Waiting::input) {
    backlog_.append(bytes);
    if (backlog_.size() >= limits::backlog_bytes_max || stranger_) stop_reading();
    return;
  }
  if (input_.empty()) {
    arrived_ = bytes;
  } else {
    append_input(bytes);
  }
  wake();  // serve() goes on, and has copied what it needs of `bytes` when it waits again
  assert(arrived_.empty());
}

bool Connection::within_limits() {
  const Settings& settings = worker_.services().settings;
  const std::size_t held = input_.size() - input_begin_ + parser_.memory_bytes();
  account_client();
  account();
  if (held > settings.client_query_buffer_limit.load(std::memory_order_relaxed)) {
    log_warning("client {}: closed: its request exceeds client-query-buffer-limit",
                client_.shared->address);
  } else if (!client_.authenticated && held > limits::unauthenticated_input_bytes_max) {
    static RateLimit once_a_second(1s);
    if (once_a_second.admit()) {
      log_warning("client {}: closed: too much input before AUTH", client_.shared->address);
    }
  } else {
    return within_memory();
  }
  worker_.metrics().query_limit_closed.fetch_add(1, std::memory_order_relaxed);
  lost_ = true;
  return false;
}

// The share of maxmemory-clients: who holds more than a little when all together hold too much
// goes.
bool Connection::within_memory() {
  const Services& services = worker_.services();
  if (accounted_bytes_ <= limits::client_bytes_free ||
      services.metrics.client_buffer_bytes.load(std::memory_order_relaxed) <=
          services.settings.maxmemory_clients.load(std::memory_order_relaxed)) {
    return true;
  }
  static RateLimit once_a_second(1s);
  if (once_a_second.admit()) {
    log_warning("client {}: closed: all clients together exceed maxmemory-clients",
                client_.shared->address);
  }
  worker_.metrics().query_limit_closed.fetch_add(1, std::memory_order_relaxed);
  end("client memory limit");
  return false;
}

// --- Output ----------------------------------------------------------------------------------

void Connection::release() {
  if (!client_.output.empty()) {
    if (ready_.empty()) {
      ready_.swap(client_.output);
    } else {
      ready_.append(client_.output);
      recycle(client_.output);
    }
    list_for_flush();
  }
  if (client_.mailbox->has_mail()) take_mail();
  account_client();
  account();
  if (!within_memory()) return;
  check_output_limit();
}

// Messages are whole replies: between two of the client's own they are in nobody's way.
void Connection::deliver_mail() {
  if (waiting_ != Waiting::input && waiting_ != Waiting::drain && waiting_ != Waiting::held) {
    return;  // release() will
  }
  if (finishing_ || lost_) return;
  take_mail();
  account();
  if (within_memory()) check_output_limit();
}

void Connection::take_mail() {
  const std::size_t before = ready_.size();
  if (!client_.mailbox->take(ready_)) {
    worker_.metrics().output_limit_closed.fetch_add(1, std::memory_order_relaxed);
    log_warning("client {}: closed: unread messages exceed client-output-buffer-limit",
                client_.shared->address);
    return end("output limit");
  }
  if (ready_.size() == before) return;
  last_active_ = worker_.now();
  list_for_flush();
}

void Connection::check_output_limit() {
  const auto hard = worker_.services().settings.client_output_buffer_hard.load();
  if (hard != 0 && unsent() > hard) {
    worker_.metrics().output_limit_closed.fetch_add(1, std::memory_order_relaxed);
    log_warning("client {}: closed: unread replies exceed client-output-buffer-limit",
                client_.shared->address);
    end("output limit");
  }
}

void Connection::list_for_flush() {
  if (flush_listed_) return;
  flush_listed_ = true;
  worker_.flush_later(*this);
}

void Connection::flush() {
  flush_listed_ = false;
  send_ready();
}

void Connection::send_ready() {
  if (write_queued_ || lost_) return;
  if (tls_ != nullptr) return flush_encrypted();
  if (ready_.empty()) return;
  auto* stream = reinterpret_cast<uv_stream_t*>(&socket_);
  const uv_buf_t buffer{.base = ready_.data(), .len = ready_.size()};
  const int tried = uv_try_write(stream, &buffer, 1);
  if (tried < 0 && tried != UV_EAGAIN) return end(uv_strerror(tried));
  const std::size_t written = tried < 0 ? 0 : static_cast<std::size_t>(tried);
  worker_.metrics().net_output_bytes.fetch_add(written, std::memory_order_relaxed);
  if (written != 0) WorkerMetrics::count_one(worker_.metrics().net_writes);
  if (written == ready_.size()) {
    recycle(ready_);
  } else {
    queue_write(written);
  }
  account();
  wake_if_drained();
}

void Connection::queue_write(std::size_t written) {
  sending_.swap(ready_);
  sent_ = written;
  write_queued_ = true;
  write_.data = this;
  const uv_buf_t rest{.base = sending_.data() + sent_, .len = sending_.size() - sent_};
  const int refused = uv_write(&write_, reinterpret_cast<uv_stream_t*>(&socket_), &rest, 1,
                               [](uv_write_t* request, int status) {
                                 static_cast<Connection*>(request->data)->on_written(status);
                               });
  if (refused != 0) {
    write_queued_ = false;
    end(uv_strerror(refused));
  }
}

void Connection::on_written(int status) {
  write_queued_ = false;
  if (status == 0) {
    worker_.metrics().net_output_bytes.fetch_add(sending_.size() - sent_,
                                                 std::memory_order_relaxed);
    WorkerMetrics::count_one(worker_.metrics().net_writes);
    last_active_ = worker_.now();
  }
  recycle(sending_);
  sent_ = 0;
  if (waiting_ == Waiting::close) return;  // cancelled by Closed
  if (status != 0) return end(uv_strerror(status));
  account();
  if (!ready_.empty()) list_for_flush();
  wake_if_drained();
}

void Connection::wake_if_drained() {
  if (waiting_ == Waiting::drain && unsent() <= drained_mark_) wake();
}

// --- Housekeeping ------------------------------------------------------------------------------

void Connection::check_timeouts(Clock::time_point now) {
  if (lost_) return;
  const auto idle = std::chrono::duration_cast<std::chrono::milliseconds>(now - last_active_);
  client_.shared->last_active_ms.store(wall_clock_ms() - idle.count(), std::memory_order_relaxed);
  const Settings& settings = worker_.services().settings;
  const auto closed_by_timeout = [&](std::string_view reason) {
    worker_.metrics().timeouts_closed.fetch_add(1, std::memory_order_relaxed);
    end(reason);
  };
  if (finishing_) {
    if (ends_by_ && now >= *ends_by_) closed_by_timeout("did not read its last replies");
    return;
  }
  if (tls_ != nullptr && handshake_overdue(now)) return closed_by_timeout("TLS handshake too slow");
  if (unsent() > 0 && !within_memory()) return;
  if (waiting_ == Waiting::input) {
    const std::chrono::seconds idle_max(client_.subscriptions.any() ||
                                                client_.shared->has(ClientShared::monitor_flag)
                                            ? 0
                                            : settings.timeout_seconds.load());  // it only listens
    if (idle_max.count() != 0 && now - last_active_ >= idle_max) return closed_by_timeout("idle");
    const std::chrono::seconds request_max(settings.request_timeout_seconds.load());
    if (request_max.count() != 0 && request_begun_ && now - *request_begun_ >= request_max) {
      // A long value over a slow line is not an attack: what counts is the rate.
      const auto age = std::chrono::duration_cast<std::chrono::seconds>(now - *request_begun_);
      const std::size_t owed =
          static_cast<std::size_t>(age.count()) * limits::request_bytes_per_second_min;
      if (input_.size() - input_begin_ < owed) return closed_by_timeout("request too slow");
    }
  }
  const auto soft = settings.client_output_buffer_soft.load();
  if (soft == 0 || unsent() <= soft) {
    unread_since_.reset();
    return;
  }
  if (!unread_since_) unread_since_ = now;
  if (now - *unread_since_ >=
      std::chrono::seconds(settings.client_output_buffer_soft_seconds.load())) {
    worker_.metrics().output_limit_closed.fetch_add(1, std::memory_order_relaxed);
    log_warning("client {}: closed: did not read its replies", client_.shared->address);
    end("soft output limit");
  }
}

// What the pool may be changing is counted only when it is here.
void Connection::account_client() {
  client_bytes_ =
      client_.output.capacity() + client_.transaction_bytes + client_.subscriptions.bytes;
}

void Connection::account() {
  set_accounted(input_.capacity() + backlog_.capacity() + parser_.memory_bytes() +
                ready_.capacity() + sending_.capacity() + tls_bytes_ + client_bytes_);
  client_.shared->input_bytes.store(input_.size() - input_begin_, std::memory_order_relaxed);
  client_.shared->output_bytes.store(unsent(), std::memory_order_relaxed);
}

void Connection::set_accounted(std::size_t bytes) {
  if (bytes == accounted_bytes_) return;
  // Unsigned wrap-around makes this a subtraction when the buffers have shrunk.
  worker_.services().metrics.client_buffer_bytes.fetch_add(bytes - accounted_bytes_,
                                                           std::memory_order_relaxed);
  accounted_bytes_ = bytes;
}

}  // namespace kvs::daemon
