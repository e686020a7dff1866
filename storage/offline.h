// offline.h - what can be done with a data directory that no server has open: verify it, rescue
// what is right in it, fill an empty one from a backup. For programs; what happens is described in
// log/check.h, log/salvage.h and log/restore.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "storage/engine.h"

namespace kvs {

struct Damage {
  std::string file;
  std::uint64_t offset_bytes = 0;
  std::uint64_t bytes = 0;
  Lsn first_lsn = 0;  // of the records affected; 0: not known
  Lsn last_lsn = 0;
  std::string key;  // printable, with its database; empty: not readable
  std::string what;
};

// "FILE at offset 120, 33 bytes: checksum ...; LSN 4 to 4; key "x" of database 0"
std::string to_text(const Damage& damage);

enum class Verdict : std::uint8_t {
  good,
  torn_tail,  // opens, and loses an unfinished write that nobody was told is safe
  corrupt,    // something is damaged; it does not open, unless hints spare a start the place
};

struct CheckReport {
  Verdict verdict = Verdict::good;
  std::string refusal;  // corrupt: what open says, if it refuses
  // Every damaged place, at most check_damages_max of them, and how many there are.
  std::vector<Damage> damages;
  std::uint64_t damages_count = 0;
  std::string torn_file;
  std::uint64_t torn_offset_bytes = 0;
  std::uint64_t torn_bytes = 0;

  std::uint64_t segments = 0;
  std::uint64_t bytes = 0;
  std::uint64_t frames = 0;
  std::uint64_t values = 0;
  std::uint64_t tombstones = 0;
  std::uint64_t clears = 0;
  std::uint64_t swaps = 0;
  // Of a log that opens.
  std::uint64_t keys = 0;
  std::uint64_t live_bytes = 0;
  std::uint64_t dead_bytes = 0;
  Lsn last_lsn = 0;
  std::uint64_t leftover_files = 0;  // that the next open removes
  std::uint64_t hints = 0;           // that say what their segments say
  // Hints that the next open does not believe, and makes anew: no damage to any data.
  std::vector<std::string> unusable_hints;
};
inline constexpr std::size_t check_damages_max = 100'000;

struct SalvageReport {
  enum class Outcome : std::uint8_t {
    nothing_to_do,  // the log opens as it is, and nothing was changed
    nothing_lost,   // repaired; every record that counted is there
    lost,           // repaired; see `losses`
  };
  Outcome outcome = Outcome::nothing_to_do;
  std::string quarantine;           // path; empty when nothing was done
  std::vector<std::string> losses;  // for people, one place each
  std::string text;                 // the whole report, as in QUARANTINE/REPORT.txt
  std::uint64_t segments_kept = 0;
  std::uint64_t segments_rewritten = 0;
  std::uint64_t records_rescued = 0;  // copied out of damaged segments
};

struct RestoreSummary {
  Position position = 0;
  UnixMs created = 0;  // when the backup was made
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
};

// Looks at every byte in the directory and changes nothing. Errors: not_found (no log of this
// engine), busy (a server has it open), wrong_engine, io.
Result<CheckReport> check_directory(const std::filesystem::path& path);

// Makes a log that does not open one that does. Errors: as above, no_space; the log is as it was
// then, or a new call finishes what this one has begun.
Result<SalvageReport> salvage_directory(const std::filesystem::path& path);

// Makes `target`, which is empty or does not exist, a data directory with the contents of `backup`.
// Errors: not_found (no backup), corrupt (it is damaged; the target is untouched), invalid (the
// target is not empty), busy, no_space, io.
Result<RestoreSummary> restore_backup(const std::filesystem::path& backup,
                                      const std::filesystem::path& target);

}  // namespace kvs
