// hint.h - the format of a hint file: what recovery needs of a sealed segment, without its values.
//
// A hint is a shortcut and never the truth. It can be missing, cut, stale or damaged at any time
// (it is not even synced), and whoever reads one believes it only when everything in it agrees
// with its own checksums, with MANIFEST, and with header and seal of the segment; else the segment
// itself is scanned, with its checksums, and the hint is made anew.
//
// Records are grouped by the first bits of their keys' hash, in chunks: so a recovery can fill one
// part of the index from all hints, then the next, each small enough for the processor's caches,
// and several threads can do so without waiting for each other (log_format.md has the bytes and an
// example; hint_writer.h makes them).
//
// Header (little-endian):
//    0  u32  magic                        32  u64  records of the segment
//    4  u32  crc32c of bytes 8 to 87      40  u64  lowest LSN
//    8  u16  version                      48  u64  highest LSN
//   10  u16  0                            56  u64  newest clock of a frame
//   12  u32  segment id                   64  u64  highest synced_upto of a frame
//   16  u64  salt of the segment          72  u64  offset of the directory
//   24  u64  length of the segment        80  u32  chunks
//                                         84  u32  crc32c of the directory
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/engine.h"
#include "storage/fs.h"
#include "storage/log/record.h"
#include "storage/log/segment.h"

namespace kvs::log {

inline constexpr std::size_t hint_header_bytes = 88;
static_assert(hint_header_bytes == 4 + 4 + 2 + 2 + 4 + 7 * 8 + 8 + 4 + 4);
inline constexpr std::uint32_t hint_magic = 0x48'73'76'6b;  // "kvsH"
inline constexpr std::uint16_t hint_version = 1;
inline constexpr std::size_t hint_chunk_header_bytes = 16;  // in the directory

// Groups of keys by the first bits of their hash, and one more for records of whole databases.
inline constexpr unsigned hint_group_bits = 6;
inline constexpr unsigned hint_groups = 1U << hint_group_bits;
inline constexpr unsigned hint_clears_group = hint_groups;
// A chunk is written when it has reached this.
inline constexpr std::size_t hint_chunk_bytes = std::size_t{64} << 10;

// "0000000000000001.hint"
std::string hint_name(SegmentId id);
// Returns the segment's id when `name` is exactly what hint_name returns for it.
std::optional<SegmentId> parse_hint_name(std::string_view name);

struct HintHeader {
  SegmentId segment = 0;
  std::uint64_t salt = 0;
  std::uint64_t segment_bytes = 0;
  std::uint64_t records = 0;
  Lsn min_lsn = 0;
  Lsn max_lsn = 0;
  UnixMs clock = 0;
  Lsn synced_upto = 0;
  std::uint64_t directory_offset_bytes = 0;
  std::uint32_t chunks = 0;
  std::uint32_t directory_crc = 0;

  bool operator==(const HintHeader&) const = default;
};

void encode_hint_header(char* out, const HintHeader& header, std::uint32_t segment_seed);

struct ParsedHintHeader {
  const char* fault = nullptr;
  HintHeader header;
};
ParsedHintHeader parse_hint_header(std::string_view available, std::uint32_t segment_seed);

// What the directory says of a chunk. Chunks lie one behind the other, from the header on.
struct HintChunk {
  std::uint64_t offset_bytes = 0;  // not stored
  std::uint32_t bytes = 0;
  std::uint32_t records = 0;
  std::uint32_t crc = 0;
  std::uint8_t group = 0;
};

void append_hint_chunk(std::string& directory, const HintChunk& chunk);
// Of a chunk or the directory, which starts at `offset_bytes` of the hint.
std::uint32_t hint_crc(std::uint32_t segment_seed, std::uint64_t offset_bytes,
                       std::string_view bytes);

// What a hint says of one record.
struct HintRecord {
  RecordKind kind = RecordKind::value;
  Database database = 0;
  Lsn lsn = 0;
  std::uint64_t offset_bytes = 0;
  std::uint64_t value_bytes = 0;
  UnixMs expire_at = never;
  std::string_view key;  // borrowed

  // Bytes of the record in a segment of that kind.
  std::uint64_t record_bytes(SegmentKind kind) const;
};

// Records of a chunk are written as differences to the one before; this remembers that one.
struct HintCursor {
  std::uint64_t offset_bytes = 0;
  Lsn lsn = 0;
};

void append_hint_record(std::string& chunk, const HintRecord& record, HintCursor& cursor);

// Takes the next record off `chunk`. False: the bytes are not a record that `header` allows.
bool take_hint_record(std::string_view& chunk, const HintHeader& header, SegmentKind kind,
                      HintCursor& cursor, HintRecord& record);

// A hint whose header and directory have been checked. Thread: any.
class HintFile {
 public:
  // Opens the hint of `segment`, which has the given length, and checks header and directory
  // against it. Null: there is none that can be believed; `fault` is set unless it is missing.
  static std::unique_ptr<HintFile> open(Directory& directory, const Segment& segment,
                                        std::uint64_t segment_bytes, const char*& fault);

  const HintHeader& header() const { return header_; }
  const std::vector<HintChunk>& chunks() const { return chunks_; }
  std::uint64_t file_bytes() const { return file_bytes_; }

  // Reads a chunk into `buffer`. False: it cannot be read or its checksum does not match.
  bool read(const HintChunk& chunk, std::string& buffer) const;

 private:
  std::unique_ptr<File> file_;
  std::uint32_t seed_ = 0;
  std::uint64_t file_bytes_ = 0;
  HintHeader header_;
  std::vector<HintChunk> chunks_;
};

}  // namespace kvs::log
