#include "daemon/rdb_string.h"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <limits>
#include <lzf.h>

#include <isa-l/crc64.h>

#include "daemon/commands/arguments.h"

namespace kvs::daemon::rdb {

namespace {

constexpr std::uint8_t string_type = 0;
// Types that Redis knows: up to 7 and from 9 on, of which 20 and 21 came with 7.2, 22 to 25 later.
constexpr std::uint8_t no_type = 8;
constexpr std::uint8_t type_max = 25;
constexpr std::size_t version_bytes = 2;
constexpr std::size_t checksum_bytes = 8;
constexpr std::size_t footer_bytes = version_bytes + checksum_bytes;

// A length: its first two bits say how it goes on.
constexpr std::uint8_t length_6_bits = 0;
constexpr std::uint8_t length_14_bits = 1;
constexpr std::uint8_t length_32_bits = 0x80;
constexpr std::uint8_t length_64_bits = 0x81;
constexpr std::uint8_t encoded = 3;
// What an encoded string is.
constexpr std::uint8_t encoded_int8 = 0;
constexpr std::uint8_t encoded_int16 = 1;
constexpr std::uint8_t encoded_int32 = 2;
constexpr std::uint8_t encoded_lzf = 3;

// No text of an integer of 32 bits is longer.
constexpr std::size_t integer_chars_max = 11;

// CRC-64/Jones, which Redis neither begins nor ends with an inversion, as ISA-L does.
std::uint64_t checksum(std::string_view bytes) {
  return ~crc64_jones_refl(~std::uint64_t{0}, reinterpret_cast<const unsigned char*>(bytes.data()),
                           bytes.size());
}

void append_little_endian(std::string& out, std::uint64_t number, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) out += static_cast<char>(number >> (8 * i) & 0xff);
}

void append_big_endian(std::string& out, std::uint64_t number, std::size_t bytes) {
  for (std::size_t i = bytes; i-- > 0;) out += static_cast<char>(number >> (8 * i) & 0xff);
}

std::uint64_t little_endian(std::string_view bytes) {
  std::uint64_t number = 0;
  for (std::size_t i = bytes.size(); i-- > 0;)
    number = number << 8 | static_cast<std::uint8_t>(bytes[i]);
  return number;
}

std::uint64_t big_endian(std::string_view bytes) {
  std::uint64_t number = 0;
  for (const char byte : bytes) number = number << 8 | static_cast<std::uint8_t>(byte);
  return number;
}

void append_length(std::string& out, std::uint64_t length) {
  if (length < 1u << 6) return append_big_endian(out, length, 1);
  if (length < 1u << 14)
    return append_big_endian(out, std::uint64_t{length_14_bits} << 14 | length, 2);
  const bool fits = length <= std::numeric_limits<std::uint32_t>::max();
  out += static_cast<char>(fits ? length_32_bits : length_64_bits);
  append_big_endian(out, length, fits ? 4 : 8);
}

// Writes `value` as an integer, if it is the text of one of at most 32 bits.
bool append_integer(std::string& out, std::string_view value) {
  if (value.size() > integer_chars_max) return false;
  const auto number = parse_integer(value);
  if (!number) return false;
  const auto fits = [&](auto limits) {
    return *number >= decltype(limits)::min() && *number <= decltype(limits)::max();
  };
  const auto append = [&](std::uint8_t encoding, std::size_t bytes) {
    out += static_cast<char>(encoded << 6 | encoding);
    append_little_endian(out, static_cast<std::uint64_t>(*number), bytes);
    return true;
  };
  if (fits(std::numeric_limits<std::int8_t>())) return append(encoded_int8, 1);
  if (fits(std::numeric_limits<std::int16_t>())) return append(encoded_int16, 2);
  if (fits(std::numeric_limits<std::int32_t>())) return append(encoded_int32, 4);
  return false;
}

// Writes `value` compressed, if it is long enough for Redis to try, and that saves as much as Redis
// asks for.
bool append_compressed(std::string& out, std::string_view value) {
  constexpr std::size_t tried_from_bytes = 21;
  constexpr std::size_t saved_bytes_min = 4;
  if (value.size() < tried_from_bytes) return false;
  std::string compressed(value.size() - saved_bytes_min, '\0');
  const unsigned bytes = lzf_compress(value.data(), static_cast<unsigned>(value.size()),
                                      compressed.data(), static_cast<unsigned>(compressed.size()));
  if (bytes == 0) return false;
  out += static_cast<char>(encoded << 6 | encoded_lzf);
  append_length(out, bytes);
  append_length(out, value.size());
  out.append(compressed, 0, bytes);
  return true;
}

// Reads a payload from front to back; what is missing makes it fail once and for all.
class Source {
 public:
  explicit Source(std::string_view bytes) : rest_(bytes) {}

  std::string_view take(std::uint64_t bytes) {
    if (bytes > rest_.size()) failed_ = true;
    if (failed_) return {};
    const std::string_view taken = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return taken;
  }
  std::uint8_t byte() {
    const std::string_view one = take(1);
    return one.empty() ? 0 : static_cast<std::uint8_t>(one.front());
  }
  bool failed() const { return failed_; }

 private:
  std::string_view rest_;
  bool failed_ = false;
};

struct Length {
  bool is_encoding;
  std::uint64_t value;  // a length, or an encoding
};

std::optional<Length> read_length(Source& source) {
  const std::uint8_t first = source.byte();
  const std::uint8_t low = first & 0x3f;
  switch (first >> 6) {
    case length_6_bits:
      return Length{false, low};
    case length_14_bits:
      return Length{false, std::uint64_t{low} << 8 | source.byte()};
    case encoded:
      return Length{true, low};
    default:
      if (first == length_32_bits) return Length{false, big_endian(source.take(4))};
      if (first == length_64_bits) return Length{false, big_endian(source.take(8))};
      return std::nullopt;
  }
}

std::optional<std::uint64_t> read_plain_length(Source& source) {
  const auto length = read_length(source);
  if (!length || length->is_encoding || source.failed()) return std::nullopt;
  return length->value;
}

// LZF (Lehmann): a control byte below 32 is followed by that many bytes and one more as they are;
// another one has a length in its upper three bits (7: one more byte has the rest) and the upper
// bits of how far back it was, the next byte the lower ones.
std::optional<std::string> decompressed(std::string_view from, std::size_t length) {
  std::string out;
  Source source(from);
  while (out.size() < length) {
    const std::uint8_t control = source.byte();
    if (control < 32) {
      const std::string_view literal = source.take(std::size_t{control} + 1);
      if (source.failed()) return std::nullopt;
      out.append(literal);
      continue;
    }
    std::size_t repeated = control >> 5;
    if (repeated == 7) repeated += source.byte();
    repeated += 2;
    const std::size_t back = (std::size_t{control & 0x1fu} << 8 | source.byte()) + 1;
    if (source.failed() || back > out.size() || repeated > length - out.size()) return std::nullopt;
    // What is repeated may overlap what it makes: as much at a time as there is.
    const std::size_t begin = out.size() - back;
    for (; repeated > back; repeated -= back) out.append(out, begin, back);
    out.append(out, begin, repeated);
  }
  if (out.size() != length) return std::nullopt;
  return out;
}

Loaded failure(Problem problem) {
  return {problem, {}};
}

Loaded load_compressed(Source& source, std::size_t bytes_max) {
  const auto compressed_bytes = read_plain_length(source);
  if (!compressed_bytes) return failure(Problem::bad_format);
  const auto bytes = read_plain_length(source);
  if (!bytes) return failure(Problem::bad_format);
  const std::string_view compressed = source.take(*compressed_bytes);
  if (source.failed()) return failure(Problem::bad_format);
  if (*bytes > bytes_max) return failure(Problem::too_long);
  auto value = decompressed(compressed, *bytes);
  if (!value) return failure(Problem::bad_format);
  return {std::nullopt, *std::move(value)};
}

template <class Integer>
Loaded load_integer(Source& source) {
  const std::string_view bytes = source.take(sizeof(Integer));
  if (source.failed()) return failure(Problem::bad_format);
  return {std::nullopt, std::to_string(static_cast<Integer>(little_endian(bytes)))};
}

}  // namespace

std::string dump_string(std::string_view value) {
  constexpr std::size_t header_bytes_max = 10;
  std::string payload;
  payload.reserve(value.size() + header_bytes_max + footer_bytes);
  payload += static_cast<char>(string_type);
  if (!append_integer(payload, value) && !append_compressed(payload, value)) {
    append_length(payload, value.size());
    payload.append(value);
  }
  append_little_endian(payload, version_written, version_bytes);
  append_little_endian(payload, checksum(payload), checksum_bytes);
  return payload;
}

bool is_intact(std::string_view payload) {
  if (payload.size() < footer_bytes) return false;
  const std::string_view vouched_for = payload.substr(0, payload.size() - checksum_bytes);
  if (little_endian(vouched_for.substr(vouched_for.size() - version_bytes)) > version_read_max) {
    return false;
  }
  return little_endian(payload.substr(vouched_for.size())) == checksum(vouched_for);
}

Loaded load_string(std::string_view payload, std::size_t bytes_max) {
  assert(payload.size() >= footer_bytes);
  Source source(payload.substr(0, payload.size() - footer_bytes));
  const std::uint8_t type = source.byte();
  if (source.failed() || type == no_type || type > type_max) return failure(Problem::bad_format);
  if (type != string_type) return failure(Problem::other_type);

  const auto length = read_length(source);
  if (!length || source.failed()) return failure(Problem::bad_format);
  if (length->is_encoding) {
    switch (length->value) {
      case encoded_int8:
        return load_integer<std::int8_t>(source);
      case encoded_int16:
        return load_integer<std::int16_t>(source);
      case encoded_int32:
        return load_integer<std::int32_t>(source);
      case encoded_lzf:
        return load_compressed(source, bytes_max);
      default:
        return failure(Problem::bad_format);
    }
  }
  const std::string_view value = source.take(length->value);
  if (source.failed()) return failure(Problem::bad_format);
  if (value.size() > bytes_max) return failure(Problem::too_long);
  return {std::nullopt, std::string(value)};
}

}  // namespace kvs::daemon::rdb
