#include "storage/rocksdb/session.h"

#include <cassert>
#include <utility>

#include "storage/limits.h"
#include "storage/rocksdb/rocksdb_engine.h"

namespace kvs::rocks {
namespace {

// What a write needs beside key and value: two headers, the deadline, lengths.
constexpr std::uint64_t record_overhead_bytes = 32;

}  // namespace

RocksSession::RocksSession(RocksEngine& engine, std::unique_lock<std::mutex> place)
    : engine_(engine), databases_(engine.databases()), place_(std::move(place)) {}

const PendingWrite* RocksSession::pending(Key key) const {
  const PendingTable& table = pending_.tables[key.database];
  const auto found = table.find(key.name);
  return found == table.end() ? nullptr : &found->second;
}

KeyInfo RocksSession::info_of(const PendingWrite& write) const {
  return {.lsn = engine_.next_lsn() + write.number,
          .value_bytes = write.value->size(),
          .expire_at = write.expire_at};
}

Result<std::optional<KeyInfo>> RocksSession::find(Key key, Access access) {
  key = databases_.stored(key);
  if (const PendingWrite* write = pending(key)) {
    if (!write->value || engine_.expired(write->expire_at)) return std::nullopt;
    return info_of(*write);
  }
  if (pending_.cleared[key.database]) return std::nullopt;
  return engine_.find_stored(key, access);
}

Result<std::optional<KeyInfo>> RocksSession::get(Key key, Access access, std::string& value) {
  key = databases_.stored(key);
  if (const PendingWrite* write = pending(key)) {
    if (!write->value || engine_.expired(write->expire_at)) return std::nullopt;
    value = *write->value;
    return info_of(*write);
  }
  if (pending_.cleared[key.database]) return std::nullopt;
  return engine_.get_stored(key, access, value);
}

// Returns the place of the write of `key` that comes next, or null when the session has failed.
PendingWrite* RocksSession::slot_for(Key key, std::uint64_t bytes) {
  assert(key.database < databases_count);
  assert(key.name.size() <= limits::key_bytes_max);
  if (pending_.failure) return nullptr;
  bytes += key.name.size() + record_overhead_bytes;
  if (pending_.bytes + bytes > limits::session_bytes_max) {
    pending_.failure = Error(Code::too_large, "the writes of one session exceed 2 GiB");
    return nullptr;
  }
  PendingTable& table = pending_.tables[key.database];
  auto found = table.find(key.name);
  if (found == table.end()) {
    PendingWrite fresh;
    if (!pending_.cleared[key.database]) {
      auto committed = engine_.committed_header(key);
      if (!committed) {
        pending_.failure = committed.error();
        return nullptr;
      }
      fresh.replaced = *committed;
    }
    found = table.emplace(key.name, std::move(fresh)).first;
  }
  pending_.bytes += bytes;
  pending_.touched[key.database] = true;
  found->second.number = pending_.records++;
  return &found->second;
}

void RocksSession::put(Key key, std::string_view value, UnixMs expire_at) {
  assert(value.size() <= limits::value_bytes_max);
  PendingWrite* write = slot_for(databases_.stored(key), value.size());
  if (write == nullptr) return;
  write->value.emplace(value);
  // The format has no deadlines before 1970; they have passed either way.
  write->expire_at = expire_at < 0 ? 1 : expire_at;
}

void RocksSession::remove(Key key) {
  key = databases_.stored(key);
  const PendingWrite* known = pending(key);
  if (known != nullptr && !known->value) return;
  if (known == nullptr) {
    if (pending_.cleared[key.database]) return;
    // Even one past its deadline is removed: the disk still has it.
    auto committed = engine_.committed_header(key);
    if (committed && !*committed) return;
  }
  PendingWrite* write = slot_for(key, 0);
  if (write == nullptr) return;
  write->value.reset();
  write->expire_at = never;
}

void RocksSession::clear(Database database) {
  database = databases_.stored(database);
  pending_.tables[database].clear();
  pending_.cleared[database] = true;
  pending_.touched[database] = true;
  pending_.bytes += record_overhead_bytes;
  ++pending_.records;
}

void RocksSession::swap(Database first, Database second) {
  assert(first < databases_count && second < databases_count);
  if (first == second) return;
  databases_.swap(first, second);
  pending_.databases = databases_;
  pending_.bytes += record_overhead_bytes;
  pending_.swap_number = pending_.records++;
}

Database RocksSession::committed_as(Database database) const {
  return engine_.databases().named(databases_.stored(database));
}

void RocksSession::visit_pending(Database database,
                                 const std::function<void(std::string_view key)>& visit) const {
  for (const auto& [name, write] : pending_.tables[databases_.stored(database)]) visit(name);
}

Result<Position> RocksSession::commit() {
  auto committed = engine_.commit(pending_);
  pending_ = {};
  databases_ = engine_.databases();
  return committed;
}

}  // namespace kvs::rocks
