#include "protocol/tls/session.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <utility>

#include <climits>

#include "protocol/tls/openssl_error.h"

namespace kvs::tls {

// A BIO that reads what was fed and writes to output(): no copies of its own, and no memory that
// stays at its largest, as BIO_s_mem would have.
struct Wire {
  static Session& session_of(BIO* bio) { return *static_cast<Session*>(BIO_get_data(bio)); }

  static int read(BIO* bio, char* buffer, int size) {
    BIO_clear_retry_flags(bio);
    std::string_view& fed = session_of(bio).fed_;
    if (fed.empty()) {
      BIO_set_retry_read(bio);  // "not yet", not the end
      return -1;
    }
    const std::size_t bytes = std::min(fed.size(), static_cast<std::size_t>(size));
    std::memcpy(buffer, fed.data(), bytes);
    fed.remove_prefix(bytes);
    return static_cast<int>(bytes);
  }

  static int write(BIO* bio, const char* bytes, int size) {
    BIO_clear_retry_flags(bio);
    session_of(bio).output_.append(bytes, static_cast<std::size_t>(size));
    return size;
  }

  static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

  static const BIO_METHOD* method() {
    static const BIO_METHOD* const made = [] {
      BIO_METHOD* const wire = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "kvs");
      assert(wire);  // fails only without memory
      BIO_meth_set_read(wire, read);
      BIO_meth_set_write(wire, write);
      BIO_meth_set_ctrl(wire, control);
      return wire;
    }();
    return made;
  }

  // Told of each message of the protocol itself.
  static void observe(int is_ours, int, int content, const void* bytes, std::size_t size, SSL*,
                      void* session) {
    if (is_ours != 0 || content != SSL3_RT_HANDSHAKE || size == 0) return;
    unsigned char kind = 0;
    std::memcpy(&kind, bytes, 1);
    if (kind == SSL3_MT_KEY_UPDATE) ++static_cast<Session*>(session)->key_updates_;
  }
};

Session::Session(std::shared_ptr<const Context> context)
    : context_(std::move(context)), session_(SSL_new(context_->raw())) {
  assert(session_);  // fails only without memory
  BIO* const wire = BIO_new(Wire::method());
  assert(wire);
  BIO_set_data(wire, this);
  BIO_set_init(wire, 1);
  SSL_set_bio(session_, wire, wire);  // owns it
  SSL_set_msg_callback(session_, Wire::observe);
  SSL_set_msg_callback_arg(session_, this);
}

Session::~Session() {
  SSL_free(session_);
}

std::unique_ptr<Session> Session::to_server(std::shared_ptr<const Context> context,
                                            const std::string& host,
                                            const std::string& server_name) {
  auto made = std::make_unique<Session>(std::move(context));
  ssl_st* const raw = made->session_;
  SSL_set_connect_state(raw);
  if (server_name.empty()) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(raw), host.c_str());
  } else {
    SSL_set_tlsext_host_name(raw, server_name.c_str());
    SSL_set_hostflags(raw, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    const int set = SSL_set1_host(raw, server_name.c_str());
    assert(set == 1);  // fails only without memory
  }
  return made;
}

std::unique_ptr<Session> Session::to_client(std::shared_ptr<const Context> context) {
  auto made = std::make_unique<Session>(std::move(context));
  SSL_set_accept_state(made->session_);
  return made;
}

void Session::feed(std::string_view encrypted) {
  assert(fed_.empty());
  fed_ = encrypted;
}

Result<bool> Session::shake_hands() {
  ERR_clear_error();
  const int done = SSL_do_handshake(session_);
  if (done == 1) return true;
  const int reason = SSL_get_error(session_, done);
  if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE) return false;
  fed_ = {};
  std::string text = "TLS: " + take_openssl_error();
  if (const long verified = SSL_get_verify_result(session_); verified != X509_V_OK) {
    text += std::string(": ") + X509_verify_cert_error_string(verified);
  }
  return fail(Code::unreachable, std::move(text));
}

Result<std::size_t> Session::decrypt(std::span<char> plain) {
  ERR_clear_error();
  const std::size_t room = std::min<std::size_t>(plain.size(), INT_MAX);
  const int bytes = SSL_read(session_, plain.data(), static_cast<int>(room));
  if (key_updates_ > key_updates_max) {
    fed_ = {};
    return fail(Code::connection_lost, "TLS: too many key updates");
  }
  if (bytes > 0) {
    key_updates_ = 0;
    return static_cast<std::size_t>(bytes);
  }
  const int reason = SSL_get_error(session_, bytes);
  if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE) return 0;
  fed_ = {};
  if (reason == SSL_ERROR_ZERO_RETURN) return 0;
  return fail(Code::connection_lost, "TLS: " + take_openssl_error());
}

bool Session::peer_closed() const noexcept {
  return (SSL_get_shutdown(session_) & SSL_RECEIVED_SHUTDOWN) != 0;
}

Result<void> Session::encrypt(std::string_view plain) {
  while (!plain.empty()) {
    ERR_clear_error();
    const std::size_t piece = std::min<std::size_t>(plain.size(), INT_MAX);
    const int bytes = SSL_write(session_, plain.data(), static_cast<int>(piece));
    if (bytes <= 0) return fail(Code::connection_lost, "TLS: " + take_openssl_error());
    plain.remove_prefix(static_cast<std::size_t>(bytes));
  }
  return {};
}

void Session::close() {
  ERR_clear_error();
  if (SSL_is_init_finished(session_) == 1) SSL_shutdown(session_);
  ERR_clear_error();
}

}  // namespace kvs::tls
