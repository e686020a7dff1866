// request.h - a request as a test writes it, and as clients send it.
#pragma once

#include <string>
#include <vector>

namespace kvs::test {

using Request = std::vector<std::string>;

// The array form: *2 $3 GET $1 k.
inline std::string encode_request(const Request& words) {
  std::string out = "*" + std::to_string(words.size()) + "\r\n";
  for (const std::string& word : words) {
    out += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
  }
  return out;
}

}  // namespace kvs::test
