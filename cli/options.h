// options.h - the command line of kvs-client, as a value.
//
// All of it is checked here, the address too: a mistake is reported before anything else happens.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "protocol/client/address.h"

namespace kvs::cli {

struct Options {
  enum class Command : std::uint8_t { set, get, rm };

  Command command = Command::get;
  std::string key;
  std::string value;  // of set
  client::SocketAddress address;
};

// What the command line asks for: a command, or to end now with this exit code (help, version or a
// usage error: the text has been printed, errors to stderr).
struct ParseOutcome {
  std::optional<Options> options;
  int exit_code = 0;
};

ParseOutcome parse_options(int argc, const char* const* argv);

}  // namespace kvs::cli
