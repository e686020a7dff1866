// frame.h - the header of a frame: one committed session, or the seal that ends a segment.
//
// Layout (little-endian):
//    0  u32  magic
//    4  u32  crc32c of bytes 8 to 39, seeded with segment and offset
//    8  u32  payload length in bytes; 0 in a seal
//   12  u32  number of records; 0 in a seal
//   16  u64  first LSN: of the first record (log segment; a seal: of the next one); 0 in a
//            compacted segment, whose records carry their own
//   24  u64  wall clock in ms when it was written
//   32  u64  synced_upto: everything up to this LSN was on stable storage when it was written
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "storage/engine.h"

namespace kvs::log {

inline constexpr std::size_t frame_header_bytes = 40;
static_assert(frame_header_bytes == 4 * 4 + 3 * 8);
inline constexpr std::uint32_t frame_magic = 0x46'73'76'6b;  // "kvsF"

struct FrameHeader {
  std::uint32_t payload_bytes = 0;
  std::uint32_t records = 0;
  Lsn first_lsn = 0;
  UnixMs clock = 0;
  Lsn synced_upto = 0;

  bool is_seal() const { return records == 0; }
};

// Writes the header to the frame_header_bytes at `out`.
void encode_frame_header(char* out, const FrameHeader& frame, std::uint32_t segment_seed,
                         std::uint64_t offset_bytes);

// Returns the header at the start of `available`, or the rule it breaks in `fault`. What it says of
// the segment around it (lengths, order of LSNs) is the scanner's to check.
struct ParsedFrame {
  const char* fault = nullptr;
  FrameHeader header;
};
ParsedFrame parse_frame_header(std::string_view available, std::uint32_t segment_seed,
                               std::uint64_t offset_bytes);

}  // namespace kvs::log
