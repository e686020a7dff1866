// bit_field.h - integers of 1 to 64 bits at any bit offset of a string, for BITFIELD.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kvs::daemon {

// i1 to i64 and u1 to u63.
struct FieldType {
  bool is_signed = false;
  unsigned bits = 0;
};
std::optional<FieldType> parse_field_type(std::string_view text);

// What becomes of a result that does not fit.
enum class Overflow : std::uint8_t { wrap, saturate, fail };
std::optional<Overflow> parse_overflow(std::string_view word);

// The field at `offset_bits`; bits behind the end of `bytes` are zeros.
std::int64_t read_field(std::string_view bytes, std::uint64_t offset_bits, FieldType type);

// `bytes` must reach as far as the field.
void write_field(std::string& bytes, std::uint64_t offset_bits, FieldType type, std::int64_t value);

// value + increment as a field of that type; nullopt when it does not fit and `overflow` is fail.
std::optional<std::int64_t> fit_field(FieldType type, std::int64_t value, std::int64_t increment,
                                      Overflow overflow);

}  // namespace kvs::daemon
