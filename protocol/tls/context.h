// context.h - what all TLS connections of one client or server share: certificates, whom to trust,
// which protocols.
//
// A context never changes. Who wants other certificates makes a new one; connections that have the
// old one keep it. Nothing is ever asked on a terminal: a key that needs a password has it in
// Files.
//
// Not here: the bytes of a connection (session.h).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "protocol/async/result.h"

struct ssl_ctx_st;

namespace kvs::tls {

// All of them PEM.
struct Files {
  std::string ca_file;           // whose certificates are trusted
  std::string ca_directory;      // the same, a file per CA, named by its hash (openssl rehash)
  std::string certificate_file;  // ours, with its chain; empty: none
  std::string key_file;          // of certificate_file; empty: the key is in that file
  std::string key_password;      // of key_file, if it is encrypted
};

struct ClientOptions {
  enum class Verify : std::uint8_t { server, nothing };

  Files files;  // without a CA: what the system trusts
  Verify verify = Verify::server;
};

struct ServerOptions {
  // Whether clients must, or may, show a certificate that a CA of `files` vouches for.
  enum class Clients : std::uint8_t { no, optional, yes };

  Files files;
  Clients clients = Clients::yes;
  std::string protocols;     // "TLSv1.2", "TLSv1.3" or both, in any case; empty: both
  std::string ciphers;       // of TLS 1.2, as OpenSSL writes them; empty: its own choice
  std::string ciphersuites;  // of TLS 1.3
  bool prefer_own_ciphers = false;
  // Clients that come back within so many seconds need not shake hands in full.
  bool session_caching = true;
  std::uint64_t session_cache_size = 20480;
  std::uint64_t session_cache_seconds = 300;
};

// Thread-safe.
class Context {
 public:
  // Errors: Code::invalid when something cannot be used; the message names the file and says why.
  static Result<std::shared_ptr<const Context>> of_client(const ClientOptions& options);
  static Result<std::shared_ptr<const Context>> of_server(const ServerOptions& options);

  explicit Context(ssl_ctx_st* context) : context_(context) {}  // for those two
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  ssl_ctx_st* raw() const noexcept { return context_; }

 private:
  ssl_ctx_st* const context_;
};

}  // namespace kvs::tls
