#include "storage/log/checksum.h"

#include <algorithm>
#include <cstddef>

#include <isa-l/crc.h>

#include "storage/log/bytes.h"

namespace kvs::log {
namespace {

// crc32_iscsi takes its length as an int.
constexpr std::size_t piece_bytes_max = std::size_t{1} << 30;

}  // namespace

std::uint32_t crc32c(std::uint32_t crc, std::string_view bytes) {
  crc = ~crc;
  while (!bytes.empty()) {
    const std::size_t piece = std::min(bytes.size(), piece_bytes_max);
    // The library only reads; its signature predates const.
    crc = crc32_iscsi(reinterpret_cast<unsigned char*>(const_cast<char*>(bytes.data())),
                      static_cast<int>(piece), crc);
    bytes.remove_prefix(piece);
  }
  return ~crc;
}

std::uint32_t segment_seed(std::uint64_t salt, std::uint32_t segment_id) {
  char place[12];
  store_le(place, salt);
  store_le(place + 8, segment_id);
  return crc32c(0, {place, sizeof place});
}

std::uint32_t frame_seed(std::uint32_t segment_seed, std::uint64_t offset_bytes) {
  char place[8];
  store_le(place, offset_bytes);
  return crc32c(segment_seed, {place, sizeof place});
}

std::uint32_t record_seed(std::uint32_t segment_seed, std::uint64_t offset_bytes, Lsn lsn) {
  char place[16];
  store_le(place, offset_bytes);
  store_le(place + 8, lsn);
  return crc32c(segment_seed, {place, sizeof place});
}

}  // namespace kvs::log
