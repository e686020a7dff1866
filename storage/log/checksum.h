// checksum.h - CRC32C, and how it binds bytes to their place.
//
// Every checksum of the log starts from a seed made of the segment's random salt and id and of the
// offset (and, for records, the LSN), so that right bytes at a wrong place are wrong: a misdirected
// block, a recycled one, or a value in which a client stored a copy of a log.
#pragma once

#include <cstdint>
#include <string_view>

#include "storage/engine.h"

namespace kvs::log {

// Returns the CRC32C of what `crc` is the CRC32C of, followed by `bytes`. crc32c(0, "123456789") is
// 0xe3069283.
std::uint32_t crc32c(std::uint32_t crc, std::string_view bytes);

std::uint32_t segment_seed(std::uint64_t salt, std::uint32_t segment_id);
std::uint32_t frame_seed(std::uint32_t segment_seed, std::uint64_t offset_bytes);
std::uint32_t record_seed(std::uint32_t segment_seed, std::uint64_t offset_bytes, Lsn lsn);

}  // namespace kvs::log
