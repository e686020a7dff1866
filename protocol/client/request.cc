#include "protocol/client/request.h"

#include <cassert>
#include <cstddef>
#include <vector>

extern "C" {
#include <hiredis/hiredis.h>
#include <hiredis/sds.h>
}

namespace kvs::client {

std::string encode_request(std::span<const std::string_view> words) {
  assert(!words.empty());
  std::vector<const char*> starts;
  std::vector<std::size_t> sizes;
  starts.reserve(words.size());
  sizes.reserve(words.size());
  for (const std::string_view word : words) {
    starts.push_back(word.data() ? word.data() : "");
    sizes.push_back(word.size());
  }
  sds encoded = nullptr;
  const int bytes = redisFormatSdsCommandArgv(&encoded, static_cast<int>(words.size()),
                                              starts.data(), sizes.data());
  assert(bytes >= 0);  // fails only without memory
  std::string request(encoded, sdslen(encoded));
  sdsfree(encoded);
  return request;
}

}  // namespace kvs::client
