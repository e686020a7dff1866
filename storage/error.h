// error.h - turns a failed system call into an Error that names what was tried on which file.
#pragma once

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

#include "protocol/async/result.h"

namespace kvs {

// Returns the Error for `errno_value`: no_space when the disk, a quota or a file (RLIMIT_FSIZE) is
// full, else io.
// The text reads "cannot WHAT PATH: reason".
inline Error io_error(int errno_value, std::string_view what, std::string_view path) {
  // Not strerror(): other threads may be formatting an error too.
  char reason[128] = "unknown error";
  const char* text = strerror_r(errno_value, reason, sizeof reason);
  const bool full = errno_value == ENOSPC || errno_value == EDQUOT || errno_value == EFBIG;
  std::string message = "cannot ";
  message.append(what).append(" ").append(path).append(": ").append(text);
  return Error(full ? Code::no_space : Code::io, std::move(message));
}

}  // namespace kvs
