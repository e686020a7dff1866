#include "protocol/client/errors.h"

namespace kvs::client {

bool may_have_happened(const Error& error) noexcept {
  switch (error.code()) {
    case Code::connection_lost:
    case Code::timeout:
    case Code::protocol:
    case Code::cancelled:
    case Code::exception:
      return true;
    default:
      return false;
  }
}

}  // namespace kvs::client
