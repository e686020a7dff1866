// log_engine.h - the engine "kvs": a log of segments on disk, an index of it in memory.
//
// It puts the parts together and owns them: Catalog (which segments there are), Keydir (where each
// key's record is), Writer (the end of the log), Compactor, and the writes of the session that has
// the writer's place. What the parts do is in their headers; the format is in
// storage/log_format.md.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "storage/database_map.h"
#include "storage/engine.h"
#include "storage/fs.h"
#include "storage/log/catalog.h"
#include "storage/log/clears.h"
#include "storage/log/compactor.h"
#include "storage/log/health.h"
#include "storage/log/hint_job.h"
#include "storage/log/keydir.h"
#include "storage/log/recovery.h"
#include "storage/log/reserve.h"
#include "storage/log/scrub.h"
#include "storage/log/session.h"
#include "storage/log/writer.h"
#include "storage/options.h"

namespace kvs::log {

class LogEngine final : public Engine {
 public:
  // Starts a log in `directory`, or reads the MANIFEST of the one that is there; load() reads the
  // rest. `lock` is held until the engine is gone. Errors: corrupt, io, no_space; the log is
  // unchanged then.
  static Result<std::unique_ptr<Engine>> prepare(std::unique_ptr<Directory> directory,
                                                 std::unique_ptr<DirectoryLock> lock,
                                                 EngineOptions options);
  ~LogEngine() override;

  Result<void> load() override;
  Result<std::optional<KeyInfo>> find(Key key, Access access) override;
  Result<std::optional<KeyInfo>> get(Key key, Access access, std::string& value) override;
  void prefetch(std::span<const Key> keys) const override;
  Result<std::optional<ColdRead>> plan_cold_read(Key key) override;
  bool finish_cold_read(Key key, const ColdRead& read, std::string& bytes) override;
  Result<std::unique_ptr<WriteSession>> begin() override;
  Result<std::uint64_t> scan(Database database, std::uint64_t cursor, std::size_t count,
                             const ScanVisitor& visit) override;
  Result<std::optional<std::string>> random_key(Database database) override;
  DatabaseStats database_stats(Database database) const override;
  EngineStats stats() const override;
  std::uint64_t memory_bytes() const override {
    return keydir_.memory_bytes() + keydir_.cache_bytes();
  }
  Position committed() const override;
  Position synced() const override;
  Position swapped() const override { return databases_.changed(); }
  Result<Position> sync() override;
  bool maintain(std::chrono::microseconds budget) override;
  bool expire(std::chrono::microseconds budget) override;
  UnixMs next_deadline() const override { return keydir_.next_deadline(); }
  void request_compaction() override;
  Result<void> request_scrub() override;
  Result<BackupSummary> backup(const BackupRequest& request) override;

  void pause_compaction() override { compactor_.pause(); }
  void resume_compaction() override { compactor_.resume(); }
  void limit_compaction(std::uint64_t bytes_per_second) override {
    compactor_.limit(bytes_per_second);
  }
  std::chrono::milliseconds maintenance_rest() const override;
  bool disk_full() const override { return disk_full_.load(std::memory_order_relaxed); }
  Result<void> close() override;

  // --- for the session that has the writer's place ---

  DatabaseMap databases() const { return databases_.now(); }
  // Of a key whose database is the number on the disk.
  Result<std::optional<KeyInfo>> find_stored(Key key);
  Result<std::optional<KeyInfo>> get_stored(Key key, Access access, std::string& value);

  Lsn next_lsn() const { return writer_.next_lsn(); }
  // Has this deadline passed? The clock is asked only if there is one.
  bool expired(UnixMs expire_at) const { return expire_at != never && expire_at <= now(); }
  // Is there an entry, whatever its deadline? Of a key as above.
  bool indexed(Key key) const { return keydir_.find(key).has_value(); }
  Result<Position> commit(PendingWrites& writes, Visibility visibility);

  // Only prepare() can name an Opening, so only it can construct.
  class Opening {
    friend class LogEngine;
    Opening() = default;
  };
  LogEngine(Opening opening, std::unique_ptr<Directory> directory,
            std::unique_ptr<DirectoryLock> lock, EngineOptions options, const HashKey& hash_key);

 private:
  Result<void> initialise();
  Result<void> restore(const Manifest& manifest);
  void remove_orphans();

  UnixMs now() const;
  void report(EngineOptions::Severity severity, std::string_view text) const;
  Result<bool> read_record(Key key, const Entry& entry, std::string& value);
  void publish(PendingWrites& writes, Visibility visibility, const Writer::Placed& placed);
  std::optional<std::string> random_key_stored(Database database);
  void remove_live(const Location& location);
  bool remove_expired(SteadyTime until);
  void start_requested_compaction();
  void prepare_next();
  void look_at_room_for_hints();
  void look_for_room();
  void note_full_disk(const Error& error);
  void slow_down();

  // Constant after open().
  const std::unique_ptr<Directory> directory_;
  const std::unique_ptr<DirectoryLock> lock_;
  const EngineOptions options_;

  // Thread-safe by themselves.
  Progress progress_;
  Health health_;
  Catalog catalog_;
  Reserve reserve_;
  Keydir keydir_;
  Clears clears_;
  SharedDatabaseMap databases_;

  // The writer's place: whoever holds the mutex may use what follows.
  std::mutex place_;
  Writer writer_;  // sync() and prepare_next() by anybody
  PendingWrites pending_;
  std::uint64_t delayed_upto_bytes_ = 0;     // of written_bytes_: delays were paid for these
  std::chrono::microseconds delay_owed_{0};  // too short to sleep for

  // One maintain() at a time.
  std::mutex maintenance_;
  Compactor compactor_;
  HintJob hints_;
  Scrubber scrubber_;  // stats() and request() by anybody
  bool preparing_failed_ = false;
  std::atomic<bool> compaction_requested_ = false;
  SteadyTime looked_for_room_at_{};

  std::atomic<bool> disk_full_ = false;

  // One backup at a time.
  std::mutex backing_up_;

  // Counters for stats().
  std::atomic<std::uint64_t> written_bytes_ = 0;
  std::atomic<std::uint64_t> disk_reads_ = 0;
  std::atomic<std::uint64_t> cache_hits_ = 0;
  std::atomic<std::uint64_t> corrupt_reads_ = 0;
  std::atomic<std::uint64_t> read_errors_ = 0;
  std::atomic<std::uint64_t> expired_keys_ = 0;
  std::atomic<std::uint64_t> writer_delays_ = 0;
  std::atomic<std::uint64_t> writer_delay_us_ = 0;

  // Of load(), while which stats() may be asked.
  std::optional<Manifest> to_load_;
  std::atomic<bool> loaded_ = false;
  std::atomic<std::uint64_t> recovered_records_ = 0;
  std::atomic<std::uint64_t> torn_bytes_cut_ = 0;
  std::atomic<std::uint64_t> hints_used_ = 0;
  std::atomic<std::uint64_t> hints_bad_ = 0;
  std::atomic<double> recovery_seconds_ = 0;
};

}  // namespace kvs::log
