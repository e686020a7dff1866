// sim_fs.h - a file system in memory that knows what a power cut may leave (storage/fs.h).
//
// Each file has its contents now, as of its last sync and in between; so have names. `power_cut`
// picks one of the states that the rules allow: of every unsynced sector the bytes of any time
// since the sync, of the size and of every unsynced name likewise. What a failed sync was to write
// counts as lost until it is written again, however many later syncs succeed, since Linux takes the
// pages for clean. Faults: a hook sees every call that changes something, in order, and may make it
// fail; after `power_off_at` calls everything fails, as on a machine that is going down.
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
    std::vector<std::string> between;  // contents before each change since the last sync
    std::set<std::size_t> lost;        // sectors that a failed sync was to write
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

  // The unit in which unsynced bytes survive. The default is smaller than a disk's, since the files
  // of these tests are: what is torn here into several pieces would be one sector otherwise, and
  // the order in which they arrive would not be tested. A divisor of it, or a multiple, is fine.
  std::size_t sector_bytes = 32;

  // What share of what was not synced a power cut keeps.
  enum class Keep { nothing, everything, some };
  // Everybody who had files open must be gone. Resets power_off_at and the hook.
  void power_cut(Keep keep, std::uint64_t seed);

  // One thing that a power cut decides; it says how many ways there are and is told which one:
  // 0 is the oldest (as of the last sync), options - 1 the newest. Asked in the same order whenever
  // the answers are the same; a file's size is asked for before its sectors, even when it is known.
  enum class Item { name, size, sector };
  using Choose = std::function<std::size_t(Item item, std::size_t options)>;
  void power_cut(const Choose& choose);

  // Equal for equal names and contents. What is not synced is not looked at.
  std::uint64_t digest() const;

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
