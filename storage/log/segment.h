// segment.h - one file of the log: its header, its open file, and what is known of its records.
//
// Header (little-endian):
//    0  u32  magic
//    4  u32  crc32c of bytes 8 to 31
//    8  u16  format version
//   10  u8   kind: 1 log, 2 compacted
//   11  u8   0
//   12  u32  segment id, as in the file's name
//   16  u64  wall clock in ms when it was created
//   24  u64  random salt, the start of every checksum in this file
//
// A log segment is what sessions append to; a compacted one holds survivors of others, each with
// its own LSN. Life: created -> (log: active) -> sealed, from when on it never changes -> retired.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "storage/engine.h"
#include "storage/fs.h"

namespace kvs::log {

using SegmentId = std::uint32_t;  // 1 and up, never reused

enum class SegmentKind : std::uint8_t { log = 1, compacted = 2 };

inline constexpr std::size_t segment_header_bytes = 32;
static_assert(segment_header_bytes == 4 + 4 + 2 + 1 + 1 + 4 + 8 + 8);
inline constexpr std::uint32_t segment_magic = 0x53'73'76'6b;  // "kvsS"
inline constexpr std::uint16_t format_version = 1;

struct SegmentHeader {
  SegmentKind kind = SegmentKind::log;
  SegmentId id = 0;
  UnixMs created = 0;
  std::uint64_t salt = 0;
};

void encode_segment_header(char* out, const SegmentHeader& header);

struct ParsedSegmentHeader {
  const char* fault = nullptr;
  SegmentHeader header;
};
ParsedSegmentHeader parse_segment_header(std::string_view available);

// "0000000000000001.log"
std::string segment_name(SegmentId id);
// Returns the id when `name` is exactly what segment_name returns for it.
std::optional<SegmentId> parse_segment_name(std::string_view name);

// Figures of the records in a segment; each atomic by itself, exact when no session is publishing.
// They are signed because the two sides of a move are counted at different moments.
struct SegmentCounts {
  std::atomic<std::int64_t> record_bytes = 0;  // of all records
  std::atomic<std::int64_t> records = 0;
  std::atomic<std::int64_t> live_bytes = 0;  // of those the index points at, and newest clears
  std::atomic<std::int64_t> live_records = 0;
  std::atomic<std::int64_t> tombstone_bytes = 0;
  std::atomic<std::int64_t> tombstones = 0;
  // Of all records; 0 while there are none.
  std::atomic<Lsn> min_lsn = 0;
  std::atomic<Lsn> max_lsn = 0;
  std::atomic<double> lsn_sum = 0;  // of all records; only their mean is used

  void add_live(std::uint64_t bytes) {
    live_bytes.fetch_add(static_cast<std::int64_t>(bytes), std::memory_order_relaxed);
    live_records.fetch_add(1, std::memory_order_relaxed);
  }
  void remove_live(std::uint64_t bytes) {
    live_bytes.fetch_sub(static_cast<std::int64_t>(bytes), std::memory_order_relaxed);
    live_records.fetch_sub(1, std::memory_order_relaxed);
  }
  void add_tombstone(std::uint64_t bytes) {
    tombstone_bytes.fetch_add(static_cast<std::int64_t>(bytes), std::memory_order_relaxed);
    tombstones.fetch_add(1, std::memory_order_relaxed);
  }
  void add_record(std::uint64_t bytes, Lsn lsn) { add_records(1, bytes, lsn, lsn); }
  void add_records(std::uint64_t count, std::uint64_t bytes, Lsn first, Lsn last) {
    records.fetch_add(static_cast<std::int64_t>(count), std::memory_order_relaxed);
    record_bytes.fetch_add(static_cast<std::int64_t>(bytes), std::memory_order_relaxed);
    const double mean = (static_cast<double>(first) + static_cast<double>(last)) / 2;
    lsn_sum.fetch_add(mean * static_cast<double>(count), std::memory_order_relaxed);
    const Lsn low = min_lsn.load(std::memory_order_relaxed);
    if (low == 0 || first < low) min_lsn.store(first, std::memory_order_relaxed);
    if (last > max_lsn.load(std::memory_order_relaxed)) {
      max_lsn.store(last, std::memory_order_relaxed);
    }
  }
  std::int64_t dead_bytes() const { return record_bytes - live_bytes - tombstone_bytes; }
  // How old the records are, on the whole.
  double mean_lsn() const {
    const double count = static_cast<double>(records.load(std::memory_order_relaxed));
    return count > 0 ? lsn_sum.load(std::memory_order_relaxed) / count : 0;
  }
};

class Segment {
 public:
  Segment(const SegmentHeader& header, std::unique_ptr<File> file, std::uint64_t capacity_bytes);
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  SegmentId id() const { return header_.id; }
  SegmentKind kind() const { return header_.kind; }
  std::uint64_t salt() const { return header_.salt; }
  std::uint32_t seed() const { return seed_; }
  std::string name() const { return segment_name(header_.id); }
  // Shared by readers; whoever holds the segment may read, even after it was retired.
  File& file() const { return *file_; }

  // Bytes in use: the next frame goes here. Published after the bytes are written.
  std::uint64_t end_bytes() const { return end_bytes_.load(std::memory_order_acquire); }
  void set_end_bytes(std::uint64_t bytes) { end_bytes_.store(bytes, std::memory_order_release); }

  // Bytes allocated.
  std::uint64_t capacity_bytes() const { return capacity_bytes_.load(std::memory_order_relaxed); }
  void set_capacity_bytes(std::uint64_t bytes) {
    capacity_bytes_.store(bytes, std::memory_order_relaxed);
  }

  // Complete, synced and final.
  bool sealed() const { return sealed_.load(std::memory_order_acquire); }
  void set_sealed() { sealed_.store(true, std::memory_order_release); }

  // Length of its hint (hint.h); 0: it has none.
  std::uint64_t hint_bytes() const { return hint_bytes_.load(std::memory_order_relaxed); }
  void set_hint_bytes(std::uint64_t bytes) { hint_bytes_.store(bytes, std::memory_order_relaxed); }

  // How often compaction has copied what is in it (2: twice or more); a restart does not know, and
  // says 1 of a compacted segment. Set before the segment is shared.
  std::uint8_t copies() const { return copies_; }
  void set_copies(std::uint8_t copies) { copies_ = copies; }

  SegmentCounts counts;

 private:
  const SegmentHeader header_;
  const std::uint32_t seed_;
  const std::unique_ptr<File> file_;
  std::uint8_t copies_;
  std::atomic<std::uint64_t> end_bytes_ = segment_header_bytes;
  std::atomic<std::uint64_t> capacity_bytes_;
  std::atomic<bool> sealed_ = false;
  std::atomic<std::uint64_t> hint_bytes_ = 0;
};

}  // namespace kvs::log
