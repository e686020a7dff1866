// session.h - a write session of the log engine, and the pending writes it gathers.
//
// The records of the frame are encoded as the commands run, so that commit has only checksums to
// add; but the large value of the last one may stay where it is until then. A write that a later
// one of the same session supersedes stays in the frame, dead at once: recovery goes by LSN like
// everybody else.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "storage/database_map.h"
#include "storage/engine.h"
#include "storage/hash.h"
#include "storage/log/keydir.h"
#include "storage/log/record.h"

namespace kvs::log {

class LogEngine;

// The newest pending write of one key. Its record lies in the frame buffer.
struct PendingWrite {
  std::uint64_t hash = 0;
  std::uint64_t record_at = 0;  // offset in the frame buffer
  std::uint32_t prefix_bytes = 0;
  std::uint32_t key_bytes = 0;
  std::uint32_t value_bytes = 0;
  std::uint32_t number = 0;  // of the record in the frame
  UnixMs expire_at = never;
  Database database = 0;
  RecordKind kind = RecordKind::value;

  std::uint64_t record_bytes() const {
    return std::uint64_t{prefix_bytes} + key_bytes + value_bytes;
  }
};

// The writes of a session until it is committed: the frame under construction, and a table of what
// the session itself reads. Databases have their numbers on the disk here. One object per engine is
// used again and again, for its memory.
class PendingWrites {
 public:
  // A lasting value is not copied if it has `lasting_value_bytes`.
  PendingWrites(const HashKey& hash_key, std::size_t lasting_value_bytes);

  enum class Value : std::uint8_t { copied, lasting };
  void put(Key key, std::string_view value, UnixMs expire_at, Value kind = Value::copied);
  void remove(Key key);
  void clear(Database database);
  // From now on (that is, from the commit on) the databases are those of `map`.
  void swap(const DatabaseMap& map);

  // The newest pending write of `key` since the last clear of its database, or null.
  const PendingWrite* find(Key key) const;
  // Is everything committed of `database` hidden by a pending clear?
  bool cleared(Database database) const { return cleared_at_[database] != 0; }
  // Number of the newest clear record of `database` in the frame; only if cleared.
  std::uint32_t clear_number(Database database) const { return cleared_at_[database] - 1; }

  bool swapped() const { return swapped_at_ != 0; }
  // Number of the newest swap record in the frame, and its map; only if swapped.
  std::uint32_t swap_number() const { return swapped_at_ - 1; }
  const DatabaseMap& databases() const { return databases_; }

  std::string_view key_of(const PendingWrite& write) const;
  std::string_view value_of(const PendingWrite& write) const;

  std::uint32_t records() const { return records_; }
  std::size_t bytes() const { return records_ == 0 ? 0 : end(); }
  bool overflowed() const { return overflowed_; }
  // Is there a value among the records, or a swap? If not, they only take away.
  bool has_values() const { return values_ > 0; }
  std::string& frame() { return frame_; }
  std::string_view last_value() const { return last_value_; }
  // The newest write of each key, in the order in which the keys were first written; those from
  // before a clear included.
  const std::vector<PendingWrite>& writes() const { return writes_; }
  bool hidden(const PendingWrite& write) const {
    return write.number + 1 < cleared_at_[write.database];
  }

  // Forgets everything.
  void reset();

  // Scratch of commit().
  std::vector<Change> changes;

 private:
  std::uint64_t end() const { return frame_.size() + last_value_.size(); }
  bool append(const Record& record, Value kind = Value::copied);
  PendingWrite& slot_for(Key key);
  std::uint64_t hash(Key key) const;
  bool same_key(const PendingWrite& write, Key key) const;
  void grow_table();

  const HashKey hash_key_;
  const std::size_t lasting_value_bytes_;
  std::string frame_;  // room for the header, then records
  // Borrowed: the value of the last record, when it is not in frame_; as if it stood behind that.
  std::string_view last_value_;
  std::uint32_t records_ = 0;
  std::uint32_t values_ = 0;  // records that hold one, and swaps
  bool overflowed_ = false;
  std::vector<PendingWrite> writes_;
  // Open addressing over writes_ (index + 1; 0: free), used when there are more than a few.
  std::vector<std::uint32_t> table_;
  // Number + 1 of the newest pending clear; 0: none.
  std::array<std::uint32_t, databases_count> cleared_at_{};
  std::uint32_t swapped_at_ = 0;  // likewise
  DatabaseMap databases_;         // of the newest pending swap
};

class Session final : public WriteSession {
 public:
  // Holds the writer's place through `place` until destroyed.
  Session(LogEngine& engine, PendingWrites& pending, std::unique_lock<std::mutex> place);
  ~Session() override;

  Result<std::optional<KeyInfo>> find(Key key, Access access) override;
  Result<std::optional<KeyInfo>> get(Key key, Access access, std::string& value) override;
  void put(Key key, std::string_view value, UnixMs expire_at) override;
  void put_lasting(Key key, std::string_view value, UnixMs expire_at) override;
  void remove(Key key) override;
  void clear(Database database) override;
  void swap(Database first, Database second) override;
  Database committed_as(Database database) const override;
  bool cleared(Database database) const override {
    return pending_.cleared(databases_.stored(database));
  }
  void visit_pending(Database database,
                     const std::function<void(std::string_view key)>& visit) const override;
  void publish_together() override { visibility_ = Visibility::together; }
  std::size_t pending_bytes() const override;
  Result<Position> commit() override;

 private:
  // Null: the session has nothing to say about `key`, whose database has its number on the disk.
  // Otherwise `info` is what readers would see.
  const PendingWrite* pending(Key key, std::optional<KeyInfo>& info) const;

  LogEngine& engine_;
  PendingWrites& pending_;
  DatabaseMap databases_;  // as the session sees them
  Visibility visibility_ = Visibility::one_by_one;
  const std::unique_lock<std::mutex> place_;
};

}  // namespace kvs::log
