// glob.cc - matching with one point to return to instead of recursion.
//
// When a star is followed by something that fits at several places, the leftmost fit is always as
// good as any other: a later star can make up for it, and the end of the pattern is tried again at
// every place. So only the newest star has to be remembered (CVE-2022-36021 and CVE-2024-31228 are
// what recursion costs here).
#include "daemon/glob.h"

#include <cctype>
#include <cstddef>
#include <utility>

namespace kvs::daemon {

namespace {

// Bytes compare as signed, since ranges in Redis do.
using Byte = signed char;

Byte folded(char byte, Case letters) {
  if (letters == Case::sensitive) return static_cast<Byte>(byte);
  return static_cast<Byte>(std::tolower(static_cast<unsigned char>(byte)));
}

struct Step {
  bool matches;
  std::size_t next;  // position in the pattern behind what was compared
};

// Compares `byte` with the bracket expression that begins at pattern[at] == '['.
Step compare_bracket(std::string_view pattern, std::size_t at, char byte, Case letters) {
  const Byte wanted = folded(byte, letters);
  ++at;
  const bool negated = at < pattern.size() && pattern[at] == '^';
  if (negated) ++at;
  bool found = false;
  while (at < pattern.size() && pattern[at] != ']') {
    const std::size_t left = pattern.size() - at;
    if (pattern[at] == '\\' && left >= 2) {
      found |= pattern[at + 1] == byte;
      at += 2;
    } else if (left >= 3 && pattern[at + 1] == '-') {
      Byte low = folded(pattern[at], letters);
      Byte high = folded(pattern[at + 2], letters);
      if (low > high) std::swap(low, high);
      found |= low <= wanted && wanted <= high;
      at += 3;
    } else {
      found |= folded(pattern[at], letters) == wanted;
      ++at;
    }
  }
  if (at < pattern.size()) ++at;  // the closing bracket
  return {found != negated, at};
}

// Compares `byte` with the one element (not a star) that begins at pattern[at].
Step compare_one(std::string_view pattern, std::size_t at, char byte, Case letters) {
  switch (pattern[at]) {
    case '?':
      return {true, at + 1};
    case '[':
      return compare_bracket(pattern, at, byte, letters);
    case '\\':
      if (at + 1 < pattern.size()) ++at;
      [[fallthrough]];
    default:
      return {folded(pattern[at], letters) == folded(byte, letters), at + 1};
  }
}

}  // namespace

bool glob_matches(std::string_view pattern, std::string_view text, Case letters) {
  // Redis looks at no star before it has something to compare: to those who mean everything "*" is
  // a word of its own.
  if (text.empty()) return pattern.empty();
  constexpr std::size_t none = std::string_view::npos;
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t after_star = none;  // in the pattern
  std::size_t star_text = 0;      // where the text behind that star is tried next
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      while (p < pattern.size() && pattern[p] == '*') ++p;
      if (p == pattern.size()) return true;
      after_star = p;
      star_text = t;
      continue;
    }
    if (p < pattern.size()) {
      const Step step = compare_one(pattern, p, text[t], letters);
      if (step.matches) {
        p = step.next;
        ++t;
        continue;
      }
    }
    if (after_star == none) return false;
    p = after_star;
    t = ++star_text;
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace kvs::daemon
