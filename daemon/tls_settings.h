// tls_settings.h - the server's certificates and rules for TLS, as they are now.
//
// CONFIG SET and SIGHUP read the files anew. What cannot be used changes nothing: connections go on
// to be made with what was there before.
#pragma once

#include <memory>
#include <mutex>

#include "daemon/config.h"
#include "protocol/async/result.h"
#include "protocol/tls/context.h"

namespace kvs::daemon {

// Errors: Code::invalid; the message names what is missing, or the file and why it is no good.
Result<std::shared_ptr<const tls::Context>> make_tls_context(const tls::ServerOptions& options);

// Thread: any.
class TlsSettings {
 public:
  // Reads nothing yet: reload() does.
  explicit TlsSettings(const Config& config);

  // Takes `options` and reads their files; without a tls-port they are only remembered.
  // Errors: those of make_tls_context; everything stays as it was.
  Result<void> change(const tls::ServerOptions& options);
  Result<void> reload();

  tls::ServerOptions options() const;
  // What the next connection is to use; null before the first reload(), and without a tls-port.
  std::shared_ptr<const tls::Context> context() const;

 private:
  Result<void> change_locked(const tls::ServerOptions& options);

  const bool in_use_;
  std::mutex changing_;       // one change at a time; held while files are read
  mutable std::mutex mutex_;  // guards:
  tls::ServerOptions options_;
  std::shared_ptr<const tls::Context> context_;
};

}  // namespace kvs::daemon
