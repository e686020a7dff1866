#include "protocol/client/connection.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "protocol/client/limits.h"
#include "protocol/client/request.h"
#include "protocol/client/session.h"

namespace kvs::client {

void Exchange::withdraw() {
  if (connection_) std::exchange(connection_, nullptr)->abandon(*this);
  if (session_) std::exchange(session_, nullptr)->abandon(*this);
}

// --- Opening and closing --------------------------------------------------------------------

std::shared_ptr<Connection> Connection::open(uv::Loop& loop, const SocketAddress& address,
                                             const ConnectOptions& options,
                                             std::shared_ptr<const TlsContext> tls, Owner& owner,
                                             Mode mode) {
  assert(loop.on_this_thread());
  auto connection =
      std::make_shared<Connection>(loop, address, options, std::move(tls), owner, mode);
  connection->start(address);
  return connection;
}

Connection::Connection(uv::Loop& loop, const SocketAddress& address, const ConnectOptions& options,
                       std::shared_ptr<const TlsContext> tls, Owner& owner, Mode mode)
    : loop_(loop),
      peer_(to_string(address)),
      options_(options),
      mode_(mode),
      owner_(&owner),
      transport_(std::in_place, loop, static_cast<Transport::Events&>(*this), std::move(tls)),
      timer_(std::in_place, loop, [this] { on_timer(); }) {}

Connection::~Connection() {
  // Not empty when the loop has ended before it could tell them: they are never answered.
  for (std::size_t index = 0; index < slots_.size(); ++index) {
    if (slots_[index].exchange) slots_[index].exchange->connection_ = nullptr;
  }
}

void Connection::start(const SocketAddress& address) {
  if (Result<void> begun = transport_->connect(address); !begun) {
    // Not from here: the owner does not have this connection yet.
    loop_.post([self = shared_from_this(), begun] {
      if (self->state_ == State::connecting) self->connected(begun);
    });
    return;
  }
  if (options_.connect_timeout.count() > 0) timer_->start_once(options_.connect_timeout);
}

void Connection::connected(Result<void> outcome) {
  const auto self = shared_from_this();
  if (!outcome) return shut(Code::unreachable, outcome.error().message());
  greet();
}

void Connection::greet() {
  state_ = State::greeting;
  std::string& output = transport_->output();
  const auto say = [&](std::string what, std::initializer_list<std::string_view> words) {
    append_request(output, words);
    greeting_.push_back(std::move(what));
  };
  if (!options_.user.empty()) {
    say("AUTH", {"AUTH", options_.user, options_.password});
  } else if (!options_.password.empty()) {
    say("AUTH", {"AUTH", options_.password});
  }
  if (options_.database != 0) {
    say("SELECT", {"SELECT", NumberWord(options_.database).view()});
  }
  if (!options_.name.empty()) say("CLIENT SETNAME", {"CLIENT", "SETNAME", options_.name});
  if (!greeting_.empty()) return transport_->send_soon();
  timer_->stop();
  state_ = State::open;
  owner_->opened();
}

void Connection::greeting_answered(const Reply& reply) {
  const std::string& what = greeting_[greeting_answered_];
  if (reply.kind == Reply::Kind::error) {
    return shut(Code::server, "the server answered " + what + " with: " + reply.text);
  }
  if (reply.kind != Reply::Kind::status) {
    return shut(Code::protocol, "the server answered " + what + " with another kind of reply");
  }
  if (++greeting_answered_ < greeting_.size()) return;
  timer_->stop();
  state_ = State::open;
  owner_->opened();
}

void Connection::end_with(Code code, std::string reason) {
  state_ = State::closed;
  closed_code_ = code;
  closed_reason_ = std::move(reason);
  sent_bytes_ = transport_->bytes_written() - transport_->bytes_kept();
  transport_.reset();
  timer_.reset();
}

void Connection::close() {
  assert(loop_.on_this_thread());
  owner_ = nullptr;
  if (state_ == State::closed) return;
  end_with(Code::cancelled, "the client was closed");
  bool awaited = false;
  for (std::size_t index = 0; index < slots_.size() && !awaited; ++index) {
    awaited = slots_[index].exchange != nullptr;
  }
  // Not from here: the caller is in the middle of destroying its Client.
  if (awaited) loop_.post([self = shared_from_this()] { self->fail_operations(); });
}

// The connection ends by itself, for `reason`: the owner is told, and whoever waits.
void Connection::shut(Code code, std::string reason) {
  if (state_ == State::closed) return;
  const auto self = shared_from_this();  // the last waiter may drop the last reference
  const bool was_open = state_ == State::open;
  end_with(code, std::move(reason));
  Owner* const owner = std::exchange(owner_, nullptr);
  if (was_open) {
    owner->lost(Error(code, "connection to " + peer_ + " ended: " + closed_reason_));
  } else {
    // What the server says to a greeting is its answer; all else means that it is not there.
    const Code connect_code = code == Code::server ? code : Code::unreachable;
    owner->lost(Error(connect_code, "cannot connect to " + peer_ + ": " + closed_reason_));
  }
  fail_operations();
}

void Connection::fail_operations() {
  while (!slots_.empty()) {
    const Slot slot = slots_.pop_front();
    ++first_slot_;
    if (!slot.exchange) continue;
    const std::string what = "connection to " + peer_ + " ended: " + closed_reason_;
    if (slot.first_byte < sent_bytes_) {
      give(slot.exchange, fail(closed_code_, what + " (the command may have been executed)"));
    } else {
      give(slot.exchange, fail(Code::unreachable, what + " (the command was not sent)"));
    }
  }
}

// --- Commands and replies -------------------------------------------------------------------

Result<void> Connection::submit(Exchange& exchange, Clock::time_point deadline,
                                std::string_view request) {
  assert(loop_.on_this_thread());
  assert(state_ == State::open);
  assert(mode_ == Mode::commands);
  assert(!exchange.started());
  const std::size_t replies = exchange.replies();
  if (slots_.size() + replies > limits::operations_in_flight_max) {
    return fail(Code::busy, "too many commands wait for " + peer_);
  }
  std::string& output = transport_->output();
  const std::size_t begin = output.size();
  const std::uint64_t first_byte = transport_->bytes_written();
  if (request.empty()) {
    exchange.encode(output);
  } else {
    output.append(request);
  }
  const std::size_t bytes = output.size() - begin;
  if (transport_->bytes_kept() > limits::output_bytes_max) {
    output.resize(begin);
    if (bytes > limits::output_bytes_max) return fail(Code::too_large, "the command is too large");
    return fail(Code::busy, "too many commands wait for " + peer_);
  }
  exchange.connection_ = this;
  exchange.first_slot_ = first_slot_ + slots_.size();
  exchange.answered_ = 0;
  for (std::size_t index = 0; index < replies; ++index) {
    slots_.push_back({&exchange, deadline, first_byte + exchange.offset(index)});
  }
  transport_->send_soon();
  if (!timer_armed_) arm_timer();
  return {};
}

void Connection::abandon(const Exchange& exchange) {
  assert(state_ == State::closed || loop_.on_this_thread());
  const std::size_t replies = exchange.replies();
  for (std::size_t index = exchange.answered_; index < replies; ++index) {
    const std::uint64_t number = exchange.first_slot_ + index;
    assert(number >= first_slot_);
    assert(number - first_slot_ < slots_.size());
    slots_[number - first_slot_].exchange = nullptr;
  }
}

void Connection::give(Exchange* exchange, Result<Reply> result) {
  if (!exchange) return;
  if (++exchange->answered_ == exchange->replies()) exchange->connection_ = nullptr;
  exchange->answered(std::move(result));
}

void Connection::received(std::string_view bytes) {
  const auto self = shared_from_this();  // a resumed waiter may drop the last other reference
  reader_.feed(bytes);
  while (state_ == State::open || state_ == State::greeting) {
    Result<std::optional<Reply>> reply = reader_.next();
    if (!reply) {
      return shut(Code::protocol, "the server sent what is not RESP: " + reply.error().message());
    }
    if (!*reply) return;
    if (state_ == State::greeting) {
      greeting_answered(**reply);
    } else if (mode_ == Mode::pushes) {
      owner_->pushed(std::move(**reply));
    } else {
      answer(std::move(**reply));
    }
  }
}

void Connection::answer(Reply reply) {
  if (slots_.empty()) {
    // A server that refuses a client says so before it is asked, and closes.
    const bool refusal = reply.kind == Reply::Kind::error;
    return shut(Code::protocol, refusal ? "the server said " + reply.text
                                        : "the server sent a reply to no command");
  }
  const Slot slot = slots_.pop_front();
  ++first_slot_;
  if (reply.kind == Reply::Kind::error) {
    return give(slot.exchange, fail(Code::server, std::move(reply.text)));
  }
  give(slot.exchange, std::move(reply));
}

void Connection::ended(std::string reason) {
  shut(Code::connection_lost, std::move(reason));
}

void Connection::set_reading(Transport::Reading reading) {
  if (transport_) transport_->set_reading(reading);
}

// --- Deadlines ------------------------------------------------------------------------------
//
// All operations have the same time-out, so their deadlines are in the queue's order. The timer is
// armed for one that was the oldest when it was armed, and looks for the next one only when it
// fires.

void Connection::arm_timer() {
  timer_armed_ = false;
  if (options_.operation_timeout.count() <= 0) return;
  std::size_t oldest = 0;
  while (oldest < slots_.size() && !slots_[oldest].exchange) ++oldest;
  if (oldest == slots_.size()) return;
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(slots_[oldest].deadline - Clock::now());
  timer_->start_once(std::max(left, std::chrono::milliseconds(0)));
  timer_armed_ = true;
}

void Connection::on_timer() {
  const auto self = shared_from_this();  // as in received()
  if (state_ != State::open) {
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
    give(std::exchange(slot.exchange, nullptr), fail(Code::timeout, message));
  }
}

}  // namespace kvs::client
