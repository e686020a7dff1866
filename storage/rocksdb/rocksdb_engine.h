// rocksdb_engine.h - the engine "rocksdb": keys and values in a RocksDB database.
//
// RocksDB brings log, index, cache and compaction; here is what it does not have: sixteen databases
// that are emptied in constant time, exact counts, deadlines, scans with a cursor of 64 bits, and
// positions. README.md says how each is stored and what it costs.
//
// Positions are counted here, not RocksDB's sequence numbers: one of our writes is several records
// of RocksDB, and a pending write must know its LSN before it has one there. The newest one is
// stored in each batch.
#pragma once

#include <array>
#include <atomic>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>
#include <string>
#include <vector>

#include "storage/database_map.h"
#include "storage/engine.h"
#include "storage/fs.h"
#include "storage/hash.h"
#include "storage/options.h"
#include "storage/rocksdb/background.h"
#include "storage/rocksdb/format.h"
#include "storage/rocksdb/session.h"

namespace kvs::rocks {

// Where RocksDB's files are, in the data directory.
inline constexpr std::string_view folder_name = "rocksdb";

class RocksEngine final : public Engine {
 public:
  // Opens the database in the folder `rocksdb` of options.directory, or starts one. `lock` is held
  // until the engine is gone. The path of the directory must stay as it is while the engine is
  // open. Errors: corrupt, io, no_space.
  static Result<std::unique_ptr<Engine>> open(std::unique_ptr<DirectoryLock> lock,
                                              EngineOptions options);
  ~RocksEngine() override;

  Result<std::optional<KeyInfo>> find(Key key, Access access) override;
  Result<std::optional<KeyInfo>> get(Key key, Access access, std::string& value) override;
  Result<std::unique_ptr<WriteSession>> begin() override;
  Result<std::uint64_t> scan(Database database, std::uint64_t cursor, std::size_t count,
                             const ScanVisitor& visit) override;
  Result<std::optional<std::string>> random_key(Database database) override;
  DatabaseStats database_stats(Database database) const override;
  EngineStats stats() const override;
  Position committed() const override { return announced_.load(std::memory_order_acquire); }
  Position synced() const override { return synced_.load(std::memory_order_acquire); }
  Position swapped() const override { return map_.changed(); }
  Result<Position> sync() override;
  bool maintain(std::chrono::microseconds budget) override;
  void request_compaction() override { compaction_requested_ = true; }
  Result<void> close() override;

  // --- for the session that has the writer's place ---

  Lsn next_lsn() const { return committed() + 1; }
  bool expired(UnixMs expire_at) const { return expire_at != never && expire_at <= now(); }
  DatabaseMap databases() const { return map_.now(); }
  // Of a key whose database has its number on the disk, as of those below.
  Result<std::optional<KeyInfo>> find_stored(Key key, Access access);
  Result<std::optional<KeyInfo>> get_stored(Key key, Access access, std::string& value);
  // What is stored of `key`, whatever its deadline.
  Result<std::optional<Header>> committed_header(Key key);
  Result<Position> commit(const PendingWrites& writes);

  // Only open() can name an Opening, so only it can construct.
  class Opening {
    friend class RocksEngine;
    Opening() = default;
  };
  RocksEngine(Opening opening, std::filesystem::path folder, std::unique_ptr<DirectoryLock> lock,
              EngineOptions options);

 private:
  using SteadyTime = std::chrono::steady_clock::time_point;

  // Written under the writer's place, read by anybody.
  struct DatabaseState {
    std::atomic<Epoch> epoch = 0;
    std::atomic<std::uint64_t> keys = 0;
    std::atomic<std::uint64_t> volatiles = 0;
    // Not after the first deadline there is; never: there is none.
    std::atomic<UnixMs> next_deadline = never;
  };
  // A range of dead records, whose files may go.
  struct DeadRange {
    std::string begin;
    std::string end;
  };

  Result<void> open_database();
  Result<void> read_states();
  UnixMs now() const;
  Result<std::optional<DataRecord>> look_up(Key key, Access access, rocksdb::PinnableSlice& slice);
  std::optional<DataRecord> parse(std::string_view bytes, std::string_view name);
  std::unique_ptr<rocksdb::Iterator> iterate(std::string_view upper_bound,
                                             rocksdb::Slice& bound) const;
  Result<std::uint64_t> scan_stored(Database database, std::uint64_t cursor, std::size_t count,
                                    const ScanVisitor& visit);
  Result<std::optional<std::string>> random_key_stored(Database database);
  Result<std::optional<std::string>> first_present(Database database);

  Result<void> write(rocksdb::WriteBatch& batch);
  Result<Position> sync_as_tables(Position target);  // the caller holds syncing_
  State state_of(Database database) const;
  void write_pending(const PendingWrites& writes, Database database, rocksdb::WriteBatch& batch,
                     State& state, UnixMs& first_deadline);
  void show(const PendingWrites& writes, const std::array<State, databases_count>& states,
            const std::array<UnixMs, databases_count>& first_deadlines);
  Result<std::size_t> remove_expired_keys(Database database);
  bool remove_expired(SteadyTime until);
  void compact_if_requested();
  void measure_disk();
  std::uint64_t property(const std::string& name) const;

  // Constant after open().
  const std::filesystem::path folder_;
  const std::unique_ptr<DirectoryLock> lock_;
  const EngineOptions options_;
  const std::shared_ptr<Background> background_;
  std::shared_ptr<rocksdb::Cache> cache_;
  std::unique_ptr<rocksdb::DB> db_;
  HashKey secret_;
  rocksdb::ReadOptions in_memory_;  // reads that never go to the disk

  // The writer's place: whoever holds the mutex may write.
  std::mutex place_;
  std::array<DatabaseState, databases_count> databases_;  // by their numbers on the disk
  SharedDatabaseMap map_;
  // Held by a commit from the one to the other of the following two. After the place.
  std::mutex announcing_;
  // Raised before a batch becomes visible: who sees it finds committed() to cover it.
  std::atomic<Position> announced_ = 0;
  std::atomic<Position> written_ = 0;  // raised after it: what a sync can cover
  std::atomic<UnixMs> newest_clock_ = 0;

  std::mutex syncing_;
  std::atomic<Position> synced_ = 0;

  // One maintain() at a time.
  std::mutex maintenance_;
  std::atomic<bool> compaction_requested_ = false;
  bool flush_awaited_ = false;
  bool expiry_failing_ = false;
  SteadyTime next_measuring_{};
  std::mutex dead_mutex_;
  std::vector<DeadRange> dead_;

  // Counters for stats().
  std::atomic<std::uint64_t> disk_bytes_ = 0;
  std::atomic<std::uint64_t> syncs_ = 0;
  std::atomic<std::uint64_t> sync_failures_ = 0;
  std::atomic<std::uint64_t> written_bytes_ = 0;
  std::atomic<bool> log_has_error_ = false;  // since the disk was full
  std::atomic<std::uint64_t> disk_reads_ = 0;
  std::atomic<std::uint64_t> cache_hits_ = 0;
  std::atomic<std::uint64_t> corrupt_reads_ = 0;
  std::atomic<std::uint64_t> expired_keys_ = 0;
  double recovery_seconds_ = 0;
};

}  // namespace kvs::rocks
