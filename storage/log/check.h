// check.h - looks at every byte of a data directory and names everything that is damaged.
//
// It only reads, through a Directory that can do nothing else. The verdict is that of recovery
// (recovery.h), so that "good" means "opens": what the survey of the segments adds is every damaged
// place instead of the first, and whatever recovery did not need to look at.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "storage/fs.h"
#include "storage/log/manifest.h"
#include "storage/log/survey.h"

namespace kvs::log {

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
  corrupt,    // does not open
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
  // Of a log that opens.
  std::uint64_t keys = 0;
  std::uint64_t live_bytes = 0;
  std::uint64_t dead_bytes = 0;
  Lsn last_lsn = 0;
  std::uint64_t leftover_files = 0;  // that the next open removes
};
inline constexpr std::size_t check_damages_max = 100'000;

// Checks the log in `directory`. Nothing may change it meanwhile. Errors: not_found when there is no
// log, wrong_engine when it is not this engine's, io.
Result<CheckReport> check(Directory& directory);

// The contents of ENGINE in a directory of this engine.
inline constexpr std::string_view engine_marker = "kvs 1\n";

// Whose directory is it, as far as ENGINE can tell? Errors: wrong_engine, io.
enum class Marker : std::uint8_t { ours, missing, damaged };
Result<Marker> read_marker(Directory& directory);

// Calls open(), list() and path() of another directory, for reading; nothing else succeeds.
class ReadOnlyDirectory final : public Directory {
 public:
  explicit ReadOnlyDirectory(Directory& directory) : directory_(directory) {}

  const std::string& path() const override { return directory_.path(); }
  Result<std::unique_ptr<File>> open(std::string_view name, OpenMode mode) override;
  Result<std::vector<std::string>> list() override { return directory_.list(); }
  Result<void> rename(std::string_view, std::string_view) override { return refuse(); }
  Result<void> remove(std::string_view) override { return refuse(); }
  Result<void> sync() override { return refuse(); }
  Result<std::unique_ptr<DirectoryLock>> lock(std::string_view) override;

 private:
  static Result<void> refuse() { return fail(Code::read_only, "opened for reading only"); }

  Directory& directory_;
};

}  // namespace kvs::log
