#include "protocol/tls/openssl_error.h"

#include <cstring>
#include <openssl/err.h>

namespace kvs::tls {

std::string take_openssl_error() {
  std::string text = "unknown error";
  if (const unsigned long code = ERR_peek_error(); code != 0) {
    const char* const reason = ERR_SYSTEM_ERROR(code) ? std::strerror(ERR_GET_REASON(code))
                                                      : ERR_reason_error_string(code);
    text = reason != nullptr ? reason : "error " + std::to_string(code);
  }
  ERR_clear_error();
  return text;
}

}  // namespace kvs::tls
