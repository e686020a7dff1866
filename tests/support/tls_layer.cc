#include "tests/support/tls_layer.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <map>
#include <mutex>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdexcept>
#include <tuple>

#include <climits>

#include "tests/support/certificates.h"

namespace kvs::test {
namespace {

std::string take_error() {
  const unsigned long code = ERR_get_error();
  const char* const reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  ERR_clear_error();
  return reason == nullptr ? "the connection was closed" : reason;
}

using Context = std::shared_ptr<ssl_ctx_st>;

Context make_context(const TlsClient& client) {
  Context made(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  ssl_ctx_st* const raw = made.get();
  const auto path = [](const std::string& name) { return certificates().path(name); };
  SSL_CTX_set_mode(raw, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (client.version != 0) {
    SSL_CTX_set_min_proto_version(raw, client.version);
    SSL_CTX_set_max_proto_version(raw, client.version);
  }
  if (!client.ciphers.empty()) SSL_CTX_set_cipher_list(raw, client.ciphers.c_str());
  if (!client.ca.empty()) {
    SSL_CTX_load_verify_file(raw, path(client.ca + ".crt").c_str());
    SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, nullptr);
  }
  if (!client.certificate.empty()) {
    SSL_CTX_use_certificate_chain_file(raw, path(client.certificate + ".crt").c_str());
    SSL_CTX_use_PrivateKey_file(raw, path(client.certificate + ".key").c_str(), SSL_FILETYPE_PEM);
  }
  return made;
}

// Some tests connect thousands of times, and reading certificates takes longer than shaking hands.
Context context_of(const TlsClient& client) {
  static std::mutex mutex;
  static std::map<std::tuple<std::string, std::string, std::string, int>, Context> made;
  const std::scoped_lock lock(mutex);
  Context& context = made[{client.ca, client.certificate, client.ciphers, client.version}];
  if (context == nullptr) context = make_context(client);
  return context;
}

}  // namespace

TlsLayer::TlsLayer(int fd, const TlsClient& client, std::chrono::milliseconds timeout)
    : context_(context_of(client)), session_(SSL_new(context_.get())) {
  std::signal(SIGPIPE, SIG_IGN);
  ERR_clear_error();
  SSL_set_fd(session_, fd);
  if (client.resume != nullptr) SSL_set_session(session_, client.resume);
  const auto until = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    const int done = SSL_connect(session_);
    if (done == 1) return;
    const int reason = SSL_get_error(session_, done);
    const bool waits = reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE;
    if (!waits || std::chrono::steady_clock::now() > until) {
      const std::string text = waits ? "timeout" : take_error();
      SSL_free(session_);
      throw std::runtime_error("TLS: " + text);
    }
    pollfd ready{fd, static_cast<short>(reason == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT), 0};
    poll(&ready, 1, 10);
  }
}

TlsLayer::~TlsLayer() {
  SSL_free(session_);
}

int TlsLayer::outcome(int result) const {
  const int reason = SSL_get_error(session_, result);
  if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE) {
    errno = EAGAIN;
    return -1;
  }
  ERR_clear_error();
  return 0;
}

ssize_t TlsLayer::receive(char* buffer, std::size_t size) {
  ERR_clear_error();
  const int bytes =
      SSL_read(session_, buffer, static_cast<int>(std::min<std::size_t>(size, INT_MAX)));
  return bytes > 0 ? bytes : outcome(bytes);
}

ssize_t TlsLayer::send(const char* bytes, std::size_t size) {
  ERR_clear_error();
  const int sent =
      SSL_write(session_, bytes, static_cast<int>(std::min<std::size_t>(size, INT_MAX)));
  if (sent > 0) return sent;
  if (outcome(sent) == 0) errno = EPIPE;
  return -1;
}

void TlsLayer::close() {
  SSL_shutdown(session_);
  ERR_clear_error();
}

bool TlsLayer::peer_said_goodbye() const {
  return (SSL_get_shutdown(session_) & SSL_RECEIVED_SHUTDOWN) != 0;
}

}  // namespace kvs::test
