// backups.h - backups that clients ask for: one at a time, and only below one directory.
//
// What a client says becomes the name of a directory entry and nothing else (valid_backup_name);
// where that entry is to be is the operator's to say (--backup-dir). BGSAVE's runs on a thread of
// its own, not on libuv's pool: it may read for minutes, and the pool's few threads are for
// requests.
#pragma once

#include <atomic>
#include <chrono>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>

#include "storage/engine.h"

namespace kvs::daemon {

struct Services;

// Thread: any.
class Backups {
 public:
  // `services` and what it refers to must outlive this; the engine is not touched before a backup
  // is asked for.
  Backups(Services& services, std::filesystem::path root)
      : services_(services), root_(std::move(root)) {}
  ~Backups();
  Backups(const Backups&) = delete;
  Backups& operator=(const Backups&) = delete;

  // Makes the backup `name` and returns when it is there. Errors: as Engine::backup; invalid when
  // there is no directory for backups.
  Result<BackupSummary> make(const std::string& name);

  // Begins one with a name made of the time, on a thread of its own. Errors: as above, busy.
  Result<void> start();

  // "save-20240501T120000Z", of now; a number behind it when there is one already.
  std::string name_for_now() const;

  struct Status {
    bool running = false;
    bool last_ok = true;
    std::uint64_t completed = 0;
    std::int64_t last_completed_unix_seconds = 0;  // 0: none since the start
    std::int64_t last_took_seconds = -1;           // -1: none
    std::int64_t current_seconds = -1;             // -1: none is running
    std::string last_name;
    std::string last_error;
    BackupSummary last;
  };
  Status status() const;

  // Gives up what is running and returns when it has ended. No other call may follow.
  void stop();

 private:
  Result<void> begin();
  Result<BackupSummary> run(const std::string& name);

  Services& services_;
  const std::filesystem::path root_;
  std::atomic<bool> stopping_ = false;

  mutable std::mutex mutex_;  // guards what follows
  Status status_;
  std::chrono::steady_clock::time_point began_;
  std::thread thread_;  // of the last start()
};

}  // namespace kvs::daemon
