// connection_tls.h - what a connection with TLS has besides.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "daemon/connection.h"
#include "protocol/tls/session.h"

namespace kvs::daemon {

struct Connection::Encryption {
  Encryption(std::shared_ptr<const tls::Context> context, Clock::time_point now)
      : session(tls::Session::to_client(std::move(context))), begun(now) {}

  const std::unique_ptr<tls::Session> session;
  const Clock::time_point begun;
  bool established = false;     // the handshake is over
  std::string in_flight;        // encrypted, on its way to the kernel
  std::size_t plain_bytes = 0;  // of sending_ that are in in_flight
};

}  // namespace kvs::daemon
