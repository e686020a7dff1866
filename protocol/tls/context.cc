#include "protocol/tls/context.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <filesystem>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sstream>
#include <string_view>

#include "protocol/tls/openssl_error.h"

namespace kvs::tls {
namespace {

// Sessions of one kind of service are no good for another.
constexpr std::string_view session_kind = "kvs";

std::unexpected<Error> refused(const std::string& what, const std::string& value,
                               const std::string& why) {
  return fail(Code::invalid, "TLS: cannot use the " + what + " '" + value + "': " + why);
}

std::unexpected<Error> refused(const std::string& what, const std::string& value) {
  return refused(what, value, take_openssl_error());
}

int copy_password(char* buffer, int size, int, void* password) {
  const auto& text = *static_cast<const std::string*>(password);
  const std::size_t bytes = std::min(text.size(), static_cast<std::size_t>(size));
  std::memcpy(buffer, text.data(), bytes);
  return static_cast<int>(bytes);
}

Result<void> trust(ssl_ctx_st* context, const Files& files) {
  if (!files.ca_file.empty() && SSL_CTX_load_verify_file(context, files.ca_file.c_str()) != 1) {
    return refused("CA file", files.ca_file);
  }
  if (files.ca_directory.empty()) return {};
  // OpenSSL would look into it only when a certificate is to be verified.
  std::error_code error;
  std::filesystem::directory_iterator(files.ca_directory, error);
  if (error) return refused("CA directory", files.ca_directory, error.message());
  if (SSL_CTX_load_verify_dir(context, files.ca_directory.c_str()) != 1) {
    return refused("CA directory", files.ca_directory);
  }
  return {};
}

Result<void> identify(ssl_ctx_st* context, const Files& files) {
  if (SSL_CTX_use_certificate_chain_file(context, files.certificate_file.c_str()) != 1) {
    return refused("certificate", files.certificate_file);
  }
  const std::string& key = files.key_file.empty() ? files.certificate_file : files.key_file;
  std::string password = files.key_password;
  SSL_CTX_set_default_passwd_cb(context, copy_password);
  SSL_CTX_set_default_passwd_cb_userdata(context, &password);
  const bool used = SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) == 1 &&
                    SSL_CTX_check_private_key(context) == 1;
  SSL_CTX_set_default_passwd_cb_userdata(context, nullptr);
  if (!used) return refused("key", key);
  return {};
}

Result<void> limit_protocols(ssl_ctx_st* context, const std::string& names) {
  bool old = false;
  bool current = false;
  std::istringstream words(names);
  for (std::string word; words >> word;) {
    for (char& letter : word) {
      if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
    }
    if (word != "tlsv1.2" && word != "tlsv1.3") {
      return refused("protocols", names, "expected TLSv1.2, TLSv1.3 or both");
    }
    (word == "tlsv1.2" ? old : current) = true;
  }
  if (!old && current) SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  if (!current && old) SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
  return {};
}

std::shared_ptr<const Context> make_context(const SSL_METHOD* method) {
  ssl_ctx_st* const raw = SSL_CTX_new(method);
  assert(raw);  // fails only without memory
  ERR_clear_error();
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  // A buffer that moves between two attempts is not a mistake: ours is a string.
  SSL_CTX_set_mode(raw, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  // RESP says itself where a request or a reply ends, so an end without a goodbye truncates nothing
  // unnoticed. Compression would tell secrets by their length.
  SSL_CTX_set_options(
      raw, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  return std::make_shared<const Context>(raw);
}

}  // namespace

Context::~Context() {
  SSL_CTX_free(context_);
}

Result<std::shared_ptr<const Context>> Context::of_client(const ClientOptions& options) {
  auto made = make_context(TLS_client_method());
  ssl_ctx_st* const raw = made->raw();
  const bool verifies = options.verify == ClientOptions::Verify::server;
  SSL_CTX_set_verify(raw, verifies ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  if (options.files.ca_file.empty() && options.files.ca_directory.empty()) {
    SSL_CTX_set_default_verify_paths(raw);
  }
  if (auto used = trust(raw, options.files); !used) return std::unexpected(used.error());
  if (!options.files.certificate_file.empty()) {
    if (auto used = identify(raw, options.files); !used) return std::unexpected(used.error());
  }
  return made;
}

Result<std::shared_ptr<const Context>> Context::of_server(const ServerOptions& options) {
  const Files& files = options.files;
  const bool asks = options.clients != ServerOptions::Clients::no;
  auto made = make_context(TLS_server_method());
  ssl_ctx_st* const raw = made->raw();
  if (auto used = identify(raw, files); !used) return std::unexpected(used.error());
  if (auto used = trust(raw, files); !used) return std::unexpected(used.error());
  const int must =
      options.clients == ServerOptions::Clients::yes ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
  SSL_CTX_set_verify(raw, asks ? SSL_VERIFY_PEER | must : SSL_VERIFY_NONE, nullptr);

  if (auto used = limit_protocols(raw, options.protocols); !used)
    return std::unexpected(used.error());
  if (!options.ciphers.empty() && SSL_CTX_set_cipher_list(raw, options.ciphers.c_str()) != 1) {
    return refused("ciphers", options.ciphers);
  }
  if (!options.ciphersuites.empty() &&
      SSL_CTX_set_ciphersuites(raw, options.ciphersuites.c_str()) != 1) {
    return refused("ciphersuites", options.ciphersuites);
  }
  if (options.prefer_own_ciphers) SSL_CTX_set_options(raw, SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_dh_auto(raw, 1);

  SSL_CTX_set_session_id_context(raw, reinterpret_cast<const unsigned char*>(session_kind.data()),
                                 session_kind.size());
  if (options.session_caching) {
    SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_SERVER);
    SSL_CTX_sess_set_cache_size(raw, static_cast<long>(options.session_cache_size));
    SSL_CTX_set_timeout(raw, static_cast<long>(options.session_cache_seconds));
  } else {
    SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(raw, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(raw, 0);
  }
  return made;
}

}  // namespace kvs::tls
