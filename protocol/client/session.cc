#include "protocol/client/session.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "protocol/client/limits.h"

namespace kvs::client {

// --- Opening and closing --------------------------------------------------------------------

Session::Opening::~Opening() {
  if (session_ && session_->opening_ == this) session_->opening_ = nullptr;
}

bool Session::Opening::start(Completion& done) {
  if (session_->first_outcome_) return true;
  assert(!session_->opening_);
  done_ = &done;
  session_->opening_ = this;
  return false;
}

std::shared_ptr<Session> Session::open(uv::Loop& loop, const SocketAddress& address,
                                       ConnectOptions options) {
  assert(loop.on_this_thread());
  auto session = std::make_shared<Session>(loop, address, std::move(options));
  session->link_.start();
  return session;
}

Session::Session(uv::Loop& loop, const SocketAddress& address, ConnectOptions options)
    : link_(loop, address, std::move(options), *this, Connection::Mode::commands),
      timer_(std::make_unique<uv::Timer>(loop, [this] { expire_waiting(); })) {}

Session::~Session() {
  // Not empty when the loop has ended before it could tell them: they are never answered.
  for (std::size_t index = 0; index < waiting_.size(); ++index) {
    if (waiting_[index].exchange) waiting_[index].exchange->session_ = nullptr;
  }
}

void Session::close() {
  if (!timer_) return;
  assert(link_.loop().on_this_thread());
  closed_ = true;
  timer_.reset();
  last_error_.emplace(Code::unreachable, "the client was closed");
  link_.close();
  // Not from here: the caller is in the middle of destroying its Client.
  if (!waiting_.empty()) {
    link_.loop().post([self = shared_from_this()] { self->fail_waiting(); });
  }
}

void Session::settle_opening(Result<void> outcome) {
  if (first_outcome_) return;
  first_outcome_ = std::move(outcome);
  if (Opening* const opening = std::exchange(opening_, nullptr)) opening->done_->complete();
}

std::size_t Session::in_flight() const noexcept {
  const Connection* const connection = link_.connection();
  return waiting_.size() + (connection ? connection->in_flight() : 0);
}

// --- Commands -------------------------------------------------------------------------------

Result<void> Session::refuse(Code code, std::string why) const {
  return fail(code, std::move(why) + " (the command was not sent)");
}

Result<void> Session::submit(Exchange& exchange) {
  assert(link_.loop().on_this_thread());
  assert(!exchange.started());
  const Clock::time_point now = Clock::now();
  if (Connection* const connection = link_.connection()) {
    return connection->submit(exchange, now + link_.options().operation_timeout);
  }
  if (closed_ || (link_.options().wait_while_down.count() <= 0)) {
    return refuse(Code::unreachable, last_error_ ? last_error_->message() : "not connected yet");
  }
  return wait(exchange, now);
}

Result<void> Session::wait(Exchange& exchange, Clock::time_point now) {
  std::string request;
  exchange.encode(request);
  if (waiting_.size() >= limits::operations_waiting_max ||
      waiting_bytes_ + request.size() > limits::waiting_bytes_max) {
    return refuse(Code::busy, "too many commands wait for a connection");
  }
  const ConnectOptions& options = link_.options();
  const std::chrono::milliseconds patience =
      options.operation_timeout.count() > 0
          ? std::min(options.wait_while_down, options.operation_timeout)
          : options.wait_while_down;
  exchange.session_ = this;
  exchange.first_slot_ = first_waiting_ + waiting_.size();
  exchange.answered_ = 0;
  waiting_bytes_ += request.size();
  waiting_.push_back(
      {&exchange, std::move(request), now + options.operation_timeout, now + patience});
  if (!timer_armed_) arm_timer();
  return {};
}

void Session::abandon(const Exchange& exchange) {
  assert(closed_ || link_.loop().on_this_thread());
  assert(exchange.first_slot_ >= first_waiting_);
  // Never sent then: the connection does not get what nobody wants any more.
  waiting_[exchange.first_slot_ - first_waiting_].exchange = nullptr;
}

Session::Waiting Session::pop_waiting() {
  Waiting waiting = waiting_.pop_front();
  ++first_waiting_;
  waiting_bytes_ -= waiting.request.size();
  if (waiting.exchange) waiting.exchange->session_ = nullptr;
  return waiting;
}

// Not sent: every reply that is due is `outcome`'s error.
void Session::give(const Waiting& waiting, Result<void> outcome) {
  Exchange* const exchange = waiting.exchange;
  const std::size_t replies = exchange->replies();
  for (std::size_t index = 0; index < replies; ++index) {
    exchange->answered(std::unexpected(outcome.error()));  // the last may destroy it
  }
}

void Session::fail_waiting() {
  const auto self = shared_from_this();
  while (!waiting_.empty()) {
    const Waiting waiting = pop_waiting();
    if (waiting.exchange) give(waiting, refuse(Code::unreachable, last_error_->message()));
  }
}

void Session::expire_waiting() {
  const auto self = shared_from_this();
  const Clock::time_point now = Clock::now();
  const std::uint64_t end = first_waiting_ + waiting_.size();  // those who are told may send more
  while (first_waiting_ < end && waiting_.front().wait_until <= now) {
    const Waiting waiting = pop_waiting();
    if (!waiting.exchange) continue;
    const std::string why = last_error_ ? last_error_->message() : "not connected yet";
    give(waiting, refuse(Code::unreachable, "no connection in time: " + why));
  }
  if (!closed_) arm_timer();
}

void Session::arm_timer() {
  timer_armed_ = !waiting_.empty();
  if (!timer_armed_) return;
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(waiting_.front().wait_until - Clock::now());
  timer_->start_once(std::max(left, std::chrono::milliseconds(0)));
}

// --- The connection -------------------------------------------------------------------------

void Session::link_up() {
  const auto self = shared_from_this();
  last_error_.reset();
  // First, so that their deadlines stay in the order of the connection's queue.
  while (!waiting_.empty() && link_.connection()) {
    const Waiting waiting = pop_waiting();
    if (!waiting.exchange) continue;
    Result<void> sent =
        link_.connection()->submit(*waiting.exchange, waiting.deadline, waiting.request);
    if (!sent) give(waiting, std::move(sent));
  }
  settle_opening({});
}

void Session::link_down(const Error& why, Link::Next next) {
  const auto self = shared_from_this();
  last_error_ = why;
  if (next == Link::Next::stays_down) {
    closed_ = true;
    fail_waiting();
  }
  settle_opening(std::unexpected(why));
}

void Session::link_pushed(Reply /*none in Mode::commands*/) {
  assert(false);
}

}  // namespace kvs::client
