// tls.h - the client's side of TLS: whom it trusts and who it is. protocol/tls does the rest.
//
// TLS 1.2 and 1.3; the server's certificate is verified unless the options say otherwise.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "protocol/async/result.h"
#include "protocol/tls/context.h"
#include "protocol/tls/session.h"

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

  TlsContext(std::string server_name, std::shared_ptr<const tls::Context> context);  // for make()

  // One connection to `host`, the numeric address that the certificate must name when there is no
  // server_name.
  std::unique_ptr<tls::Session> open(const std::string& host) const;

 private:
  const std::string server_name_;
  const std::shared_ptr<const tls::Context> context_;
};

}  // namespace kvs::client
