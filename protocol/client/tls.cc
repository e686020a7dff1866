#include "protocol/client/tls.h"

#include <algorithm>
#include <cassert>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <utility>

#include "protocol/client/limits.h"

namespace kvs::client {
namespace {

// The newest error of this thread's queue, which is empty afterwards.
std::string take_openssl_error() {
  std::string text = "unknown error";
  if (const unsigned long code = ERR_peek_last_error(); code != 0) {
    const char* const reason = ERR_reason_error_string(code);
    text = reason ? reason : "error " + std::to_string(code);
  }
  ERR_clear_error();
  return text;
}

std::string why_it_failed(ssl_st* session) {
  const long verified = SSL_get_verify_result(session);
  std::string text = take_openssl_error();
  if (verified != X509_V_OK) {
    text += std::string(": ") + X509_verify_cert_error_string(verified);
  }
  return text;
}

Result<void> use_files(ssl_ctx_st* context, const TlsOptions& options) {
  const auto refused = [](const std::string& what, const std::string& file) {
    return fail(Code::invalid,
                "TLS: cannot use the " + what + " '" + file + "': " + take_openssl_error());
  };
  if (options.ca_file.empty()) {
    SSL_CTX_set_default_verify_paths(context);
  } else if (SSL_CTX_load_verify_file(context, options.ca_file.c_str()) != 1) {
    return refused("CA file", options.ca_file);
  }
  if (options.certificate_file.empty()) return {};
  if (SSL_CTX_use_certificate_chain_file(context, options.certificate_file.c_str()) != 1) {
    return refused("certificate", options.certificate_file);
  }
  const std::string& key = options.key_file.empty() ? options.certificate_file : options.key_file;
  if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context) != 1) {
    return refused("key", key);
  }
  return {};
}

}  // namespace

Result<std::shared_ptr<const TlsContext>> TlsContext::make(const TlsOptions& options) {
  ssl_ctx_st* const raw = SSL_CTX_new(TLS_client_method());
  assert(raw);  // fails only without memory
  auto context = std::make_shared<const TlsContext>(options, raw);
  ERR_clear_error();
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  // A buffer that moves between two attempts is not a mistake: ours is a string.
  SSL_CTX_set_mode(raw, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  // RESP says itself where a reply ends, so an end without a goodbye truncates nothing unnoticed.
  SSL_CTX_set_options(raw, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_verify(
      raw, options.verify == TlsOptions::Verify::server ? SSL_VERIFY_PEER : SSL_VERIFY_NONE,
      nullptr);
  if (Result<void> used = use_files(raw, options); !used) {
    return std::unexpected(std::move(used).error());
  }
  return context;
}

TlsContext::TlsContext(TlsOptions options, ssl_ctx_st* context)
    : options_(std::move(options)), context_(context) {}

TlsContext::~TlsContext() {
  SSL_CTX_free(context_);
}

TlsSession::TlsSession(std::shared_ptr<const TlsContext> context, const std::string& host)
    : context_(std::move(context)), session_(SSL_new(context_->context_)) {
  assert(session_);  // fails only without memory
  BIO* const from_network = BIO_new(BIO_s_mem());
  BIO* const to_network = BIO_new(BIO_s_mem());
  assert(from_network);
  assert(to_network);
  // Empty means "not yet", not the end.
  BIO_set_mem_eof_return(from_network, -1);
  SSL_set_bio(session_, from_network, to_network);  // owns both
  SSL_set_connect_state(session_);
  const std::string& name = context_->options_.server_name;
  if (name.empty()) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session_), host.c_str());
  } else {
    SSL_set_tlsext_host_name(session_, name.c_str());
    SSL_set_hostflags(session_, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    const int set = SSL_set1_host(session_, name.c_str());
    assert(set == 1);  // fails only without memory
  }
}

TlsSession::~TlsSession() {
  SSL_free(session_);
}

void TlsSession::feed(std::string_view encrypted) {
  assert(encrypted.size() <= limits::read_bytes);
  const int taken =
      BIO_write(SSL_get_rbio(session_), encrypted.data(), static_cast<int>(encrypted.size()));
  assert(taken == static_cast<int>(encrypted.size()));  // memory takes all
}

Result<bool> TlsSession::shake_hands() {
  ERR_clear_error();
  const int done = SSL_do_handshake(session_);
  if (done == 1) return true;
  const int reason = SSL_get_error(session_, done);
  if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE) return false;
  return fail(Code::unreachable, "TLS: " + why_it_failed(session_));
}

Result<bool> TlsSession::decrypt(std::string& plain) {
  for (;;) {
    ERR_clear_error();
    char buffer[16384];  // the largest record
    const int bytes = SSL_read(session_, buffer, sizeof buffer);
    if (bytes > 0) {
      plain.append(buffer, static_cast<std::size_t>(bytes));
      continue;
    }
    const int reason = SSL_get_error(session_, bytes);
    if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE) return false;
    if (reason == SSL_ERROR_ZERO_RETURN) return true;
    return fail(Code::connection_lost, "TLS: " + take_openssl_error());
  }
}

Result<void> TlsSession::encrypt(std::string_view plain) {
  while (!plain.empty()) {
    ERR_clear_error();
    const std::size_t piece = std::min(plain.size(), limits::read_bytes);
    const int bytes = SSL_write(session_, plain.data(), static_cast<int>(piece));
    if (bytes <= 0) return fail(Code::connection_lost, "TLS: " + take_openssl_error());
    plain.remove_prefix(static_cast<std::size_t>(bytes));
  }
  return {};
}

void TlsSession::close() {
  ERR_clear_error();
  if (SSL_is_init_finished(session_) == 1) SSL_shutdown(session_);
  ERR_clear_error();
}

void TlsSession::take_encrypted(std::string& output) {
  BIO* const to_network = SSL_get_wbio(session_);
  while (BIO_ctrl_pending(to_network) > 0) {
    char buffer[16384];
    const int bytes = BIO_read(to_network, buffer, sizeof buffer);
    if (bytes <= 0) return;
    output.append(buffer, static_cast<std::size_t>(bytes));
  }
}

}  // namespace kvs::client
