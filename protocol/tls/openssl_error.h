// openssl_error.h - what OpenSSL says of a failure, for people.
#pragma once

#include <string>

namespace kvs::tls {

// The first error of this thread's queue, which is empty afterwards: the cause, of which the later
// ones only say through whom it came.
std::string take_openssl_error();

}  // namespace kvs::tls
