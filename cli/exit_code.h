// exit_code.h - what kvs-client ends with. The numbers are part of its interface: help, man page
// and README.md list them, and scripts test for them.
#pragma once

#include "protocol/async/result.h"

namespace kvs::cli {

// Unscoped, since a process ends with a number.
enum ExitCode : int {  // NOLINT(performance-enum-size)
  exit_done = 0,
  exit_no_such_key = 1,  // rm of a key that is not there; a condition that did not hold
  exit_usage = 2,        // the command line is wrong; nothing was done
  exit_connection = 3,   // no connection to the server, or it was lost
  exit_error_reply = 4,  // the server answered an error
  exit_timeout = 5,      // no answer in time
  exit_input = 6,        // what was read is not what it should be
  exit_file = 7,         // a file or standard output cannot be read or written
};

ExitCode exit_code_of(const Error& error) noexcept;

// Prints the error's text to stderr and returns its code.
ExitCode report(const Error& error);

}  // namespace kvs::cli
