// options.h - how a client connects, what it says first, and what it does when the connection ends.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "protocol/client/tls.h"

namespace kvs::client {

// Making a lost connection again: after first_delay, then twice as long each time up to delay_max,
// each delay shortened by a random part of it, so that the clients of a server that restarts do not
// all come at once.
struct Reconnect {
  std::chrono::milliseconds first_delay{50};
  std::chrono::milliseconds delay_max{5000};
  double jitter = 0.5;        // the delay is between (1 - jitter) and 1 times what was computed
  unsigned attempts_max = 0;  // in a row without success, then the client is closed; 0: no end
};

struct ConnectOptions {
  // TCP, TLS and the greeting (AUTH, SELECT, CLIENT SETNAME) together; 0: the kernel's own for TCP.
  std::chrono::milliseconds connect_timeout{5000};
  std::chrono::milliseconds operation_timeout{30000};  // from issue to complete reply; 0: none

  // Said at every connect. A password without a user is the default user's.
  std::string user;
  std::string password;
  unsigned database = 0;
  std::string name;  // of this client, for CLIENT LIST; without blanks

  std::optional<TlsOptions> tls;       // none: plain TCP
  std::optional<Reconnect> reconnect;  // none: a connection that has ended is not made again

  // How long a command waits for the connection to be made (again) before it is refused with
  // Code::unreachable; 0: it is refused at once.
  std::chrono::milliseconds wait_while_down{2000};
};

}  // namespace kvs::client
