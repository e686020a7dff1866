// environment.h - what the service manager says in environment variables.
#pragma once

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <optional>

namespace kvs::daemon {

// Returns the number that is all of variable `name`; nullopt: it is not set, or something else.
template <class Number>
std::optional<Number> number_from_environment(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr) return std::nullopt;
  const char* end = text + std::strlen(text);
  Number number = 0;
  const auto parsed = std::from_chars(text, end, number);
  if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return number;
}

}  // namespace kvs::daemon
