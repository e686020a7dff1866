#include "protocol/client/connection.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "protocol/client/limits.h"

namespace kvs::client {

// --- The awaitables -------------------------------------------------------------------------

Connection::Opened::~Opened() {
  if (connection_.opening_ == this) connection_.opening_ = nullptr;
}

void Connection::Opened::await_suspend(std::coroutine_handle<> waiter) noexcept {
  assert(!connection_.opening_);
  waiter_ = waiter;
  connection_.opening_ = this;
}

Connection::Operation::~Operation() {
  if (in_flight_) connection_->abandon(*this);
}

bool Connection::Operation::await_suspend(std::coroutine_handle<> waiter) {
  assert(!in_flight_);
  assert(!result_);
  waiter_ = waiter;
  const std::string request = std::exchange(request_, {});
  return connection_->submit(*this, request);
}

// --- Opening and closing --------------------------------------------------------------------

std::shared_ptr<Connection> Connection::open(uv::Loop& loop, const SocketAddress& address,
                                             ConnectOptions options) {
  assert(loop.on_this_thread());
  auto connection = std::make_shared<Connection>(loop, address, options);
  connection->start(address);
  return connection;
}

Connection::Connection(uv::Loop& loop, const SocketAddress& address, ConnectOptions options)
    : loop_(loop),
      peer_(to_string(address)),
      options_(options),
      transport_(std::in_place, loop, static_cast<Transport::Events&>(*this)),
      timer_(loop, [this] { on_timer(); }) {}

Connection::~Connection() {
  assert(loop_.on_this_thread());
  assert(slots_.empty() || state_ == State::closed);
}

void Connection::start(const SocketAddress& address) {
  if (Result<void> begun = transport_->connect(address); !begun) return connected(begun);
  if (options_.connect_timeout.count() > 0) timer_.start_once(options_.connect_timeout);
}

void Connection::connected(Result<void> outcome) {
  timer_.stop();
  if (outcome) {
    state_ = State::open;
    return settle_connect({});
  }
  shut(Code::unreachable, outcome.error().message());
}

void Connection::settle_connect(Result<void> outcome) {
  connect_outcome_ = std::move(outcome);
  if (Opened* const opening = std::exchange(opening_, nullptr)) opening->waiter_.resume();
}

void Connection::close() {
  assert(loop_.on_this_thread());
  if (state_ == State::closed) return;
  state_ = State::closed;
  closed_code_ = Code::cancelled;
  closed_reason_ = "the client was closed";
  sent_bytes_ = transport_->bytes_written() - transport_->bytes_kept();
  transport_.reset();
  timer_.stop();
  const bool awaited = std::any_of(slots_.begin(), slots_.end(),
                                   [](const Slot& slot) { return slot.operation != nullptr; });
  if (!awaited) return slots_.clear();
  // Not from here: the caller is in the middle of destroying its Client.
  loop_.post([self = shared_from_this()] { self->fail_operations(); });
}

// The connection ends by itself, for `reason`: whoever waits is resumed with an error.
void Connection::shut(Code code, std::string reason) {
  if (state_ == State::closed) return;
  const auto self = shared_from_this();  // the last waiter may drop the last reference
  const bool was_connecting = state_ == State::connecting;
  state_ = State::closed;
  closed_code_ = code;
  closed_reason_ = std::move(reason);
  sent_bytes_ = transport_->bytes_written() - transport_->bytes_kept();
  transport_.reset();
  timer_.stop();
  if (was_connecting) {
    return settle_connect(
        fail(Code::unreachable, "cannot connect to " + peer_ + ": " + closed_reason_));
  }
  fail_operations();
}

void Connection::fail_operations() {
  while (!slots_.empty()) {
    const Slot slot = slots_.front();
    slots_.pop_front();
    ++first_slot_;
    const std::string what = "connection to " + peer_ + " ended: " + closed_reason_;
    if (slot.first_byte < sent_bytes_) {
      resume(slot, fail(closed_code_, what + " (the command may have been executed)"));
    } else {
      resume(slot, fail(Code::unreachable, what + " (the command was not sent)"));
    }
  }
}

// --- Commands and replies -------------------------------------------------------------------

bool Connection::submit(Operation& operation, std::string_view request) {
  assert(loop_.on_this_thread());
  assert(state_ != State::connecting);
  const auto refuse = [&operation](Code code, std::string message) {
    operation.result_ = fail(code, std::move(message));
    return false;
  };
  if (state_ == State::closed) {
    return refuse(Code::unreachable, "connection to " + peer_ + " ended: " + closed_reason_ +
                                         " (the command was not sent)");
  }
  if (request.size() > limits::output_bytes_max) {
    return refuse(Code::too_large, "the command is too large");
  }
  if (slots_.size() >= limits::operations_in_flight_max ||
      transport_->bytes_kept() + request.size() > limits::output_bytes_max) {
    return refuse(Code::busy, "too many commands wait for " + peer_);
  }
  operation.in_flight_ = true;
  operation.slot_ = first_slot_ + slots_.size();
  slots_.push_back(
      {&operation, Clock::now() + options_.operation_timeout, transport_->bytes_written()});
  transport_->write(request);
  if (!timer_armed_) arm_timer();
  return true;
}

void Connection::abandon(const Operation& operation) {
  assert(loop_.on_this_thread());
  assert(operation.slot_ >= first_slot_);
  assert(operation.slot_ - first_slot_ < slots_.size());
  slots_[operation.slot_ - first_slot_].operation = nullptr;
}

void Connection::resume(Slot slot, Result<Reply> result) {
  if (!slot.operation) return;
  slot.operation->in_flight_ = false;
  slot.operation->result_ = std::move(result);
  slot.operation->waiter_.resume();
}

void Connection::received(std::string_view bytes) {
  const auto self = shared_from_this();  // a resumed waiter may drop the last other reference
  reader_.feed(bytes);
  while (state_ == State::open) {
    Result<std::optional<Reply>> reply = reader_.next();
    if (!reply)
      return shut(Code::protocol, "the server sent what is not RESP: " + reply.error().message());
    if (!*reply) return;
    answer(std::move(**reply));
  }
}

void Connection::answer(Reply reply) {
  if (slots_.empty()) {
    // A server that refuses a client says so before it is asked, and closes.
    const bool refusal = reply.kind == Reply::Kind::error;
    return shut(Code::protocol, refusal ? "the server said " + reply.text
                                        : "the server sent a reply to no command");
  }
  const Slot slot = slots_.front();
  slots_.pop_front();
  ++first_slot_;
  if (reply.kind == Reply::Kind::error) return resume(slot, fail(Code::server, reply.text));
  resume(slot, std::move(reply));
}

void Connection::ended(std::string reason) {
  shut(Code::connection_lost, std::move(reason));
}

// --- Deadlines ------------------------------------------------------------------------------
//
// All operations have the same time-out, so their deadlines are in the queue's order. The timer is
// armed for one that was the oldest when it was armed, and looks for the next one only when it
// fires.

void Connection::arm_timer() {
  timer_armed_ = false;
  if (options_.operation_timeout.count() <= 0) return;
  const auto oldest = std::find_if(slots_.begin(), slots_.end(),
                                   [](const Slot& slot) { return slot.operation != nullptr; });
  if (oldest == slots_.end()) return;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(oldest->deadline - Clock::now());
  timer_.start_once(std::max(left, std::chrono::milliseconds(0)));
  timer_armed_ = true;
}

void Connection::on_timer() {
  const auto self = shared_from_this();  // as in received()
  if (state_ == State::connecting) {
    return shut(Code::unreachable,
                "no answer within " + std::to_string(options_.connect_timeout.count()) + " ms");
  }
  expire_operations();
  if (state_ == State::open) arm_timer();
}

void Connection::expire_operations() {
  const Clock::time_point now = Clock::now();
  const std::string message = peer_ + " did not answer within " +
                              std::to_string(options_.operation_timeout.count()) +
                              " ms (the command may have been executed)";
  // Numbers, not iterators: whoever is resumed may send more.
  const std::uint64_t end = first_slot_ + slots_.size();
  for (std::uint64_t number = first_slot_; number < end && state_ == State::open; ++number) {
    Slot& slot = slots_[number - first_slot_];
    if (slot.deadline > now) return;
    const Slot expired = slot;
    slot.operation = nullptr;
    resume(expired, fail(Code::timeout, message));
  }
}

}  // namespace kvs::client
