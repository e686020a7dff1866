// damage_util.h - a small log with everything in it, and what its tests do to it.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "storage/log/check.h"
#include "storage/log/salvage.h"
#include "tests/support/storage_model.h"
#include "tests/unit/storage/storage_test_util.h"

namespace kvs::test {

// All files as they are.
inline std::map<std::string, std::string> snapshot(SimFs& fs) {
  std::map<std::string, std::string> files;
  for (const auto& [name, inode] : fs.files()) files[name] = inode->now;
  return files;
}

enum class Stop { clean, killed };

// Values, removals, a cleared database, swapped ones, deadlines, sealed log segments and a
// compacted one; all of it synced. `states` gets the values that each key ever had.
std::shared_ptr<SimFs> reference_log(Stop stop,
                                     std::map<ModelKey, std::set<std::string>>* history = nullptr);

log::CheckReport check_log(SimFs& fs);
Result<log::SalvageReport> salvage_log(SimFs& fs, UnixMs now = 1'700'000'000'000);

// One line per damage.
std::string to_text(const log::CheckReport& report);

}  // namespace kvs::test
