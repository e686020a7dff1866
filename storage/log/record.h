// record.h - one record: a value set, a key removed, a database emptied, or two exchanged.
//
// Layout (little-endian; log_format.md has a worked example):
//    0  u32  crc32c of everything after this field, seeded with segment, offset and LSN
//    4  u8   kind: 1 value, 2 tombstone, 3 clear-database, 4 swap-databases
//    5  u8   flags
//    6  u8   type of the value; 0 string
//    7  u8   database
//    8  u32  key length in bytes
//   12  u32  value length in bytes
//   16  u64  expire-at in ms          if flag expire_at
//    .  u64  LSN of the record        if flag own_lsn (else: the frame's first LSN plus its number)
//    .  key, value
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "storage/engine.h"

namespace kvs::log {

enum class RecordKind : std::uint8_t {
  value = 1,
  tombstone = 2,
  clear = 3,
  swap = 4,  // its key is the whole DatabaseMap, its database 0
};

// Is the record about one key? The others are about whole databases.
inline bool is_of_a_key(RecordKind kind) {
  return kind == RecordKind::value || kind == RecordKind::tombstone;
}

namespace record_flags {
inline constexpr std::uint8_t expire_at = 1 << 0;
inline constexpr std::uint8_t own_lsn = 1 << 1;
// Reserved; a record that carries one of them is refused.
inline constexpr std::uint8_t compressed = 1 << 2;
inline constexpr std::uint8_t encrypted = 1 << 3;
inline constexpr std::uint8_t previous_link = 1 << 4;
}  // namespace record_flags

inline constexpr std::size_t record_header_bytes = 16;
static_assert(record_header_bytes == 4 + 4 * 1 + 4 + 4);
inline constexpr std::size_t record_bytes_min = record_header_bytes;
inline constexpr std::uint8_t value_type_string = 0;

// Are these database and key those of a swap?
bool fits_swap(Database database, std::string_view key);

// A record, its strings borrowed.
struct Record {
  RecordKind kind = RecordKind::value;
  Database database = 0;
  UnixMs expire_at = never;
  Lsn own_lsn = 0;  // 0: not written
  std::string_view key;
  std::string_view value;
};

std::uint64_t encoded_bytes(const Record& record);

// Appends the record with its checksum left zero: its place is not known yet.
void append_record(std::string& out, const Record& record);

// Appends all of the record but its value, which whoever writes the record has elsewhere.
void append_record_head(std::string& out, const Record& record);

// Sets the checksum of the record whose first `record_bytes` are at `record`, and the rest (the end
// of its value; most often nothing) in `rest`.
void stamp_record(char* record, std::size_t record_bytes, std::uint32_t segment_seed,
                  std::uint64_t offset_bytes, Lsn lsn, std::string_view rest = {});

// Bytes of the record that append_record or append_record_head wrote at `record`, with its value.
std::size_t appended_record_bytes(const char* record);

// The result of looking at bytes that may or may not be a record. `fault` names the rule that they
// break, or is null.
struct ParsedRecord {
  const char* fault = nullptr;
  Record record;  // borrows from the bytes
  std::size_t bytes = 0;
};

// Reads the record at the start of `available`, checking every rule but the checksum. Never reads
// beyond `available`, and allocates nothing.
ParsedRecord parse_record(std::string_view available);

bool checksum_matches(std::string_view record, std::uint32_t segment_seed,
                      std::uint64_t offset_bytes, Lsn lsn);

}  // namespace kvs::log
