#include "protocol/client/transport.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "protocol/client/limits.h"

namespace kvs::client {
namespace {

// Drops what has left from the front of a buffer; keeps the memory, unless it is much.
void drop_front(std::string& buffer, std::size_t& start) {
  if (start == buffer.size()) {
    if (buffer.capacity() > limits::kept_buffer_bytes_max) {
      std::string().swap(buffer);
    } else {
      buffer.clear();
    }
    start = 0;
  } else if (start > limits::read_bytes && start > buffer.size() / 2) {
    buffer.erase(0, start);
    start = 0;
  }
}

}  // namespace

Transport::Transport(uv::Loop& loop, Events& events, std::shared_ptr<const TlsContext> tls)
    : loop_(loop),
      events_(events),
      tls_context_(std::move(tls)),
      socket_(loop, *this),
      input_(std::make_unique_for_overwrite<char[]>(limits::read_bytes)) {
  assert(loop.on_this_thread());
  before_poll_ = uv::make_handle<uv_prepare_t>(
      [&](uv_prepare_t* prepare) { uv_prepare_init(loop.raw(), prepare); });
  before_poll_->data = this;
}

Transport::~Transport() {
  if (destroyed_) *destroyed_ = true;
  if (state_ != State::open || !tls_ || peer_gone_) return;
  // A goodbye, if there is room for it just now; after half a record it would be noise.
  if (encrypted_start_ != encrypted_.size()) return;
  encrypted_.clear();
  tls_->close();
  take_encrypted();
  socket_.send(encrypted_);
}

template <class Call>
Transport::Life Transport::call_out(Call call) {
  bool destroyed = false;
  bool* const outer = std::exchange(destroyed_, &destroyed);
  call();
  if (destroyed) {
    if (outer) *outer = true;
    return Life::destroyed;
  }
  destroyed_ = outer;
  return Life::alive;
}

// --- Connecting -----------------------------------------------------------------------------

Result<void> Transport::connect(const SocketAddress& address) {
  if (tls_context_) tls_ = tls_context_->open(address.host);
  const int refused = socket_.connect(address.host, address.port);
  if (refused == UV_EINVAL) return fail(Code::unreachable, "not an IP address");
  if (refused != 0) return fail(Code::unreachable, uv_strerror(refused));
  return {};
}

void Transport::ready() {
  switch (state_) {
    case State::connecting:
      return on_connected();
    case State::shaking_hands:
      blocked_ = false;
      (void)flush_encrypted();
      return receive();
    case State::open:
      if (blocked_) {
        blocked_ = false;
        if (call_out([this] { flush(); }) == Life::destroyed) return;
      }
      // Reading that the owner has stopped goes on when it says so; the rest may wait for that too.
      if (state_ == State::open && reading_ == Reading::on) receive();
      return;
    case State::ended:
      return;
  }
}

void Transport::on_connected() {
  if (const int failed = socket_.take_error(); failed != 0) {
    return settle(fail(Code::unreachable, uv_strerror(failed)));
  }
  if (!tls_) return settle({});
  state_ = State::shaking_hands;
  const Result<bool> begun = tls_->shake_hands();
  take_encrypted();
  if (!begun) return settle(std::unexpected(begun.error()));
  flush_encrypted();
}

void Transport::settle(Result<void> outcome) {
  if (outcome) {
    state_ = State::open;
    watch();
  } else {
    state_ = State::ended;
    socket_.watch(uv::TcpSocket::Interest::nothing);
  }
  events_.connected(std::move(outcome));
}

// --- Receiving ------------------------------------------------------------------------------

void Transport::receive() {
  const ssize_t bytes = socket_.receive(input_.get(), limits::read_bytes);
  if (bytes == UV_EAGAIN) {
    if (const int failed = socket_.take_error(); failed != 0) end(uv_strerror(failed));
    return;
  }
  if (bytes < 0) {
    return end(bytes == UV_EOF ? "the server closed it" : uv_strerror(static_cast<int>(bytes)));
  }
  const std::string_view received(input_.get(), static_cast<std::size_t>(bytes));
  if (!tls_) return events_.received(received);
  receive_tls(received);
}

void Transport::receive_tls(std::string_view encrypted) {
  tls_->feed(encrypted);
  if (state_ == State::shaking_hands) {
    Result<bool> done = tls_->shake_hands();
    take_encrypted();
    (void)flush_encrypted();  // on failure an alert tells the server why
    if (!done) return settle(std::unexpected(std::move(done).error()));
    if (!*done) return;
    // The handshake's last bytes may come with the first of the server's.
    if (call_out([this] { settle({}); }) == Life::destroyed || state_ != State::open) return;
  }
  plain_.clear();
  Result<std::size_t> bytes = 1;
  while (bytes && *bytes > 0) {
    char record[tls::record_bytes_max];
    bytes = tls_->decrypt(record);
    if (bytes) plain_.append(record, *bytes);
  }
  take_encrypted();  // answers to a key update, for example
  if (encrypted_start_ < encrypted_.size()) send_soon();
  if (!plain_.empty() && call_out([this] { events_.received(plain_); }) == Life::destroyed) return;
  if (plain_.capacity() > limits::kept_buffer_bytes_max) std::string().swap(plain_);
  if (!bytes) {
    end(bytes.error().message());
  } else if (tls_->peer_closed()) {
    end("the server closed it");
  }
}

void Transport::set_reading(Reading reading) {
  reading_ = reading;
  if (state_ == State::open) watch();
}

// --- Sending --------------------------------------------------------------------------------

void Transport::send_soon() {
  if (state_ != State::open || blocked_ || peer_gone_) return;  // goes when it can
  uv_prepare_start(before_poll_.get(), [](uv_prepare_t* prepare) {
    uv_prepare_stop(prepare);
    static_cast<Transport*>(prepare->data)->flush();
  });
}

void Transport::flush() {
  if (state_ != State::open || blocked_ || peer_gone_) return;
  if (!tls_) {
    while (bytes_kept() > 0) {
      const ssize_t sent = send(std::string_view(output_).substr(output_start_));
      if (sent <= 0) return;
      take_output(static_cast<std::size_t>(sent));
    }
    return watch();
  }
  while (flush_encrypted() && bytes_kept() > 0) {
    // In pieces, so that what has not been encrypted is known not to have left.
    const std::size_t piece = std::min(bytes_kept(), limits::read_bytes);
    const Result<void> done = tls_->encrypt(std::string_view(output_).substr(output_start_, piece));
    if (!done) return end(done.error().message());
    take_output(piece);
    take_encrypted();
  }
}

void Transport::take_encrypted() {
  encrypted_.append(tls_->output());
  tls_->output().clear();
}

// True: all of it is with the kernel.
bool Transport::flush_encrypted() {
  while (encrypted_start_ < encrypted_.size()) {
    const ssize_t sent = send(std::string_view(encrypted_).substr(encrypted_start_));
    if (sent <= 0) return false;
    encrypted_start_ += static_cast<std::size_t>(sent);
    drop_front(encrypted_, encrypted_start_);
  }
  if (state_ != State::ended) watch();
  return true;
}

// 0: not now, or never again; whatever follows from that has been arranged.
ssize_t Transport::send(std::string_view bytes) {
  if (peer_gone_) return 0;
  const ssize_t sent = socket_.send(bytes);
  if (sent >= 0) return sent;
  if (sent == UV_EAGAIN) {
    blocked_ = true;
  } else {
    // The peer is gone, but a last word of it ("max number of clients reached") may be waiting to
    // be read: the receiving side finds the end right after it.
    peer_gone_ = true;
  }
  watch();
  return 0;
}

void Transport::take_output(std::size_t bytes) {
  output_start_ += bytes;
  taken_bytes_ += bytes;
  drop_front(output_, output_start_);
}

void Transport::watch() {
  const bool receiving = reading_ == Reading::on || state_ == State::shaking_hands;
  const bool sending = blocked_ && !peer_gone_;
  socket_.watch(static_cast<uv::TcpSocket::Interest>((receiving ? 1 : 0) | (sending ? 2 : 0)));
}

void Transport::end(std::string reason) {
  if (state_ == State::ended) return;
  const bool was_shaking_hands = state_ == State::shaking_hands;
  if (was_shaking_hands) return settle(fail(Code::unreachable, "TLS: " + reason));
  state_ = State::ended;
  socket_.watch(uv::TcpSocket::Interest::nothing);
  events_.ended(std::move(reason));
}

}  // namespace kvs::client
