// tls.h - TLS for the transport: OpenSSL between two buffers, without a socket of its own.
//
// OpenSSL reads and writes memory (BIO_s_mem), so that libuv stays the only one who waits. TLS 1.2
// and 1.3; the server's certificate is verified unless the options say otherwise.
//
// Not here: when to read and write (transport.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "protocol/async/result.h"

struct ssl_ctx_st;
struct ssl_st;

namespace kvs::client {

struct TlsOptions {
  // With nothing, anybody on the way can read and change everything: for tests only.
  enum class Verify : std::uint8_t { server, nothing };

  std::string ca_file;           // PEM; empty: what the system trusts
  std::string server_name;       // must be in the certificate; empty: its IP address must
  std::string certificate_file;  // ours, PEM with its chain; empty: none
  std::string key_file;          // of certificate_file; empty: the key is in that file
  Verify verify = Verify::server;
};

// What all connections of one client share. Thread-safe; immutable.
class TlsContext {
 public:
  // Errors: Code::invalid when a file cannot be used.
  static Result<std::shared_ptr<const TlsContext>> make(const TlsOptions& options);

  TlsContext(TlsOptions options, ssl_ctx_st* context);  // for make()
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

 private:
  friend class TlsSession;
  const TlsOptions options_;
  ssl_ctx_st* const context_;
};

// One connection's TLS. Errors are final: the session is of no use afterwards.
// Thread: one at a time.
class TlsSession {
 public:
  // `host` is the numeric address that the certificate must name when there is no server_name.
  TlsSession(std::shared_ptr<const TlsContext> context, const std::string& host);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  // Takes bytes from the network.
  void feed(std::string_view encrypted);

  // Goes on with the handshake as far as the fed bytes allow; true once it is done.
  // Errors: Code::unreachable.
  Result<bool> shake_hands();

  // Appends what can be decrypted now to `plain`. True: the server has closed its side.
  // Errors: Code::connection_lost; `plain` has what came before.
  Result<bool> decrypt(std::string& plain);

  // Takes `plain` to be sent. After the handshake only.
  Result<void> encrypt(std::string_view plain);

  // Says goodbye; what take_encrypted() then returns should be sent.
  void close();

  // Appends the bytes for the network to `output`.
  void take_encrypted(std::string& output);

 private:
  const std::shared_ptr<const TlsContext> context_;
  ssl_st* const session_;
};

}  // namespace kvs::client
