// errors.h - what an error of the client says about the command behind it.
//
//   Code::invalid, too_large, busy   refused here, before anything was sent
//   Code::unreachable                no connection, or it ended before a byte of the command left
//   Code::connection_lost, timeout,
//   Code::protocol, cancelled        no (valid) reply came: the command may have been executed
//   Code::server                     the server answered an error; the message is its text
//   Code::exception                  a function of the program threw, after the reply or instead of
//   it Code::not_found                  `remove` of a key that is not there
#pragma once

#include "protocol/async/result.h"

namespace kvs::client {

// True when the command may have been executed although it failed here: to repeat it is safe only
// if to execute it twice is.
bool may_have_happened(const Error& error) noexcept;

}  // namespace kvs::client
