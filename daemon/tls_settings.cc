#include "daemon/tls_settings.h"

#include <utility>

namespace kvs::daemon {

Result<std::shared_ptr<const tls::Context>> make_tls_context(const tls::ServerOptions& options) {
  if (options.files.certificate_file.empty()) {
    return fail(Code::invalid, "tls-port needs a certificate: tls-cert-file");
  }
  if (options.clients != tls::ServerOptions::Clients::no && options.files.ca_file.empty() &&
      options.files.ca_directory.empty()) {
    return fail(Code::invalid,
                "tls-auth-clients needs tls-ca-cert-file or tls-ca-cert-dir (or say "
                "tls-auth-clients no)");
  }
  return tls::Context::of_server(options);
}

TlsSettings::TlsSettings(const Config& config)
    : in_use_(config.tls_port != 0), options_(config.tls) {}

Result<void> TlsSettings::change(const tls::ServerOptions& options) {
  const std::scoped_lock one_at_a_time(changing_);
  return change_locked(options);
}

Result<void> TlsSettings::reload() {
  const std::scoped_lock one_at_a_time(changing_);
  return change_locked(this->options());
}

Result<void> TlsSettings::change_locked(const tls::ServerOptions& options) {
  std::shared_ptr<const tls::Context> made;
  if (in_use_) {
    auto usable = make_tls_context(options);
    if (!usable) return std::unexpected(std::move(usable).error());
    made = *std::move(usable);
  }
  const std::scoped_lock lock(mutex_);
  options_ = options;
  context_.swap(made);
  return {};
}

tls::ServerOptions TlsSettings::options() const {
  const std::scoped_lock lock(mutex_);
  return options_;
}

std::shared_ptr<const tls::Context> TlsSettings::context() const {
  const std::scoped_lock lock(mutex_);
  return context_;
}

}  // namespace kvs::daemon
