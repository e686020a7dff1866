// reply.h - one reply of the server, as a value that owns its bytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kvs::client {

struct Reply {
  enum class Kind : std::uint8_t { nil, status, string, integer, array, error };

  Kind kind = Kind::nil;
  std::string text;             // of status, string and error; any bytes
  std::int64_t integer = 0;     // of integer
  std::vector<Reply> elements;  // of array; errors inside an array (EXEC) stay replies

  bool operator==(const Reply&) const = default;
};

}  // namespace kvs::client
