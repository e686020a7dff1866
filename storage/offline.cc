#include "storage/offline.h"

#include <chrono>
#include <utility>

#include "storage/fs.h"
#include "storage/log/check.h"
#include "storage/log/restore.h"
#include "storage/log/salvage.h"

namespace kvs {
namespace {

constexpr std::string_view lock_name = "LOCK";

}  // namespace

Result<CheckReport> check_directory(const std::filesystem::path& path) {
  const auto fs = real_fs();
  auto directory = fs->open_directory(path);
  if (!directory) return std::unexpected(directory.error());
  auto lock = (*directory)->lock_shared(lock_name);
  if (!lock) return std::unexpected(lock.error());
  return log::check(**directory);
}

Result<SalvageReport> salvage_directory(const std::filesystem::path& path) {
  const auto fs = real_fs();
  auto directory = fs->open_directory(path);
  if (!directory) return std::unexpected(directory.error());
  // No file is made in a directory that is not ours.
  if (auto marker = log::read_marker(**directory); !marker) {
    return std::unexpected(marker.error());
  }
  auto lock = (*directory)->lock(lock_name);
  if (!lock) return std::unexpected(lock.error());
  const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::system_clock::now().time_since_epoch());
  return log::salvage(*fs, path, **directory, now.count());
}

Result<RestoreSummary> restore_backup(const std::filesystem::path& backup,
                                      const std::filesystem::path& target) {
  const auto fs = real_fs();
  return log::restore(*fs, backup, target);
}

}  // namespace kvs
