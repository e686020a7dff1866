#include "cli/exit_code.h"

#include <cstdio>

namespace kvs::cli {

ExitCode exit_code_of(const Error& error) noexcept {
  switch (error.code()) {
    case Code::not_found:
      return exit_no_such_key;
    case Code::invalid:
      return exit_usage;
    case Code::server:
      return exit_error_reply;
    case Code::timeout:
      return exit_timeout;
    case Code::corrupt:
    case Code::too_large:
      return exit_input;
    case Code::io:
    case Code::no_space:
      return exit_file;
    default:
      return exit_connection;
  }
}

ExitCode report(const Error& error) {
  std::fprintf(stderr, "%s\n", error.message().c_str());
  return exit_code_of(error);
}

}  // namespace kvs::cli
