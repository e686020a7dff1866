// session.h - a write session of the engine "rocksdb", and the pending writes it gathers.
//
// Of each key the newest write is kept, with what is committed of the key: the counts of keys and
// of deadlines are exact, so each write has to know what it replaces. That costs one look-up per
// key written, mostly of the memtable or a bloom filter.
//
// Not rocksdb::WriteBatchWithIndex: it knows neither emptied databases nor the LSN of a pending
// write, so a table beside it would be needed anyway, and then it would be the second one.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "storage/database_map.h"
#include "storage/engine.h"
#include "storage/rocksdb/format.h"

namespace kvs::rocks {

class RocksEngine;

// The newest pending write of a key.
struct PendingWrite {
  std::optional<std::string> value;  // nullopt: a removal
  UnixMs expire_at = never;
  std::uint64_t number = 0;        // of the write in the session: its LSN is the next one plus this
  std::optional<Header> replaced;  // what is committed, unless a pending clear hides it
};

// By name. Ordered: names are the clients' choice, and cannot make a comparison slow.
using PendingTable = std::map<std::string, PendingWrite, std::less<>>;

// Databases have their numbers on the disk here.
struct PendingWrites {
  std::array<PendingTable, databases_count> tables;
  std::array<bool, databases_count> cleared{};
  std::array<bool, databases_count> touched{};
  std::optional<DatabaseMap> databases;  // after a pending swap
  std::uint64_t swap_number = 0;         // of the newest one in the session, as PendingWrite's
  std::uint64_t records = 0;             // each has an LSN, superseded ones too
  std::uint64_t bytes = 0;
  std::optional<Error> failure;  // of a look-up, or of a session that became too large
};

class RocksSession final : public WriteSession {
 public:
  // Holds the writer's place through `place` until destroyed.
  RocksSession(RocksEngine& engine, std::unique_lock<std::mutex> place);

  Result<std::optional<KeyInfo>> find(Key key, Access access) override;
  Result<std::optional<KeyInfo>> get(Key key, Access access, std::string& value) override;
  void put(Key key, std::string_view value, UnixMs expire_at) override;
  void remove(Key key) override;
  void clear(Database database) override;
  void swap(Database first, Database second) override;
  Database committed_as(Database database) const override;
  bool cleared(Database database) const override {
    return pending_.cleared[databases_.stored(database)];
  }
  void visit_pending(Database database,
                     const std::function<void(std::string_view key)>& visit) const override;
  void publish_together() override {}  // a batch of RocksDB always appears at one instant
  std::size_t pending_bytes() const override { return pending_.bytes; }
  Result<Position> commit() override;

 private:
  const PendingWrite* pending(Key key) const;
  KeyInfo info_of(const PendingWrite& write) const;
  PendingWrite* slot_for(Key key, std::uint64_t bytes);

  RocksEngine& engine_;
  PendingWrites pending_;
  DatabaseMap databases_;  // as the session sees them
  const std::unique_lock<std::mutex> place_;
};

}  // namespace kvs::rocks
