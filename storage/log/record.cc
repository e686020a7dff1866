#include "storage/log/record.h"

#include <cassert>

#include "storage/database_map.h"
#include "storage/limits.h"
#include "storage/log/bytes.h"
#include "storage/log/checksum.h"

namespace kvs::log {
namespace {

constexpr std::size_t kind_at = 4;
constexpr std::size_t flags_at = 5;
constexpr std::size_t type_at = 6;
constexpr std::size_t database_at = 7;
constexpr std::size_t key_length_at = 8;
constexpr std::size_t value_length_at = 12;

constexpr std::size_t optional_bytes(std::uint8_t flags) {
  std::size_t bytes = 0;
  if (flags & record_flags::expire_at) bytes += 8;
  if (flags & record_flags::own_lsn) bytes += 8;
  return bytes;
}

std::uint8_t flags_of(const Record& record) {
  std::uint8_t flags = 0;
  if (record.expire_at != never) flags |= record_flags::expire_at;
  if (record.own_lsn != 0) flags |= record_flags::own_lsn;
  return flags;
}

}  // namespace

bool fits_swap(Database database, std::string_view key) {
  return database == 0 && DatabaseMap::parse(key);
}

std::uint64_t encoded_bytes(const Record& record) {
  return record_header_bytes + optional_bytes(flags_of(record)) + record.key.size() +
         record.value.size();
}

void append_record_head(std::string& out, const Record& record) {
  assert(record.database < databases_count);
  assert(record.key.size() <= limits::key_bytes_max);
  assert(record.value.size() <= limits::value_bytes_max);
  assert(record.own_lsn <= limits::lsn_max);
  assert(record.expire_at >= 0);

  const std::uint8_t flags = flags_of(record);
  char header[record_header_bytes + 16];
  store_le(header, std::uint32_t{0});
  store_le(header + kind_at, static_cast<std::uint8_t>(record.kind));
  store_le(header + flags_at, flags);
  store_le(header + type_at, value_type_string);
  store_le(header + database_at, std::uint8_t{record.database});
  store_le(header + key_length_at, static_cast<std::uint32_t>(record.key.size()));
  store_le(header + value_length_at, static_cast<std::uint32_t>(record.value.size()));
  char* end = header + record_header_bytes;
  if (flags & record_flags::expire_at) {
    store_le(end, static_cast<std::uint64_t>(record.expire_at));
    end += 8;
  }
  if (flags & record_flags::own_lsn) {
    store_le(end, std::uint64_t{record.own_lsn});
    end += 8;
  }
  out.append(header, static_cast<std::size_t>(end - header));
  out.append(record.key);
}

void append_record(std::string& out, const Record& record) {
  append_record_head(out, record);
  out.append(record.value);
}

void stamp_record(char* record, std::size_t record_bytes, std::uint32_t segment_seed,
                  std::uint64_t offset_bytes, Lsn lsn, std::string_view rest) {
  const std::string_view covered(record + 4, record_bytes - 4);
  std::uint32_t crc = crc32c(record_seed(segment_seed, offset_bytes, lsn), covered);
  if (!rest.empty()) crc = crc32c(crc, rest);
  store_le(record, crc);
}

std::size_t appended_record_bytes(const char* record) {
  return record_header_bytes + optional_bytes(load_le<std::uint8_t>(record + flags_at)) +
         load_le<std::uint32_t>(record + key_length_at) +
         load_le<std::uint32_t>(record + value_length_at);
}

// The numbers are those of log_format.md, "A record is valid when".
ParsedRecord parse_record(std::string_view available) {
  ParsedRecord parsed;
  const auto refuse = [&parsed](const char* fault) {
    parsed.fault = fault;
    return parsed;
  };
  // 1
  if (available.size() < record_header_bytes) return refuse("record header does not fit");
  const char* header = available.data();
  // 2
  const auto kind = load_le<std::uint8_t>(header + kind_at);
  if (kind < 1 || kind > 4) return refuse("unknown kind of record");
  parsed.record.kind = static_cast<RecordKind>(kind);
  // 3
  const auto flags = load_le<std::uint8_t>(header + flags_at);
  if (flags & ~(record_flags::expire_at | record_flags::own_lsn)) return refuse("unknown flag");
  // 4
  if (load_le<std::uint8_t>(header + type_at) != value_type_string) {
    return refuse("unknown type of value");
  }
  // 5
  parsed.record.database = load_le<std::uint8_t>(header + database_at);
  if (parsed.record.database >= databases_count) return refuse("unknown database");
  // 6
  const std::uint64_t key_bytes = load_le<std::uint32_t>(header + key_length_at);
  const std::uint64_t value_bytes = load_le<std::uint32_t>(header + value_length_at);
  if (key_bytes > limits::key_bytes_max) return refuse("key too long");
  if (value_bytes > limits::value_bytes_max) return refuse("value too long");
  // 7
  const std::uint64_t prefix = record_header_bytes + optional_bytes(flags);
  if (prefix + key_bytes + value_bytes > available.size()) return refuse("record does not fit");
  // 8
  const bool expires = (flags & record_flags::expire_at) != 0;
  if (parsed.record.kind != RecordKind::value && (value_bytes != 0 || expires)) {
    return refuse("removal with a value or a deadline");
  }
  if (parsed.record.kind == RecordKind::clear && key_bytes != 0) return refuse("clear with a key");
  // 9
  const char* next = header + record_header_bytes;
  if (expires) {
    const auto deadline = load_le<std::uint64_t>(next);
    if (deadline == 0 || deadline > static_cast<std::uint64_t>(INT64_MAX)) {
      return refuse("impossible deadline");
    }
    parsed.record.expire_at = static_cast<UnixMs>(deadline);
    next += 8;
  }
  // 10
  if (flags & record_flags::own_lsn) {
    parsed.record.own_lsn = load_le<std::uint64_t>(next);
    if (parsed.record.own_lsn == 0 || parsed.record.own_lsn > limits::lsn_max) {
      return refuse("impossible LSN");
    }
    next += 8;
  }
  parsed.record.key = {next, static_cast<std::size_t>(key_bytes)};
  parsed.record.value = {next + key_bytes, static_cast<std::size_t>(value_bytes)};
  // 11
  if (parsed.record.kind == RecordKind::swap &&
      !fits_swap(parsed.record.database, parsed.record.key)) {
    return refuse("swap without a map of databases");
  }
  parsed.bytes = static_cast<std::size_t>(prefix + key_bytes + value_bytes);
  return parsed;
}

bool checksum_matches(std::string_view record, std::uint32_t segment_seed,
                      std::uint64_t offset_bytes, Lsn lsn) {
  assert(record.size() >= record_bytes_min);
  return load_le<std::uint32_t>(record.data()) ==
         crc32c(record_seed(segment_seed, offset_bytes, lsn), record.substr(4));
}

}  // namespace kvs::log
