#include "protocol/client/tls.h"

#include <utility>

namespace kvs::client {

Result<std::shared_ptr<const TlsContext>> TlsContext::make(const TlsOptions& options) {
  tls::ClientOptions shared{.files = {.ca_file = options.ca_file,
                                      .ca_directory = {},
                                      .certificate_file = options.certificate_file,
                                      .key_file = options.key_file,
                                      .key_password = {}}};
  if (options.verify == TlsOptions::Verify::nothing) {
    shared.verify = tls::ClientOptions::Verify::nothing;
  }
  auto context = tls::Context::of_client(shared);
  if (!context) return std::unexpected(std::move(context).error());
  return std::make_shared<const TlsContext>(options.server_name, *std::move(context));
}

TlsContext::TlsContext(std::string server_name, std::shared_ptr<const tls::Context> context)
    : server_name_(std::move(server_name)), context_(std::move(context)) {}

std::unique_ptr<tls::Session> TlsContext::open(const std::string& host) const {
  return tls::Session::to_server(context_, host, server_name_);
}

}  // namespace kvs::client
