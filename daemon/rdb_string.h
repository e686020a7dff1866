// rdb_string.h - values as Redis' DUMP writes them: type, string, version of the format, CRC64.
//
// The string is written byte for byte as Redis does it: as an integer of 1, 2 or 4 bytes where it
// is the text of one, compressed (LZF) where that saves something, and else as it is. What is read
// comes from clients: no length in it is believed before that many bytes are there, and nothing is
// allocated that the payload cannot fill; so LZF is read here, and only written by the library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kvs::daemon::rdb {

// The version that is written, Redis 7.0's, and the newest that is read: no version until then has
// changed strings.
inline constexpr std::uint16_t version_written = 10;
inline constexpr std::uint16_t version_read_max = 12;

std::string dump_string(std::string_view value);

// Are version and checksum at the end of `payload` right?
bool is_intact(std::string_view payload);

enum class Problem : std::uint8_t {
  bad_format,
  other_type,  // of a kind of value that kvs does not have
  too_long,    // longer than `bytes_max`
};
struct Loaded {
  std::optional<Problem> problem;
  std::string value;
};
// Reads the string of a payload that is_intact(). Bytes behind the string are ignored, as in Redis.
Loaded load_string(std::string_view payload, std::size_t bytes_max);

}  // namespace kvs::daemon::rdb
