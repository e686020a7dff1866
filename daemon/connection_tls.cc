// connection_tls.cc - TLS between the socket of a connection and the rest of it.
//
// Everything that a read brings is decrypted at once, so that no data waits inside TLS for somebody
// to remember it: what is not wanted yet lies in the backlog, as without TLS, and what may stay
// behind in the session is less than one record. Plain text to be sent is encrypted in pieces, the
// next one when the kernel has the last: a client that does not read costs what it costs without
// TLS and one piece.
#include "daemon/connection_tls.h"

#include <chrono>
#include <string_view>
#include <utility>

#include <uv.h>

#include "daemon/connection.h"
#include "daemon/limits.h"
#include "daemon/log.h"
#include "daemon/worker.h"

namespace kvs::daemon {

void Connection::on_encrypted(std::string_view bytes) {
  if (lost_) return;
  tls::Session& session = *tls_->session;
  session.feed(bytes);
  if (tls_->established || shake_hands()) {
    while (!lost_ && waiting_ != Waiting::close) {
      char record[tls::record_bytes_max];
      const Result<std::size_t> size = session.decrypt(record);
      if (!size) return end(size.error().message());
      if (*size == 0) break;
      on_read(static_cast<ssize_t>(*size), record);
    }
    if (session.peer_closed() && !lost_ && waiting_ != Waiting::close) on_read(UV_EOF, nullptr);
  }
  if (lost_ || session.output().empty()) return;
  if (session.output().size() > limits::tls_protocol_bytes_max) {
    return end("TLS: does not read what it asks for");
  }
  list_for_flush();
}

bool Connection::shake_hands() {
  const Result<bool> done = tls_->session->shake_hands();
  if (done) {
    tls_->established = *done;
    return *done;
  }
  static RateLimit once_a_second(std::chrono::seconds(1));
  if (once_a_second.admit()) {
    log_info("client {}: refused: {}", client_.shared->address, done.error().message());
  }
  end(done.error().message());
  return false;
}

bool Connection::handshake_overdue(Clock::time_point now) const {
  return !tls_->established && now - tls_->begun >= limits::tls_handshake_time_max;
}

void Connection::flush_encrypted() {
  if (waiting_ == Waiting::close) return;
  tls::Session& session = *tls_->session;
  if (tls_->established) {
    if (sending_.empty()) sending_.swap(ready_);
    const auto piece = std::string_view(sending_).substr(sent_, limits::tls_piece_bytes);
    if (const auto done = session.encrypt(piece); !done) return end(done.error().message());
    tls_->plain_bytes = piece.size();
  }
  if (session.output().empty()) return;
  tls_->in_flight.swap(session.output());
  const bool is_all = sent_ + tls_->plain_bytes == sending_.size() && ready_.empty();
  // What is only a piece goes by way of the loop's next iteration, which others have a part in.
  std::size_t written = 0;
  if (is_all) {
    const uv_buf_t buffer{.base = tls_->in_flight.data(), .len = tls_->in_flight.size()};
    const int tried = uv_try_write(reinterpret_cast<uv_stream_t*>(&socket_), &buffer, 1);
    if (tried < 0 && tried != UV_EAGAIN) return end(uv_strerror(tried));
    written = tried < 0 ? 0 : static_cast<std::size_t>(tried);
  }
  if (written == tls_->in_flight.size()) return note_encrypted_sent();
  queue_encrypted(written);
  account_encrypted();
}

void Connection::queue_encrypted(std::size_t written) {
  write_queued_ = true;
  write_.data = this;
  std::string& encrypted = tls_->in_flight;
  const uv_buf_t rest{.base = encrypted.data() + written, .len = encrypted.size() - written};
  const int refused =
      uv_write(&write_, reinterpret_cast<uv_stream_t*>(&socket_), &rest, 1,
               [](uv_write_t* request, int status) {
                 static_cast<Connection*>(request->data)->on_encrypted_written(status);
               });
  if (refused != 0) {
    write_queued_ = false;
    end(uv_strerror(refused));
  }
}

void Connection::on_encrypted_written(int status) {
  write_queued_ = false;
  if (waiting_ == Waiting::close) return;  // cancelled by Closed
  if (status != 0) return end(uv_strerror(status));
  last_active_ = worker_.now();
  note_encrypted_sent();
}

void Connection::note_encrypted_sent() {
  worker_.metrics().net_output_bytes.fetch_add(tls_->plain_bytes, std::memory_order_relaxed);
  sent_ += std::exchange(tls_->plain_bytes, 0);
  recycle(tls_->in_flight);
  if (sent_ == sending_.size()) {
    recycle(sending_);
    sent_ = 0;
  }
  account_encrypted();
  if (unsent() > 0 || !tls_->session->output().empty()) list_for_flush();
  wake_if_drained();
}

void Connection::account_encrypted() {
  tls_bytes_ =
      limits::tls_session_bytes + tls_->in_flight.capacity() + tls_->session->output().capacity();
  account();
}

// Also what an error has left to be said. After half a record, or instead of the rest of a reply,
// it would be no goodbye.
void Connection::say_goodbye() {
  if (write_queued_ || unsent() > 0) return;
  tls::Session& session = *tls_->session;
  session.close();
  if (session.output().empty()) return;
  const uv_buf_t buffer{.base = session.output().data(), .len = session.output().size()};
  uv_try_write(reinterpret_cast<uv_stream_t*>(&socket_), &buffer, 1);
}

}  // namespace kvs::daemon
