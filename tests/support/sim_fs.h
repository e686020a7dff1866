// sim_fs.h - a file system in memory that knows what a power cut may leave (storage/fs.h).
//
// Each file has its contents now and as of its last sync; each directory its entries now and as of
// its last sync. `power_cut` picks, by a seed, one of the states that the rules allow: of every
// unsynced sector the old or the new bytes, of the size either, of every unsynced name either.
// Faults: a hook sees every call that changes something, in order, and may make it fail; after
// `power_off_at` calls everything fails, as on a machine that is going down.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "storage/fs.h"

namespace kvs::test {

enum class SimCall {
  open,
  write,
  sync_data,
  preallocate,
  truncate,
  rename,
  remove,
  sync_directory,
  link,
  create_directory
};

class SimFs final : public Fs, public std::enable_shared_from_this<SimFs> {
 public:
  struct Inode {
    std::string now;
    std::string durable;
  };
  struct Entries {
    std::map<std::string, std::shared_ptr<Inode>> now;
    std::map<std::string, std::shared_ptr<Inode>> durable;
    std::set<std::string> locked;
  };

  // Called before each changing call with its kind, the file's name and the number of the call
  // (from 1): returns the errno that it fails with, or 0. A failing write writes half.
  std::function<int(SimCall call, const std::string& name, std::uint64_t number)> hook;

  // Called before each read (which is not counted) with the file's name: returns its errno or 0.
  std::function<int(const std::string& name)> read_hook;

  // From this call on everything fails with EIO; 0: never.
  std::uint64_t power_off_at = 0;
  // No more bytes than this in all files together; beyond it is ENOSPC.
  std::uint64_t capacity_bytes = UINT64_MAX;

  std::uint64_t calls() const { return calls_; }
  bool powered_off() const { return power_off_at != 0 && calls_ >= power_off_at; }

  // What share of what was not synced a power cut keeps.
  enum class Keep { nothing, everything, some };
  // Everybody who had files open must be gone. Resets power_off_at and the hook.
  void power_cut(Keep keep, std::uint64_t seed);

  // All files, for tests that look at or damage them: those of /sim by their name, those of
  // directories that were created by their path ("quarantine-1/REPORT.txt",
  // "backups/monday/BACKUP").
  std::map<std::string, std::shared_ptr<Inode>>& files() { return entries_->now; }
  // A deep copy of files and names, what is not synced included; without hook and locks.
  std::shared_ptr<SimFs> fork() const;

  Result<std::unique_ptr<Directory>> open_directory(const std::filesystem::path& path) override;
  Result<void> create_directory(const std::filesystem::path& path) override;

 private:
  friend class SimFile;
  friend class SimDirectory;

  // Returns the errno that this call fails with, or 0. Called with mutex_ held.
  int enter(SimCall call, const std::string& name);
  std::uint64_t used_bytes() const;

  std::mutex mutex_;
  std::uint64_t calls_ = 0;
  std::shared_ptr<Entries> entries_ = std::make_shared<Entries>();
  // Besides /sim: as prefixes of names, "backups/monday/". Creating one is durable at once, as
  // Fs::create_directory promises.
  std::set<std::string> directories_;
};

}  // namespace kvs::test
