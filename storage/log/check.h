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
#include "storage/offline.h"

namespace kvs::log {

using kvs::CheckReport;
using kvs::Damage;
using kvs::Verdict;

// Checks the log in `directory`. Nothing may change it meanwhile. Errors: not_found when there is
// no log, wrong_engine when it is not this engine's, io.
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
