#include "daemon/commands/bit_field.h"

#include <cassert>

#include "daemon/commands/arguments.h"

namespace kvs::daemon {

std::optional<FieldType> parse_field_type(std::string_view text) {
  if (text.empty() || (text[0] != 'i' && text[0] != 'u')) return std::nullopt;
  const bool is_signed = text[0] == 'i';
  const auto bits = parse_integer(text.substr(1));
  if (!bits || *bits < 1 || *bits > (is_signed ? 64 : 63)) return std::nullopt;
  return FieldType{is_signed, static_cast<unsigned>(*bits)};
}

std::optional<Overflow> parse_overflow(std::string_view word) {
  if (is_word(word, "WRAP")) return Overflow::wrap;
  if (is_word(word, "SAT")) return Overflow::saturate;
  if (is_word(word, "FAIL")) return Overflow::fail;
  return std::nullopt;
}

namespace {

// Cuts `value` to the type's width and extends the sign.
std::int64_t wrapped(FieldType type, std::uint64_t value) {
  if (type.bits == 64) return static_cast<std::int64_t>(value);
  const std::uint64_t mask = (std::uint64_t{1} << type.bits) - 1;
  value &= mask;
  const bool negative = type.is_signed && (value >> (type.bits - 1)) != 0;
  return static_cast<std::int64_t>(negative ? value | ~mask : value);
}

}  // namespace

std::int64_t read_field(std::string_view bytes, std::uint64_t offset_bits, FieldType type) {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < type.bits; ++i) {
    const std::uint64_t at = offset_bits + i;
    const auto byte = at / 8 < bytes.size() ? static_cast<unsigned char>(bytes[at / 8])
                                            : static_cast<unsigned char>(0);
    value = value << 1 | (byte >> (7 - at % 8) & 1U);
  }
  return wrapped(type, value);
}

void write_field(std::string& bytes, std::uint64_t offset_bits, FieldType type,
                 std::int64_t value) {
  assert((offset_bits + type.bits + 7) / 8 <= bytes.size());
  for (unsigned i = 0; i < type.bits; ++i) {
    const std::uint64_t at = offset_bits + i;
    const auto mask = static_cast<unsigned char>(0x80U >> (at % 8));
    const auto old = static_cast<unsigned char>(bytes[at / 8]);
    const bool set = (static_cast<std::uint64_t>(value) >> (type.bits - 1 - i) & 1) != 0;
    bytes[at / 8] = static_cast<char>(set ? old | mask : old & ~mask);
  }
}

std::optional<std::int64_t> fit_field(FieldType type, std::int64_t value, std::int64_t increment,
                                      Overflow overflow) {
  // Wide enough for every sum of two 64-bit numbers.
  __extension__ typedef __int128 Wide;
  // A value given to an unsigned field is taken as the bits it is written with.
  const Wide base = type.is_signed ? Wide{value} : Wide{static_cast<std::uint64_t>(value)};
  const Wide sum = base + Wide{increment};
  const Wide least = type.is_signed ? -(Wide{1} << (type.bits - 1)) : Wide{0};
  const Wide most = (Wide{1} << (type.is_signed ? type.bits - 1 : type.bits)) - 1;
  if (sum >= least && sum <= most) return static_cast<std::int64_t>(sum);
  switch (overflow) {
    case Overflow::wrap:
      return wrapped(type, static_cast<std::uint64_t>(sum));
    case Overflow::saturate:
      return static_cast<std::int64_t>(sum < least ? least : most);
    case Overflow::fail:
      return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace kvs::daemon
