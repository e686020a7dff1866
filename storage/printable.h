// printable.h - bytes that clients chose, in messages for people.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace kvs {

// Returns `bytes` in double quotes as printable ASCII: quotes and backslashes escaped, everything
// else as \xHH; of longer input the first `bytes_max` and "...".
inline std::string printable(std::string_view bytes, std::size_t bytes_max = 128) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text = "\"";
  for (const char character : bytes.substr(0, bytes_max)) {
    const auto byte = static_cast<unsigned char>(character);
    if (character == '"' || character == '\\') {
      text.append(1, '\\').append(1, character);
    } else if (byte >= 0x20 && byte < 0x7f) {
      text += character;
    } else {
      text.append("\\x").append(1, digits[byte >> 4]).append(1, digits[byte & 15]);
    }
  }
  return text.append(bytes.size() > bytes_max ? "\"..." : "\"");
}

}  // namespace kvs
