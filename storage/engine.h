// engine.h - what the daemon and the library ask of a storage engine.
//
// An engine is synchronous, thread-safe and knows nothing of sockets, loops or futures: everything
// asynchronous is an adaptor around it. Reads go to the engine itself; writes go through a
// WriteSession, of which one exists at a time, so that read-modify-write needs no lock per key.
// Nothing here says that a commit is a local file operation: a Position is whatever the engine can
// promise about, and `sync` may take as long as it takes.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "protocol/async/result.h"

namespace kvs {

// Number of the logical database (SELECT); part of every key.
using Database = std::uint8_t;
inline constexpr unsigned databases_count = 16;

// A key, borrowed: `name` must live as long as the call it is passed to.
struct Key {
  Database database = 0;
  std::string_view name;
};

// Milliseconds since the Unix epoch; 0 means "never expires".
using UnixMs = std::int64_t;
inline constexpr UnixMs never = 0;

// Log sequence number: one per record, in commit order, starting at 1 and never reused.
using Lsn = std::uint64_t;
// Everything with an LSN <= a position is covered by it: "safe up to N" is one number.
using Position = Lsn;

// What is known of a present key without its value.
struct KeyInfo {
  Lsn lsn = 0;  // of the record that set it; changes with every write of the key
  std::uint64_t value_bytes = 0;
  UnixMs expire_at = never;
};

// May a read go to the disk?
enum class Access : std::uint8_t {
  may_block,
  resident_only,  // answer Code::would_block instead; what loop threads use
};

// A value on the disk, as Engine::plan_cold_read found it: what to read so that
// Engine::finish_cold_read can tell the value from it.
struct ColdRead {
  // Keeps the file open, and its bytes as they are, even if the record is moved meanwhile.
  std::shared_ptr<const void> pin;
  int descriptor = -1;
  std::uint64_t offset_bytes = 0;
  std::size_t bytes = 0;
  Lsn lsn = 0;  // of the record
};

// Reading, as both the engine and a write session offer it. A key whose deadline has passed is
// absent, whether or not it has been removed from the disk.
class Reader {
 public:
  virtual ~Reader() = default;

  // Returns what is known of `key`, or nullopt when it is absent.
  // Errors: would_block (resident_only), io.
  virtual Result<std::optional<KeyInfo>> find(Key key, Access access) = 0;

  // The same, and sets `value` to the key's value when it is present (untouched otherwise, or
  // emptied).
  // Errors: would_block (resident_only), corrupt when the record fails its checksum, io.
  virtual Result<std::optional<KeyInfo>> get(Key key, Access access, std::string& value) = 0;
};

// The unit of writing. Sees the committed state plus its own pending writes; nobody else sees those
// before `commit` has returned. Destroying a session that was not committed drops them.
// Thread: the one that began it, which holds the engine's writer place until the session is gone.
class WriteSession : public Reader {
 public:
  // Sets `key`, replacing value and deadline. `key` and `value` are copied.
  // Limits (limits.h) are the caller's to check: asserted here.
  virtual void put(Key key, std::string_view value, UnixMs expire_at) = 0;

  // The same for a `value` that stays where it is until the session has committed or is gone: an
  // engine need not copy it.
  virtual void put_lasting(Key key, std::string_view value, UnixMs expire_at) {
    put(key, value, expire_at);
  }

  // Removes `key`; no effect when it is absent.
  virtual void remove(Key key) = 0;

  // Removes every key of `database`, in constant time.
  virtual void clear(Database database) = 0;

  // Exchanges the keys of two databases, in constant time: what follows in this session finds each
  // under the number of the other. A commit with a swap in it is seen at one instant, all of it.
  virtual void swap(Database first, Database second) = 0;
  // The number under which the engine, which knows nothing of pending swaps, has what is committed
  // of the database that is `database` here.
  virtual Database committed_as(Database database) const = 0;

  // The pending writes of the next commit become visible to readers at one instant (MSET, EXEC):
  // who has seen one of them sees all of them. Otherwise they appear key by key. Holds for one
  // commit. (Emptying a database is an instant of its own, just before that of the other writes.)
  virtual void publish_together() = 0;

  // Is everything committed of `database` hidden by a pending clear()?
  virtual bool cleared(Database database) const = 0;

  // Calls `visit` once for each key of `database` that has a pending put or remove (those from
  // before a pending clear may be among them). find() says what has become of it.
  virtual void visit_pending(Database database,
                             const std::function<void(std::string_view key)>& visit) const = 0;

  // Bytes that commit would write now; callers split long sequences of commands by it.
  virtual std::size_t pending_bytes() const = 0;

  // Makes the pending writes visible and durable against the death of this process (they have
  // reached the kernel), all or none. Returns the position that covers them (for a session without
  // writes: the newest committed one). The session is empty afterwards and may be used again.
  // Errors: no_space (passes by itself), io, read_only and too_large (the session grew beyond
  // limits::session_bytes_max); none of the writes happened then, and the session is empty too.
  virtual Result<Position> commit() = 0;
};

// The background verification of what is on the disk. Counters are since open.
struct ScrubStats {
  bool running = false;
  std::uint64_t passes = 0;            // completed
  UnixMs last_completed = 0;           // 0: none yet
  std::uint64_t pass_bytes = 0;        // read in this pass, or in the last one
  std::uint64_t pass_bytes_total = 0;  // what it had to read when it began
  std::uint64_t bytes = 0;             // read in all
  std::uint64_t errors = 0;            // damaged places found
  std::uint64_t damaged_places = 0;    // those in segments that are still in use
  std::string damaged_segments;        // "NAME=PLACES,...", the first few
};

struct BackupRequest {
  std::filesystem::path root;       // exists; holds one directory per backup
  std::string name;                 // of the new one: see valid_backup_name
  std::function<bool()> cancelled;  // asked now and then; may be empty
};

struct BackupSummary {
  Position position = 0;  // the backup is the state after exactly this commit
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  // Not in the newest backup of the same root, and so the only files that were read.
  std::uint64_t new_files = 0;
  std::uint64_t new_bytes = 0;
  std::uint64_t copied_bytes = 0;  // 0 unless `root` is on another file system
};

// Is `name` one that a backup may have? 1 to 100 of A-Z a-z 0-9 . _ -, and no dot in front: it can
// be nothing but an entry of its root.
bool valid_backup_name(std::string_view name);

// Figures for INFO and for tests. Counters are since open.
struct EngineStats {
  std::string engine;            // name, as --engine takes it
  std::uint64_t disk_bytes = 0;  // allocated to the data directory
  std::uint64_t live_bytes = 0;  // of records that the index points at
  std::uint64_t dead_bytes = 0;  // of records that compaction may drop
  std::uint64_t segments = 0;
  std::uint64_t compactions = 0;  // victims retired
  std::uint64_t compacted_bytes = 0;
  bool compaction_running = false;
  bool compaction_paused = false;
  std::uint64_t compaction_debt_bytes = 0;        // to be given back by compaction before it rests
  std::uint64_t compaction_rate_bytes = 0;        // written by it per second, lately
  std::uint64_t compaction_rate_limit_bytes = 0;  // per second; 0: none
  std::uint64_t tombstone_bytes = 0;
  std::uint64_t space_allowed_bytes = 0;  // of disk_bytes; beyond it writers are slowed
  std::uint64_t reserve_bytes = 0;        // kept for the day the disk is full; not in disk_bytes
  bool disk_full = false;
  std::uint64_t writer_delays = 0;
  std::uint64_t writer_delay_us = 0;  // in all
  std::uint64_t syncs = 0;
  std::uint64_t sync_failures = 0;
  std::uint64_t written_bytes = 0;  // appended by sessions
  std::uint64_t disk_reads = 0;     // values that had to be read from files
  std::uint64_t cache_hits = 0;     // values found in memory
  std::uint64_t cache_bytes = 0;
  std::uint64_t corrupt_reads = 0;
  std::uint64_t read_errors = 0;  // reads that the disk refused
  ScrubStats scrub;
  std::uint64_t expired_keys = 0;
  std::uint64_t index_bytes = 0;
  bool read_only = false;
  std::string read_only_reason;
  // Of the recovery that load() did.
  std::uint64_t recovered_records = 0;
  std::uint64_t torn_bytes_cut = 0;
  double recovery_seconds = 0;
  std::uint64_t hints_used = 0;  // sealed segments whose hints were believed
  std::uint64_t hints_bad = 0;   // and not, though they were there
  std::uint64_t hint_bytes = 0;  // now; part of disk_bytes
};

struct DatabaseStats {
  std::uint64_t keys = 0;  // exact, O(1); keys past their deadline count until they are removed
  std::uint64_t volatiles = 0;  // keys with a deadline
};

// Called for each key of a scan step, on the calling thread, with no lock held.
// `key` lives until the call returns.
using ScanVisitor = std::function<void(std::string_view key, const KeyInfo& info)>;

class Engine : public Reader {
 public:
  // Reads what is on the disk; may take long. open_engine does it, and an engine from
  // prepare_engine must be loaded before anything but find(), stats(), database_stats(),
  // committed() and synced() is asked of it. Once; errors: corrupt, io, no_space; cancelled when
  // it was told to stop. The directory is unchanged then, and the engine is of no use.
  virtual Result<void> load() { return {}; }

  // A hint that `keys` are about to be read: starts to bring what that needs of main memory into
  // the processor's caches, for all of them side by side, where one read after the other would wait
  // for each of its steps. Changes nothing.
  virtual void prefetch(std::span<const Key> /*keys*/) const {}

  // For who reads files by himself, many at a time and without a thread for each. Returns where the
  // value of `key` lies, or nullopt when it is absent or in memory. Never waits for a disk.
  // Errors: invalid when the engine has no such thing; get() is the way then.
  virtual Result<std::optional<ColdRead>> plan_cold_read(Key) {
    return fail(Code::invalid, "this engine offers no reads of its files");
  }

  // Verifies the `bytes` that were read as `read` says (as many as there were) exactly as get()
  // does, makes them the value, and keeps that in memory if there is room. It is the value of the
  // record `read.lsn`: whether that is still the key's is for find() to say. False: the bytes are
  // not that record; get() will say what is wrong.
  virtual bool finish_cold_read(Key, const ColdRead&, std::string& /*bytes*/) { return false; }

  // Waits for the writer's place and opens a session. Never null on success.
  // Errors: read_only after a failed write or sync; the message says why.
  virtual Result<std::unique_ptr<WriteSession>> begin() = 0;

  // Visits at least `count` keys of `database` (unless it ends) from `cursor` on and returns the
  // cursor to go on from; 0 starts and 0 ends. Stateless: a key that is present throughout a whole
  // scan is visited exactly once, however the index grows meanwhile. What is visited is all of the
  // database that had the number when the call began (see swapped()).
  virtual Result<std::uint64_t> scan(Database database, std::uint64_t cursor, std::size_t count,
                                     const ScanVisitor& visit) = 0;

  // Returns any present key with about equal chance, or nullopt when the database is empty.
  virtual Result<std::optional<std::string>> random_key(Database database) = 0;

  virtual DatabaseStats database_stats(Database database) const = 0;
  virtual EngineStats stats() const = 0;
  // Memory of the index and of copies of values, as in stats() but cheap enough for every batch.
  virtual std::uint64_t memory_bytes() const {
    const EngineStats now = stats();
    return now.index_bytes + now.cache_bytes;
  }

  // The newest committed position, and the newest one known to be on stable storage. What a read
  // has seen or missed is covered by a committed() that is asked for afterwards. Any thread.
  virtual Position committed() const = 0;
  virtual Position synced() const = 0;

  // Position of the newest swap of databases that readers see; 0: there was none. Whoever asks
  // after a read knows a position that covers every swap which that read has seen, and if it is
  // what it was before several reads, all of them have seen the same one. Any thread, cheap.
  virtual Position swapped() const = 0;

  // Brings everything committed before the call to stable storage and returns the new synced
  // position. Blocks; call it from one thread at a time. A failure is final: the engine is
  // read-only from then on, since what reached the disk cannot be known.
  virtual Result<Position> sync() = 0;

  // Does a slice of background work (compaction, preparing the next segment, removing expired
  // keys) of about `budget` and returns whether more is waiting. Blocks; one thread at a time.
  virtual bool maintain(std::chrono::microseconds budget) = 0;

  // Removes keys past their deadline for about `budget` and returns whether more are waiting.
  // `maintain` does it as well; this may run beside it, and never waits for a disk. One thread at a
  // time. An engine that does all its expiry in `maintain` leaves this and next_deadline() alone.
  virtual bool expire(std::chrono::microseconds /*budget*/) { return false; }
  // Returns the earliest deadline of a key that was not removed yet, or `never`. Never blocks.
  virtual UnixMs next_deadline() const { return never; }

  // Asks `maintain` to compact everything that has anything dead, whatever the thresholds say.
  virtual void request_compaction() = 0;

  // Asks `maintain` to read everything on the disk again and verify it; stats().scrub tells how far
  // it is and what it found. Errors: invalid when the engine has no such thing.
  virtual Result<void> request_scrub() {
    return fail(Code::invalid, "this engine offers no verification of its files");
  }

  // Makes a backup below `request.root`: complete and durable when this returns, none otherwise.
  // Sessions go on meanwhile. Blocks; any thread, one backup at a time. Errors: invalid (the name,
  // or the engine has no backups), busy (exists, or another is being made), corrupt (what would be
  // backed up is damaged), cancelled, no_space, io, read_only.
  virtual Result<BackupSummary> backup(const BackupRequest&) {
    return fail(Code::invalid, "this engine offers no backups");
  }

  // Background compaction stops where it is, and goes on. Writers are not slowed meanwhile, so the
  // disk may fill up. A restart resumes.
  virtual void pause_compaction() {}
  virtual void resume_compaction() {}

  // From now on compaction writes at most so many bytes per second; 0: as many as it needs.
  virtual void limit_compaction(std::uint64_t bytes_per_second) { (void)bytes_per_second; }

  // How long to rest between two slices of work, when maintain() has just said that more waits.
  virtual std::chrono::milliseconds maintenance_rest() const {
    return std::chrono::milliseconds(0);
  }

  // Was the last attempt to let the data grow refused for want of disk space? Removals may still be
  // written then. Becomes false when maintain() has found room. Any thread, cheap.
  virtual bool disk_full() const { return false; }

  // Syncs and leaves the directory in its clean state. Nothing may be called afterwards.
  virtual Result<void> close() = 0;
};

}  // namespace kvs
