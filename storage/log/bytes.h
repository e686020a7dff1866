// bytes.h - little-endian integers in byte strings, whatever the machine is.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstring>

namespace kvs::log {

// Returns `value` with its bytes in little-endian order, or back.
template <std::unsigned_integral T>
constexpr T little_endian(T value) {
  if constexpr (std::endian::native == std::endian::big) return std::byteswap(value);
  return value;
}

// Writes `value` to the sizeof(value) bytes at `out`.
template <std::unsigned_integral T>
void store_le(char* out, T value) {
  value = little_endian(value);
  std::memcpy(out, &value, sizeof value);
}

// Reads what store_le wrote.
template <std::unsigned_integral T>
T load_le(const char* in) {
  T value;
  std::memcpy(&value, in, sizeof value);
  return little_endian(value);
}

}  // namespace kvs::log
