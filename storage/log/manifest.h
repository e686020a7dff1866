// manifest.h - the file MANIFEST: which segments make up the log.
//
// A short text with a checksum as its last line (log_format.md), never changed in place but
// replaced as a whole. A segment that is not named in it does not exist.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/fs.h"
#include "storage/hash.h"
#include "storage/log/health.h"
#include "storage/log/segment.h"

namespace kvs::log {

inline constexpr std::string_view manifest_name = "MANIFEST";

struct ManifestEntry {
  SegmentId id = 0;
  SegmentKind kind = SegmentKind::log;
  bool sealed = false;
  // Of a sealed segment; zero otherwise.
  std::uint64_t bytes = 0;
  std::uint64_t records = 0;
  Lsn min_lsn = 0;
  Lsn max_lsn = 0;

  bool operator==(const ManifestEntry&) const = default;
};

// Where the log ended when the engine was closed.
struct CleanStop {
  SegmentId segment = 0;
  std::uint64_t offset_bytes = 0;

  bool operator==(const CleanStop&) const = default;
};

struct Manifest {
  HashKey hash_key;
  Lsn durable = 0;        // everything up to here was on stable storage
  Lsn dropped = 0;        // the greatest LSN of log segments that compaction has dropped
  UnixMs clock = 0;       // the engine's, when this was written
  SegmentId next_id = 1;  // greater than any used so far
  std::vector<ManifestEntry> segments;  // log segments in the order in which they were written
  std::optional<CleanStop> clean_stop;
};

std::string encode_manifest(const Manifest& manifest);

// Errors: corrupt, naming the line and the rule it breaks.
Result<Manifest> parse_manifest(std::string_view text);

// Replaces the file `name` so that after a crash either the old or the new contents are there, and
// after success the new ones. A failure from which nobody can tell which of them is there closes
// `health`.
Result<void> replace_file(Directory& directory, std::string_view name, std::string_view contents,
                          Health& health);

// Reads a whole file of at most `bytes_max`. Errors: not_found, corrupt when it is longer, io.
Result<std::string> read_file(Directory& directory, std::string_view name, std::size_t bytes_max);

}  // namespace kvs::log
