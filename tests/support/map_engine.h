// map_engine.h - an Engine in memory for tests of what stands above the engine.
//
// As plain as can be: one map under one mutex. It keeps the interface's promises on visibility (a
// session sees its own writes, others see them after commit, all at once) and adds two handles for
// faults: values that count as not resident, and a commit that fails.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "storage/engine.h"

namespace kvs::test {

// Thread: any.
class MapEngine : public Engine {
 public:
  using Clock = std::function<UnixMs()>;
  explicit MapEngine(Clock clock = {});

  // While set, a read that may not block is refused for every key that is present.
  void set_cold(bool cold) { cold_ = cold; }
  // The next commit fails with `error`.
  void fail_next_commit(Error error);
  // While set, no session can be begun, as of an engine whose log has failed.
  void refuse_writes(std::optional<Error> error);
  // Every read of a value fails with `error` until it is called with nullopt.
  void fail_reads(std::optional<Error> error);
  unsigned compactions_requested() const { return compactions_requested_; }
  // As an engine whose disk is full.
  void set_disk_full(bool full) { disk_full_ = full; }

  Result<std::optional<KeyInfo>> find(Key key, Access access) override;
  Result<std::optional<KeyInfo>> get(Key key, Access access, std::string& value) override;
  Result<std::unique_ptr<WriteSession>> begin() override;
  Result<std::uint64_t> scan(Database database, std::uint64_t cursor, std::size_t count,
                             const ScanVisitor& visit) override;
  Result<std::optional<std::string>> random_key(Database database) override;
  DatabaseStats database_stats(Database database) const override;
  EngineStats stats() const override;
  Position committed() const override;
  Position synced() const override;
  Position swapped() const override;
  Result<Position> sync() override;
  bool maintain(std::chrono::microseconds budget) override;
  void request_compaction() override { ++compactions_requested_; }
  void pause_compaction() override { compaction_paused_ = true; }
  void resume_compaction() override { compaction_paused_ = false; }
  void limit_compaction(std::uint64_t bytes_per_second) override {
    compaction_limit_bytes_ = bytes_per_second;
  }
  bool disk_full() const override { return disk_full_; }
  Result<void> close() override { return {}; }

 private:
  friend class MapSession;
  struct Entry {
    std::string value;
    UnixMs expire_at = never;
    Lsn lsn = 0;
  };
  using Name = std::pair<Database, std::string>;
  using Changes = std::map<Name, std::optional<Entry>>;
  using Contents = std::map<std::string, Entry>;

  std::optional<Entry> lookup(Key key) const;
  Contents contents(Database database) const;
  bool expired(const Entry& entry) const;

  const Clock clock_;
  std::mutex writer_;  // the writer's place: locked by the session there is
  std::atomic<bool> cold_{false};
  std::atomic<bool> disk_full_{false};
  std::atomic<bool> compaction_paused_{false};
  std::atomic<std::uint64_t> compaction_limit_bytes_{0};
  std::atomic<unsigned> compactions_requested_{0};
  mutable std::mutex mutex_;  // guards what follows
  std::map<Name, Entry> entries_;
  Lsn last_lsn_ = 0;
  Position synced_ = 0;
  Position swapped_ = 0;
  std::optional<Error> commit_failure_;
  std::optional<Error> read_failure_;
  std::optional<Error> refusal_;
};

}  // namespace kvs::test
