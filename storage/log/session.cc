#include "storage/log/session.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "storage/limits.h"
#include "storage/log/frame.h"
#include "storage/log/log_engine.h"

namespace kvs::log {
namespace {

// Up to this many writes a look-up compares them one by one and nothing is hashed.
constexpr std::size_t listed_writes_max = 8;

}  // namespace

PendingWrites::PendingWrites(const HashKey& hash_key, std::size_t lasting_value_bytes)
    : hash_key_(hash_key), lasting_value_bytes_(lasting_value_bytes) {
  reset();
}

void PendingWrites::reset() {
  if (frame_.capacity() > limits::session_buffer_kept_bytes) {
    std::string().swap(frame_);  // an assignment would keep the memory
    writes_ = {};
    changes = {};
    table_ = {};
  }
  frame_.assign(frame_header_bytes, '\0');
  last_value_ = {};
  records_ = 0;
  values_ = 0;
  overflowed_ = false;
  writes_.clear();
  changes.clear();
  table_.clear();
  cleared_at_.fill(0);
  swapped_at_ = 0;
}

bool PendingWrites::append(const Record& record, Value kind) {
  if (overflowed_ ||
      end() + encoded_bytes(record) > limits::session_bytes_max + frame_header_bytes) {
    overflowed_ = true;
    return false;
  }
  // Only that of the last record can lie elsewhere.
  frame_.append(std::exchange(last_value_, {}));
  if (kind == Value::lasting && record.value.size() >= lasting_value_bytes_) {
    append_record_head(frame_, record);
    last_value_ = record.value;
  } else {
    append_record(frame_, record);
  }
  ++records_;
  if (record.kind == RecordKind::value || record.kind == RecordKind::swap) ++values_;
  return true;
}

void PendingWrites::put(Key key, std::string_view value, UnixMs expire_at, Value kind) {
  assert(key.database < databases_count);
  assert(key.name.size() <= limits::key_bytes_max);
  assert(value.size() <= limits::value_bytes_max);
  // The format has no deadlines before 1970; they have passed either way.
  if (expire_at < 0) expire_at = 1;
  const std::uint64_t at = end();
  const Record record{.kind = RecordKind::value,
                      .database = key.database,
                      .expire_at = expire_at,
                      .key = key.name,
                      .value = value};
  if (!append(record, kind)) return;
  PendingWrite& write = slot_for(key);
  write.record_at = at;
  write.prefix_bytes = static_cast<std::uint32_t>(end() - at - key.name.size() - value.size());
  write.value_bytes = static_cast<std::uint32_t>(value.size());
  write.number = records_ - 1;
  write.expire_at = expire_at;
  write.kind = RecordKind::value;
}

void PendingWrites::remove(Key key) {
  assert(key.database < databases_count);
  const std::uint64_t at = end();
  if (!append({.kind = RecordKind::tombstone, .database = key.database, .key = key.name})) return;
  PendingWrite& write = slot_for(key);
  write.record_at = at;
  write.prefix_bytes = record_header_bytes;
  write.value_bytes = 0;
  write.number = records_ - 1;
  write.expire_at = never;
  write.kind = RecordKind::tombstone;
}

void PendingWrites::clear(Database database) {
  assert(database < databases_count);
  if (!append({.kind = RecordKind::clear, .database = database})) return;
  cleared_at_[database] = records_;
}

void PendingWrites::swap(const DatabaseMap& map) {
  const DatabaseMap::Encoded text = map.encoded();
  if (!append({.kind = RecordKind::swap, .key = {text.data(), text.size()}})) return;
  swapped_at_ = records_;
  databases_ = map;
}

const PendingWrite* PendingWrites::find(Key key) const {
  const PendingWrite* found = nullptr;
  if (table_.empty()) {
    for (const PendingWrite& write : writes_) {
      if (same_key(write, key)) found = &write;
    }
  } else {
    const std::uint64_t wanted = hash(key);
    const std::size_t mask = table_.size() - 1;
    for (std::size_t i = wanted & mask; table_[i] != 0; i = (i + 1) & mask) {
      const PendingWrite& write = writes_[table_[i] - 1];
      if (write.hash == wanted && same_key(write, key)) {
        found = &write;
        break;
      }
    }
  }
  if (found == nullptr || hidden(*found)) return nullptr;
  return found;
}

// Returns the place of `key` among the writes; a new one has no more than its key. Its key lies at
// the end of the frame just now, in the record that was appended last.
PendingWrite& PendingWrites::slot_for(Key key) {
  const bool hashed = !table_.empty() || writes_.size() >= listed_writes_max;
  if (hashed && table_.size() < 2 * (writes_.size() + 1)) grow_table();
  PendingWrite fresh{.key_bytes = static_cast<std::uint32_t>(key.name.size()),
                     .database = key.database};
  if (!hashed) {
    for (PendingWrite& write : writes_) {
      if (same_key(write, key)) return write;
    }
  } else {
    fresh.hash = hash(key);
    const std::size_t mask = table_.size() - 1;
    std::size_t i = fresh.hash & mask;
    for (; table_[i] != 0; i = (i + 1) & mask) {
      PendingWrite& write = writes_[table_[i] - 1];
      if (write.hash == fresh.hash && same_key(write, key)) return write;
    }
    table_[i] = static_cast<std::uint32_t>(writes_.size() + 1);
  }
  return writes_.emplace_back(fresh);
}

void PendingWrites::grow_table() {
  std::size_t slots = 64;
  while (slots < 4 * (writes_.size() + 1)) slots *= 2;
  const bool first = table_.empty();
  table_.assign(slots, 0);
  for (std::size_t n = 0; n < writes_.size(); ++n) {
    if (first) writes_[n].hash = hash({writes_[n].database, key_of(writes_[n])});
    std::size_t i = writes_[n].hash & (slots - 1);
    while (table_[i] != 0) i = (i + 1) & (slots - 1);
    table_[i] = static_cast<std::uint32_t>(n + 1);
  }
}

std::uint64_t PendingWrites::hash(Key key) const {
  return hash_of(hash_key_, key.name) + key.database * std::uint64_t{0x9e3779b97f4a7c15};
}

bool PendingWrites::same_key(const PendingWrite& write, Key key) const {
  return write.database == key.database && key_of(write) == key.name;
}

std::string_view PendingWrites::key_of(const PendingWrite& write) const {
  return std::string_view(frame_).substr(write.record_at + write.prefix_bytes, write.key_bytes);
}

std::string_view PendingWrites::value_of(const PendingWrite& write) const {
  const std::uint64_t at = write.record_at + write.prefix_bytes + write.key_bytes;
  if (at == frame_.size()) return last_value_;
  return std::string_view(frame_).substr(at, write.value_bytes);
}

Session::Session(LogEngine& engine, PendingWrites& pending, std::unique_lock<std::mutex> place)
    : engine_(engine), pending_(pending), databases_(engine.databases()), place_(std::move(place)) {
  assert(pending_.records() == 0);
}

Session::~Session() {
  if (pending_.records() > 0 || pending_.overflowed()) pending_.reset();
}

const PendingWrite* Session::pending(Key key, std::optional<KeyInfo>& info) const {
  const PendingWrite* write = pending_.find(key);
  if (write == nullptr || write->kind != RecordKind::value) return write;
  if (engine_.expired(write->expire_at)) return write;
  info = KeyInfo{.lsn = engine_.next_lsn() + write->number,
                 .value_bytes = write->value_bytes,
                 .expire_at = write->expire_at};
  return write;
}

Result<std::optional<KeyInfo>> Session::find(Key key, Access) {
  key = databases_.stored(key);
  std::optional<KeyInfo> info;
  if (pending(key, info) != nullptr || pending_.cleared(key.database)) return info;
  return engine_.find_stored(key);
}

Result<std::optional<KeyInfo>> Session::get(Key key, Access access, std::string& value) {
  key = databases_.stored(key);
  std::optional<KeyInfo> info;
  const PendingWrite* write = pending(key, info);
  if (write != nullptr) {
    if (info) value.assign(pending_.value_of(*write));
    return info;
  }
  if (pending_.cleared(key.database)) return info;
  return engine_.get_stored(key, access, value);
}

void Session::put(Key key, std::string_view value, UnixMs expire_at) {
  pending_.put(databases_.stored(key), value, expire_at);
}

void Session::put_lasting(Key key, std::string_view value, UnixMs expire_at) {
  pending_.put(databases_.stored(key), value, expire_at, PendingWrites::Value::lasting);
}

void Session::remove(Key key) {
  key = databases_.stored(key);
  // Whatever a restart could find of the key needs a tombstone: a committed entry, even one past
  // its deadline, and a pending value, whose record is in the frame.
  const PendingWrite* write = pending_.find(key);
  const bool present = write != nullptr ? write->kind == RecordKind::value
                                        : !pending_.cleared(key.database) && engine_.indexed(key);
  if (present) pending_.remove(key);
}

void Session::clear(Database database) {
  pending_.clear(databases_.stored(database));
}

void Session::swap(Database first, Database second) {
  assert(first < databases_count && second < databases_count);
  if (first == second) return;
  databases_.swap(first, second);
  pending_.swap(databases_);
}

Database Session::committed_as(Database database) const {
  return engine_.databases().named(databases_.stored(database));
}

void Session::visit_pending(Database database,
                            const std::function<void(std::string_view key)>& visit) const {
  const Database stored = databases_.stored(database);
  for (const PendingWrite& write : pending_.writes()) {
    if (write.database == stored) visit(pending_.key_of(write));
  }
}

std::size_t Session::pending_bytes() const {
  return pending_.bytes();
}

Result<Position> Session::commit() {
  auto committed = engine_.commit(pending_, std::exchange(visibility_, Visibility::one_by_one));
  pending_.reset();
  databases_ = engine_.databases();
  return committed;
}

}  // namespace kvs::log
