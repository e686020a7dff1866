// glob.h - Redis' glob-style patterns (KEYS, SCAN MATCH, CONFIG GET, COMMAND LIST).
#pragma once

#include <cstdint>
#include <string_view>

namespace kvs::daemon {

enum class Case : std::uint8_t { sensitive, ignored };

// True when the whole of `text` matches `pattern`: * ? [a-z] [^a-z] and \ to take the next byte as
// it is. Any bytes are valid in both; an open bracket ends with the pattern.
// Bounds: no recursion, no allocation; time O(pattern + text^2) however many stars there are.
bool glob_matches(std::string_view pattern, std::string_view text, Case letters = Case::sensitive);

}  // namespace kvs::daemon
