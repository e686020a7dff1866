// keydir.h - the index of the log engine: every key in memory, its value on disk.
//
// For each key the index holds where its newest record lies, and, while there is room, a copy of
// the value in a ring of recently written and read values. It decides between records by their LSN
// alone: for one key the greatest wins, so the order in which records are fed does not matter.
//
// The hash of a key, cut to 41 bits, places it: 5 bits choose one of 32 shards, 4 bits one of its
// tables, 32 bits order the keys inside. A shard is a mutex and what it guards, and no shard is
// ever locked across I/O or a caller's code, so that readers wait for memory work only, and for
// that of few changes (unless a batch has to be seen together). A table is a directory of
// small sorted blocks (key_table.h) that grows by one small split at a time, and a SCAN cursor is
// simply the next hash to visit.
//
// What a call copies is bounded: a block (2 KiB), a run of deadlines (3 KiB), the directory of one
// table of 512 (tests/unit/storage/keydir_test.cc counts it), and when an arena of nodes is tidied
// 16 nodes. Clearing a database sets it aside whole; it is freed outside the locks.
//
// Bytes per key and times: ARCHITECTURE.md 4, measured by tests/bench/index_bench.
//
// Not here: the clock (a key past its deadline is found like any other; the engine decides), I/O,
// the format of records, which bytes of a segment are dead.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "storage/engine.h"
#include "storage/hash.h"
#include "storage/log/value_ring.h"

namespace kvs::log {

class ChunkMemory;

// Where a record lies.
struct Location {
  std::uint32_t segment = 0;
  std::uint32_t offset_bytes = 0;
  std::uint32_t record_bytes = 0;

  bool operator==(const Location&) const = default;
};

// What the index knows of a key. LSNs are below 2^48, values below 4 GiB.
struct Entry {
  Location location;
  Lsn lsn = 0;
  std::uint64_t value_bytes = 0;
  UnixMs expire_at = never;

  bool operator==(const Entry&) const = default;
};

// One record's effect on the index. `key.name` and `value` must live until apply() returns.
struct Change {
  Key key;
  Lsn lsn = 0;                            // of the record; equals entry->lsn
  std::optional<Entry> entry;             // nullopt: the key is removed
  std::optional<std::string_view> value;  // to be kept in memory; nullopt: not kept

  // Set by apply().
  bool applied = false;           // false: something newer was there, this record is dead already
  std::optional<Entry> replaced;  // the entry that this change replaced or removed
};

// How readers see a batch of changes.
enum class Visibility : std::uint8_t {
  one_by_one,
  together,  // who has seen one of them sees all of them
};

struct ExpiredKey {
  Database database = 0;
  std::string key;
  Entry entry;
};

// Thread: every member function may be called from any thread at any time, unless it says more.
class Keydir {
 public:
  // `cache_bytes` bounds the copies of values; it is reserved as address space and becomes memory
  // only as it fills.
  // `ring_position_bits` is for tests (value_ring.h).
  Keydir(const HashKey& hash_key, std::uint64_t cache_bytes,
         unsigned ring_position_bits = ValueRing::position_bits_max);
  ~Keydir();
  Keydir(const Keydir&) = delete;
  Keydir& operator=(const Keydir&) = delete;

  // By which keys are spread; the first bits say in which part of the index one is (hint.h).
  std::uint64_t hash(Key key) const;

  std::optional<Entry> find(Key key) const;

  struct Found {
    Entry entry;
    bool resident = false;  // `value` was set from memory
  };
  // Like find; copies the value when it is in memory, else leaves `value` untouched.
  std::optional<Found> get(Key key, std::string& value);

  // A hint that these will be looked up next, or read with their values: brings them into the
  // processor's caches, side by side. Up to window_keys are worth one call.
  static constexpr std::size_t window_keys = 16;
  void prefetch_entries(std::span<const Key> keys) const;
  void prefetch_values(std::span<const Key> keys) const;

  // The entry of a key whose value is not in memory; nullopt: it is, or there is no such key.
  std::optional<Entry> find_cold(Key key) const;

  // Applies `changes` in order. A change is ignored when its LSN is not greater than that of the
  // present entry (or, during a recovery, of the key's removal) or of the clear of its database.
  void apply(std::span<Change> changes, Visibility visibility);

  // Compaction moved a record: points the entry to `to` if it still is (lsn, from), and returns
  // whether it did.
  bool relocate(Key key, Lsn lsn, const Location& from, const Location& to);

  // Keeps a copy of a value read from disk, if the entry still has that LSN.
  void keep_value(Key key, Lsn lsn, std::string_view value);

  // Removes the entry if it still has that LSN, and returns it as it was (compaction may have moved
  // the record since the caller learnt of it).
  std::optional<Entry> remove_if(Key key, Lsn lsn);

  // Removes the entries of `database` with an LSN below `lsn`, for every reader at once; records
  // older than that are ignored from now on. Takes constant time when nothing newer is there (only
  // recovery sees anything else): the entries are set aside and handed out by drain_cleared.
  void clear(Database database, Lsn lsn);

  // Frees up to `entries_max` entries that clear() set aside, calls `visit` for each (no lock held)
  // and returns how many there were; 0: none are left (but those that another thread is freeing).
  std::size_t drain_cleared(std::size_t entries_max,
                            const std::function<void(const Entry&)>& visit);

  // Between these two calls removals are remembered, so that a key's older record that is fed
  // after its removal stays dead. Call both while no other thread uses the index; in between,
  // apply() and clear() may run on several threads.
  void begin_recovery();
  void end_recovery();

  // Exact, O(1).
  std::uint64_t keys(Database database) const;
  std::uint64_t volatiles(Database database) const;  // keys with a deadline

  // Visits about `count` keys of `database` (at least, unless it ends) from `cursor` on and returns
  // the cursor to go on from: 0 starts and 0 ends. A key that is present throughout a whole scan is
  // visited exactly once. Cursors are below 2^41. No lock is held while `visit` runs.
  std::uint64_t scan(Database database, std::uint64_t cursor, std::size_t count,
                     const std::function<void(std::string_view key, const Entry&)>& visit) const;

  // Returns a key with about equal chance for each, or nullopt when there is none.
  std::optional<std::string> random_key(Database database) const;

  // Appends up to `keys_max` keys of all databases with expire_at <= now, the earliest first. They
  // stay in the index.
  void expired(UnixMs now, std::size_t keys_max, std::vector<ExpiredKey>& out) const;

  // Returns the earliest deadline, or `never` when no key has one.
  UnixMs next_deadline() const;

  std::uint64_t memory_bytes() const;  // of the index without the copies of values
  std::uint64_t cache_bytes() const;   // of the copies of values

 private:
  struct Shard;
  struct DatabaseTable;
  class ShardLocks;
  struct Place {
    std::uint32_t shard;
    std::uint32_t table;
    std::uint32_t tag;
  };
  struct Work {
    Place place;
    Database database;
    Change* change;
  };
  class Counts;  // changes of the two counters below, summed up and published at once

  // 32 shards: some operations hold all their locks, and ThreadSanitizer takes at most 64.
  static constexpr unsigned shard_bits = 5;
  static constexpr std::size_t shards_count = std::size_t{1} << shard_bits;
  static constexpr unsigned table_bits = 4;
  static constexpr std::size_t tables_count = std::size_t{1} << table_bits;

  Place place_of(Key key) const;
  void apply_together(std::span<Work> work, Counts& counts);
  void apply_by_shard(std::span<Work> work, Counts& counts);
  enum class Locks : std::uint8_t { held, each };  // by the caller; taken step by step
  void apply_window(std::span<const Work> work, Locks locks, Counts& counts);
  template <class Step>
  void step_through(std::span<const Work> work, Locks locks, Step&& step) const;
  void prefetch_nodes(std::span<const Work> work, Locks locks) const;
  template <class Visit>
  void visit_windows(std::span<const Key> keys, Visit&& visit) const;
  void apply_one(Shard& shard, const Work& work, Counts& counts);
  // A step of giving back what deleted nodes have left, if that is too much.
  void tidy(DatabaseTable& table, Database database);
  // After a change of the shard's deadlines, under its lock.
  void publish_deadline(std::size_t shard);

  std::array<HashKey, databases_count> hash_keys_;
  std::unique_ptr<ChunkMemory> memory_;  // of the nodes; outlives the shards
  std::unique_ptr<Shard[]> shards_;
  std::array<std::atomic<std::uint64_t>, databases_count> keys_{};
  std::array<std::atomic<std::uint64_t>, databases_count> volatiles_{};
  // Earliest deadline per shard, written under the shard's lock.
  std::array<std::atomic<UnixMs>, shards_count> deadlines_{};
  std::atomic<bool> recovering_{false};
  mutable std::atomic<std::uint64_t> random_state_;
};

}  // namespace kvs::log
