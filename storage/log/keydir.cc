#include "storage/log/keydir.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <iterator>
#include <mutex>
#include <utility>

#include "storage/log/deadlines.h"
#include "storage/log/key_node.h"
#include "storage/log/key_table.h"
#include "storage/log/value_ring.h"

namespace kvs::log {
namespace {

// Most keys that are copied out under one hold of a shard's lock.
constexpr std::size_t copied_keys_max = 128;
// A string that must grow by more than this grows with the lock released.
constexpr std::size_t allocation_under_lock_bytes_max = std::size_t{16} << 10;

// Places that are looked at with each change while an arena has too many holes.
constexpr std::size_t tidied_places = 16;
// Slots whose copies are looked at in one step, and the part of the positions that one round over
// all slots takes.
constexpr std::size_t forgotten_slots = 32;
constexpr std::uint64_t rounds_per_reuse = 16;

// Scrambles a counter into a random number (splitmix64).
std::uint64_t scrambled(std::uint64_t number) {
  number = (number ^ number >> 30) * 0xbf58476d1ce4e5b9;
  number = (number ^ number >> 27) * 0x94d049bb133111eb;
  return number ^ number >> 31;
}

}  // namespace

// What a shard knows of one database. Its keys are spread over several tables, so that the
// directory of none grows so large that doubling it would take long.
struct Keydir::DatabaseTable {
  DatabaseTable(bool with_copies, ChunkMemory& memory) : nodes(with_copies, memory) {}

  std::array<KeyTable, tables_count> keys;
  NodeArena nodes;
  Deadlines deadlines;
  std::uint64_t removals = 0;  // nodes that only remember a removal (recovery)
  Lsn newest = 0;              // no node has a greater LSN
  std::size_t drained = 0;     // tables that are empty already (drain_cleared)

  std::uint64_t slots() const {
    std::uint64_t slots = 0;
    for (const KeyTable& table : keys) slots += table.size();
    return slots;
  }
  std::uint64_t live_keys() const { return slots() - removals; }
  std::uint64_t memory_bytes() const {
    std::uint64_t bytes = sizeof *this + nodes.memory_bytes() + deadlines.memory_bytes();
    for (const KeyTable& table : keys) bytes += table.memory_bytes();
    return bytes;
  }

  // Also finds nodes that remember a removal.
  NodeHandle find_node(std::string_view name, Place place) const {
    return keys[place.table].find(place.tag,
                                  [&](NodeHandle node) { return nodes.key(node) == name; });
  }

  void insert(std::string_view name, Place place, const KeyNode& node) {
    const NodeHandle handle = nodes.create(node, name);
    keys[place.table].insert(place.tag, handle);
    if (node.entry.expire_at != never) deadlines.insert(node.entry.expire_at, handle);
    if (node.removed) ++removals;
    newest = std::max(newest, node.entry.lsn);
  }

  // Replaces `before`, which `handle` names, by `after`.
  void update(Place place, NodeHandle handle, const KeyNode& before, const KeyNode& after) {
    const NodeHandle now = nodes.update(handle, after);
    if (now != handle) keys[place.table].replace(place.tag, handle, now);
    if (now != handle || before.entry.expire_at != after.entry.expire_at) {
      if (before.entry.expire_at != never) deadlines.erase(before.entry.expire_at, handle);
      if (after.entry.expire_at != never) deadlines.insert(after.entry.expire_at, now);
    }
    if (before.removed) --removals;
    if (after.removed) ++removals;
    newest = std::max(newest, after.entry.lsn);
  }

  void erase(Place place, NodeHandle handle, const KeyNode& node) {
    if (node.entry.expire_at != never) deadlines.erase(node.entry.expire_at, handle);
    if (node.removed) --removals;
    keys[place.table].erase(place.tag, handle);
    nodes.destroy(handle);
  }
};

struct alignas(64) Keydir::Shard {
  mutable std::mutex mutex;
  ChunkMemory* memory = nullptr;  // of the nodes of all shards; set once
  // All below is guarded by `mutex`.
  ValueRing ring;
  std::array<std::unique_ptr<DatabaseTable>, databases_count> databases;  // null: never used
  std::array<Lsn, databases_count> cleared_lsn{};
  std::vector<std::unique_ptr<DatabaseTable>> cleared;
  // Where forget_old_copies goes on, and when.
  struct Forgetting {
    std::size_t database = 0;
    std::size_t table = 0;
    std::uint64_t tag = 0;  // 2^32: the table is done
    std::uint64_t next_at_units = 0;
  } forgetting;

  DatabaseTable& table(Database database) {
    auto& table = databases[database];
    if (table == nullptr) {
      table = std::make_unique<DatabaseTable>(ring.capacity_bytes() > 0, *memory);
    }
    return *table;
  }

  // Finds a present key; `table` is set if it returns something.
  NodeHandle find_live(Key key, Place place, KeyNode& node) const {
    const auto& table = databases[key.database];
    if (table == nullptr) return no_node;
    const NodeHandle handle = table->find_node(key.name, place);
    if (handle == no_node) return no_node;
    node = table->nodes.read(handle);
    return node.removed ? no_node : handle;
  }

  UnixMs earliest_deadline() const {
    UnixMs earliest = never;
    for (const auto& table : databases) {
      if (table == nullptr || table->deadlines.empty()) continue;
      const UnixMs candidate = table->deadlines.earliest();
      if (earliest == never || candidate < earliest) earliest = candidate;
    }
    return earliest;
  }

  RingPosition append(std::string_view value) {
    const RingPosition position = ring.append(value);
    if (ring.appended_units() >= forgetting.next_at_units) forget_old_copies();
    return position;
  }

  // Positions in the ring are used again: long before that, whoever remembers one must have
  // forgotten it. So as the ring moves on, a walk over all nodes moves on with it.
  void forget_old_copies();
};

void Keydir::Shard::forget_old_copies() {
  std::uint64_t slots = 0;
  for (const auto& table : databases) {
    if (table != nullptr) slots += table->slots();
  }
  const std::uint64_t round_units = ring.reused_after_units() / rounds_per_reuse;
  while (ring.appended_units() >= forgetting.next_at_units) {
    if (slots == 0) {
      forgetting.next_at_units = ring.appended_units() + round_units;
      return;
    }
    std::size_t looked_at = 0;
    // One round at most, however few slots there are.
    for (std::size_t tables = 0; tables < databases_count * tables_count; ++tables) {
      if (const auto& table = databases[forgetting.database]; table != nullptr) {
        if (forgetting.tag <= UINT32_MAX) {
          NodeArena& nodes = table->nodes;
          std::uint64_t next = std::uint64_t{UINT32_MAX} + 1;
          std::uint64_t last = next;
          table->keys[forgetting.table].walk(
              static_cast<std::uint32_t>(forgetting.tag), [&](KeyTable::Slot slot) {
                if (looked_at >= forgotten_slots && slot.tag != last) {
                  next = slot.tag;
                  return false;
                }
                last = slot.tag;
                ++looked_at;
                const RingPosition position = nodes.ring_position(slot.node);
                if (position != 0 && !ring.holds(position)) nodes.forget_ring_position(slot.node);
                return true;
              });
          forgetting.tag = next;
        }
        if (forgetting.tag <= UINT32_MAX) break;
      }
      forgetting.tag = 0;
      if (++forgetting.table < tables_count) continue;
      forgetting.table = 0;
      forgetting.database = (forgetting.database + 1) % databases_count;
    }
    // Its share of a round. Rounded down: rather too early.
    forgetting.next_at_units += std::max<std::uint64_t>(round_units * looked_at / slots, 1);
  }
}

// Locks of some shards, taken in the order of their numbers.
class Keydir::ShardLocks {
 public:
  // Bit i of `needed`: shard i.
  ShardLocks(Shard* shards, std::uint64_t needed) : shards_(shards), held_(needed) {
    for (std::uint64_t rest = held_; rest != 0; rest &= rest - 1) {
      shards_[std::countr_zero(rest)].mutex.lock();
    }
  }
  ~ShardLocks() {
    for (std::uint64_t rest = held_; rest != 0; rest &= rest - 1) {
      shards_[std::countr_zero(rest)].mutex.unlock();
    }
  }
  ShardLocks(const ShardLocks&) = delete;
  ShardLocks& operator=(const ShardLocks&) = delete;

 private:
  Shard* shards_;
  std::uint64_t held_;
};

// So that who asks for a number of keys sees it before or after a batch, not in between.
class Keydir::Counts {
 public:
  void add_key(Database database, int by) { add(keys_, database, by); }
  void add_volatile(Database database, int by) { add(volatiles_, database, by); }

  void publish(Keydir& keydir) {
    for (unsigned rest = touched_; rest != 0; rest &= rest - 1) {
      const auto database = static_cast<std::size_t>(__builtin_ctz(rest));
      if (keys_[database] != 0) keydir.keys_[database] += keys_[database];
      if (volatiles_[database] != 0) keydir.volatiles_[database] += volatiles_[database];
    }
  }

 private:
  // Unsigned and wrapping: adding "-1" takes one away.
  using Deltas = std::array<std::uint64_t, databases_count>;
  void add(Deltas& deltas, Database database, int by) {
    touched_ |= 1U << database;
    deltas[database] += static_cast<std::uint64_t>(by);
  }

  Deltas keys_{};
  Deltas volatiles_{};
  unsigned touched_ = 0;
};

Keydir::Keydir(const HashKey& hash_key, std::uint64_t cache_bytes, unsigned ring_position_bits)
    : memory_(std::make_unique<ChunkMemory>()),
      shards_(std::make_unique<Shard[]>(shards_count)),
      random_state_(hash_of(hash_key, "random")) {
  for (std::size_t i = 0; i < databases_count; ++i) {
    hash_keys_[i] = derived(hash_key, static_cast<std::uint8_t>(i));
  }
  for (std::size_t i = 0; i < shards_count; ++i) {
    shards_[i].memory = memory_.get();
    shards_[i].ring.set_capacity(static_cast<std::size_t>(cache_bytes / shards_count),
                                 ring_position_bits);
  }
}

Keydir::~Keydir() = default;

std::uint64_t Keydir::hash(Key key) const {
  return hash_of(hash_keys_[key.database], key.name);
}

Keydir::Place Keydir::place_of(Key key) const {
  assert(key.database < databases_count);
  const std::uint64_t hash = this->hash(key);
  return {.shard = static_cast<std::uint32_t>(hash >> (64 - shard_bits)),
          .table = static_cast<std::uint32_t>(hash >> (64 - shard_bits - table_bits) &
                                              (tables_count - 1)),
          .tag = static_cast<std::uint32_t>(hash >> (32 - shard_bits - table_bits))};
}

std::optional<Entry> Keydir::find(Key key) const {
  const Place place = place_of(key);
  const Shard& shard = shards_[place.shard];
  const std::lock_guard lock(shard.mutex);
  KeyNode node;
  if (shard.find_live(key, place, node) == no_node) return std::nullopt;
  return node.entry;
}

std::optional<Keydir::Found> Keydir::get(Key key, std::string& value) {
  const Place place = place_of(key);
  Shard& shard = shards_[place.shard];
  std::unique_lock lock(shard.mutex);
  for (;;) {
    KeyNode node;
    const NodeHandle handle = shard.find_live(key, place, node);
    if (handle == no_node) return std::nullopt;
    if (!shard.ring.holds(node.ring_position)) return Found{node.entry, false};
    const auto bytes = static_cast<std::size_t>(node.entry.value_bytes);
    if (bytes > value.capacity() && bytes > allocation_under_lock_bytes_max) {
      // The old content must survive if the value is gone when we come back.
      lock.unlock();
      value.reserve(bytes);
      lock.lock();
      continue;
    }
    shard.ring.copy(node.ring_position, bytes, value);
    if (shard.ring.is_old(node.ring_position)) {
      const KeyNode before = node;
      node.ring_position = shard.append(value);
      shard.table(key.database).update(place, handle, before, node);
    }
    return Found{node.entry, true};
  }
}

std::optional<Entry> Keydir::find_cold(Key key) const {
  const Place place = place_of(key);
  Shard& shard = shards_[place.shard];
  const std::lock_guard lock(shard.mutex);
  KeyNode node;
  if (shard.find_live(key, place, node) == no_node) return std::nullopt;
  if (shard.ring.holds(node.ring_position)) return std::nullopt;
  return node.entry;
}

void Keydir::apply(std::span<Change> changes, Visibility visibility) {
  Counts counts;
  if (changes.size() <= window_keys) {
    std::array<Work, window_keys> work;
    for (std::size_t i = 0; i < changes.size(); ++i) {
      work[i] = {place_of(changes[i].key), changes[i].key.database, &changes[i]};
    }
    const std::span used(work.data(), changes.size());
    if (visibility == Visibility::together && used.size() > 1) {
      apply_together(used, counts);
    } else {
      apply_window(used, Locks::each, counts);
      counts.publish(*this);
    }
    return;
  }
  std::vector<Work> work;
  work.reserve(changes.size());
  for (Change& change : changes) {
    work.push_back({place_of(change.key), change.key.database, &change});
  }
  if (visibility == Visibility::together) {
    apply_together(work, counts);
  } else {
    apply_by_shard(work, counts);
  }
}

// Holds all shards' locks that it needs at once.
void Keydir::apply_together(std::span<Work> work, Counts& counts) {
  std::uint64_t needed = 0;
  for (const Work& one : work) needed |= std::uint64_t{1} << one.place.shard;
  const ShardLocks locks(shards_.get(), needed);
  for (std::size_t first = 0; first < work.size(); first += window_keys) {
    apply_window(work.subspan(first, std::min(window_keys, work.size() - first)), Locks::held,
                 counts);
  }
  counts.publish(*this);
}

// In windows, most of which need one lock only.
void Keydir::apply_by_shard(std::span<Work> work, Counts& counts) {
  // Stable: changes of one key stay in order.
  std::array<std::uint32_t, shards_count + 1> begin{};
  for (const Work& one : work) ++begin[one.place.shard + 1];
  for (std::size_t i = 1; i <= shards_count; ++i) begin[i] += begin[i - 1];
  std::vector<Work> sorted(work.size());
  for (const Work& one : work) sorted[begin[one.place.shard]++] = one;
  for (std::size_t first = 0; first < sorted.size(); first += window_keys) {
    apply_window(std::span(sorted).subspan(first, std::min(window_keys, sorted.size() - first)),
                 Locks::each, counts);
  }
  counts.publish(*this);
}

// Calls `step(i)` for each of `work` with the lock of its shard held, taking it for neighbours of
// one shard at once.
template <class Step>
void Keydir::step_through(std::span<const Work> work, Locks locks, Step&& step) const {
  for (std::size_t i = 0; i < work.size();) {
    const std::uint32_t shard = work[i].place.shard;
    std::unique_lock lock(shards_[shard].mutex, std::defer_lock);
    if (locks == Locks::each) lock.lock();
    do {
      step(i);
      ++i;
    } while (i < work.size() && work[i].place.shard == shard);
  }
}

// The way to a node is several cache misses long: it is walked for all of them side by side, one
// step after the other. Between steps the locks are free, so that no reader waits for memory that
// is on its way; what a step finds is only a hint to the next one, which looks again.
void Keydir::prefetch_nodes(std::span<const Work> work, Locks locks) const {
  const auto table_of = [&](const Work& one) {
    return shards_[one.place.shard].databases[one.database].get();
  };
  step_through(work, locks, [&](std::size_t i) {
    const DatabaseTable* table = table_of(work[i]);
    if (table != nullptr) table->keys[work[i].place.table].prefetch_slots(work[i].place.tag);
  });
  step_through(work, locks, [&](std::size_t i) {
    const DatabaseTable* table = table_of(work[i]);
    if (table == nullptr) return;
    const NodeHandle node = table->keys[work[i].place.table].probable_node(work[i].place.tag);
    if (node != no_node) table->nodes.prefetch(node);
  });
}

void Keydir::apply_window(std::span<const Work> work, Locks locks, Counts& counts) {
  if (work.size() > 1) prefetch_nodes(work, locks);
  step_through(work, locks,
               [&](std::size_t i) { apply_one(shards_[work[i].place.shard], work[i], counts); });
}

template <class Visit>
void Keydir::visit_windows(std::span<const Key> keys, Visit&& visit) const {
  std::array<Work, window_keys> window;
  while (!keys.empty()) {
    const std::size_t count = std::min(keys.size(), window.size());
    for (std::size_t i = 0; i < count; ++i) {
      window[i] = {place_of(keys[i]), keys[i].database, nullptr};
    }
    visit(std::span<const Work>(window.data(), count));
    keys = keys.subspan(count);
  }
}

void Keydir::prefetch_entries(std::span<const Key> keys) const {
  visit_windows(keys, [&](std::span<const Work> work) { prefetch_nodes(work, Locks::each); });
}

void Keydir::prefetch_values(std::span<const Key> keys) const {
  visit_windows(keys, [&](std::span<const Work> work) {
    prefetch_nodes(work, Locks::each);
    step_through(work, Locks::each, [&](std::size_t i) {
      const Shard& shard = shards_[work[i].place.shard];
      const DatabaseTable* table = shard.databases[work[i].database].get();
      if (table == nullptr) return;
      const NodeHandle node = table->keys[work[i].place.table].probable_node(work[i].place.tag);
      if (node == no_node) return;
      const RingPosition position = table->nodes.ring_position(node);
      if (shard.ring.holds(position)) shard.ring.prefetch(position);
    });
  });
}

void Keydir::apply_one(Shard& shard, const Work& work, Counts& counts) {
  Change& change = *work.change;
  const Place place = work.place;
  const Database database = change.key.database;
  change.applied = false;
  change.replaced.reset();
  if (change.lsn < shard.cleared_lsn[database]) return;
  assert(!change.entry || change.entry->lsn == change.lsn);

  DatabaseTable& table = shard.table(database);
  const NodeHandle handle = table.find_node(change.key.name, place);
  KeyNode before;
  before.removed = true;
  if (handle != no_node) {
    before = table.nodes.read(handle);
    if (change.lsn <= before.entry.lsn) return;
  }
  change.applied = true;
  if (!before.removed) change.replaced = before.entry;

  KeyNode after;
  after.removed = !change.entry;
  if (change.entry) {
    after.entry = *change.entry;
    if (change.value) {
      assert(change.value->size() == change.entry->value_bytes);
      after.ring_position = shard.append(*change.value);
    }
  } else {
    after.entry.lsn = change.lsn;
  }

  if (before.removed != after.removed) counts.add_key(database, after.removed ? -1 : 1);
  const UnixMs deadline_before = before.entry.expire_at;
  const UnixMs deadline_after = after.entry.expire_at;
  if ((deadline_before != never) != (deadline_after != never)) {
    counts.add_volatile(database, deadline_after != never ? 1 : -1);
  }

  const bool stored = change.entry || recovering_.load(std::memory_order_relaxed);
  if (handle == no_node) {
    if (stored) table.insert(change.key.name, place, after);
  } else if (stored) {
    table.update(place, handle, before, after);
  } else {
    table.erase(place, handle, before);
  }
  tidy(table, database);
  if (deadline_before != deadline_after) publish_deadline(place.shard);
}

void Keydir::tidy(DatabaseTable& table, Database database) {
  table.nodes.tidy(tidied_places, [&](NodeHandle old, NodeHandle now) {
    const Place place = place_of({database, table.nodes.key(now)});
    table.keys[place.table].replace(place.tag, old, now);
    if (const UnixMs deadline = table.nodes.read(now).entry.expire_at; deadline != never) {
      table.deadlines.erase(deadline, old);
      table.deadlines.insert(deadline, now);
    }
  });
}

void Keydir::publish_deadline(std::size_t shard) {
  deadlines_[shard].store(shards_[shard].earliest_deadline(), std::memory_order_relaxed);
}

bool Keydir::relocate(Key key, Lsn lsn, const Location& from, const Location& to) {
  const Place place = place_of(key);
  Shard& shard = shards_[place.shard];
  const std::lock_guard lock(shard.mutex);
  KeyNode node;
  const NodeHandle handle = shard.find_live(key, place, node);
  if (handle == no_node || node.entry.lsn != lsn || node.entry.location != from) return false;
  const KeyNode before = node;
  node.entry.location = to;
  DatabaseTable& table = shard.table(key.database);
  table.update(place, handle, before, node);
  tidy(table, key.database);
  return true;
}

void Keydir::keep_value(Key key, Lsn lsn, std::string_view value) {
  const Place place = place_of(key);
  Shard& shard = shards_[place.shard];
  const std::lock_guard lock(shard.mutex);
  KeyNode node;
  const NodeHandle handle = shard.find_live(key, place, node);
  if (handle == no_node || node.entry.lsn != lsn || shard.ring.holds(node.ring_position)) return;
  assert(value.size() == node.entry.value_bytes);
  const KeyNode before = node;
  node.ring_position = shard.append(value);
  DatabaseTable& table = shard.table(key.database);
  table.update(place, handle, before, node);
  tidy(table, key.database);
}

std::optional<Entry> Keydir::remove_if(Key key, Lsn lsn) {
  const Place place = place_of(key);
  Shard& shard = shards_[place.shard];
  Counts counts;
  const std::lock_guard lock(shard.mutex);
  KeyNode node;
  const NodeHandle handle = shard.find_live(key, place, node);
  if (handle == no_node || node.entry.lsn != lsn) return std::nullopt;
  DatabaseTable& table = shard.table(key.database);
  table.erase(place, handle, node);
  tidy(table, key.database);
  counts.add_key(key.database, -1);
  if (node.entry.expire_at != never) {
    counts.add_volatile(key.database, -1);
    publish_deadline(place.shard);
  }
  counts.publish(*this);
  return node.entry;
}

void Keydir::clear(Database database, Lsn lsn) {
  assert(database < databases_count);
  const ShardLocks locks(shards_.get(), (std::uint64_t{1} << shards_count) - 1);
  std::uint64_t keys = 0;
  std::uint64_t volatiles = 0;
  for (std::size_t i = 0; i < shards_count; ++i) {
    Shard& shard = shards_[i];
    shard.cleared_lsn[database] = std::max(shard.cleared_lsn[database], lsn);
    std::unique_ptr<DatabaseTable> old = std::move(shard.databases[database]);
    if (old == nullptr) continue;
    keys += old->live_keys();
    volatiles += old->deadlines.size();
    if (old->newest >= lsn) {
      // Recovery met newer records first: they move to the new table.
      DatabaseTable& table = shard.table(database);
      for (std::size_t number = 0; number < tables_count; ++number) {
        std::vector<KeyTable::Slot> newer;
        old->keys[number].walk(0, [&](KeyTable::Slot slot) {
          if (old->nodes.read(slot.node).entry.lsn >= lsn) newer.push_back(slot);
          return true;
        });
        for (const auto& [tag, handle] : newer) {
          const Place place{.shard = static_cast<std::uint32_t>(i),
                            .table = static_cast<std::uint32_t>(number),
                            .tag = tag};
          const KeyNode node = old->nodes.read(handle);
          table.insert(old->nodes.key(handle), place, node);
          old->erase(place, handle, node);
        }
      }
      keys -= table.live_keys();
      volatiles -= table.deadlines.size();
    }
    publish_deadline(i);
    if (old->slots() > 0) shard.cleared.push_back(std::move(old));
  }
  keys_[database] -= keys;
  volatiles_[database] -= volatiles;
}

std::size_t Keydir::drain_cleared(std::size_t entries_max,
                                  const std::function<void(const Entry&)>& visit) {
  std::size_t drained = 0;
  for (std::size_t i = 0; i < shards_count && drained < entries_max; ++i) {
    Shard& shard = shards_[i];
    for (;;) {
      // Nobody else sees it while we have it: no lock is needed for the work itself.
      std::unique_ptr<DatabaseTable> table;
      {
        const std::lock_guard lock(shard.mutex);
        if (shard.cleared.empty()) break;
        table = std::move(shard.cleared.back());
        shard.cleared.pop_back();
      }
      while (table->drained < tables_count && drained < entries_max) {
        KeyTable& keys = table->keys[table->drained];
        if (keys.size() == 0) {
          ++table->drained;
          continue;
        }
        const KeyNode node = table->nodes.read(keys.take().node);
        if (node.removed) continue;
        visit(node.entry);
        ++drained;
      }
      if (table->drained == tables_count) continue;  // frees it
      const std::lock_guard lock(shard.mutex);
      shard.cleared.push_back(std::move(table));
      break;
    }
  }
  return drained;
}

void Keydir::begin_recovery() {
  recovering_ = true;
}

void Keydir::end_recovery() {
  recovering_ = false;
  for (std::size_t i = 0; i < shards_count; ++i) {
    Shard& shard = shards_[i];
    const std::lock_guard lock(shard.mutex);
    for (std::size_t database = 0; database < databases_count; ++database) {
      DatabaseTable* table = shard.databases[database].get();
      if (table == nullptr || table->removals == 0) continue;
      for (std::size_t number = 0; number < tables_count; ++number) {
        std::vector<KeyTable::Slot> removals;
        table->keys[number].walk(0, [&](KeyTable::Slot slot) {
          if (table->nodes.read(slot.node).removed) removals.push_back(slot);
          return true;
        });
        for (const auto& [tag, handle] : removals) {
          table->erase({.shard = static_cast<std::uint32_t>(i),
                        .table = static_cast<std::uint32_t>(number),
                        .tag = tag},
                       handle, table->nodes.read(handle));
        }
      }
      while (table->nodes.untidy()) tidy(*table, static_cast<Database>(database));
    }
  }
}

std::uint64_t Keydir::keys(Database database) const {
  return keys_[database];
}

std::uint64_t Keydir::volatiles(Database database) const {
  return volatiles_[database];
}

std::uint64_t Keydir::scan(
    Database database, std::uint64_t cursor, std::size_t count,
    const std::function<void(std::string_view key, const Entry&)>& visit) const {
  assert(database < databases_count);
  struct Seen {
    Entry entry;
    std::size_t key_end;  // its key's end in `names`
  };
  std::vector<Seen> seen;
  std::string names;
  std::size_t visited = 0;
  count = std::max<std::size_t>(count, 1);
  // A cursor is shard, table and tag.
  constexpr std::uint64_t end = std::uint64_t{shards_count * tables_count} << 32;
  while (cursor < end) {
    const Shard& shard = shards_[cursor >> (32 + table_bits)];
    const std::uint64_t shard_end = ((cursor >> (32 + table_bits)) + 1) << (32 + table_bits);
    const std::size_t wanted = std::min(copied_keys_max, count - visited);
    std::uint64_t next = cursor;
    seen.clear();
    names.clear();
    {
      const std::lock_guard lock(shard.mutex);
      const auto& table = shard.databases[database];
      if (table == nullptr) next = shard_end;
      bool full = false;
      std::uint64_t last = end;
      while (next < shard_end && !full) {
        const std::uint64_t first = next;
        const std::uint64_t number = first >> 32;
        next = (number + 1) << 32;
        table->keys[number % tables_count].walk(
            static_cast<std::uint32_t>(first), [&](KeyTable::Slot slot) {
              const std::uint64_t here = number << 32 | slot.tag;
              // Keys with one tag go out together: the cursor cannot stand between them.
              if (seen.size() >= wanted && here != last) {
                next = here;
                full = true;
                return false;
              }
              const KeyNode node = table->nodes.read(slot.node);
              if (node.removed) return true;
              names += table->nodes.key(slot.node);
              seen.push_back({node.entry, names.size()});
              last = here;
              return true;
            });
      }
    }
    std::size_t begin = 0;
    for (const Seen& one : seen) {
      visit(std::string_view(names).substr(begin, one.key_end - begin), one.entry);
      begin = one.key_end;
    }
    visited += seen.size();
    cursor = next;
    if (visited >= count) break;
  }
  return cursor < end ? cursor : 0;
}

std::optional<std::string> Keydir::random_key(Database database) const {
  assert(database < databases_count);
  const auto random = [this] { return scrambled(random_state_ += 0x9e3779b97f4a7c15); };
  // A few attempts, since keys may go between the count and the choice.
  for (int attempt = 0; attempt < 8; ++attempt) {
    std::array<std::uint64_t, shards_count> sizes{};
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < shards_count; ++i) {
      const std::lock_guard lock(shards_[i].mutex);
      if (const auto& table = shards_[i].databases[database]) sizes[i] = table->live_keys();
      total += sizes[i];
    }
    if (total == 0) return std::nullopt;
    std::uint64_t chosen = random() % total;
    std::size_t number = 0;
    while (chosen >= sizes[number]) chosen -= sizes[number++];
    const Shard& shard = shards_[number];
    const std::lock_guard lock(shard.mutex);
    const auto& table = shard.databases[database];
    const std::uint64_t slots = table == nullptr ? 0 : table->slots();
    if (slots == 0) continue;
    std::uint64_t slot = random() % slots;
    std::size_t part = 0;
    while (slot >= table->keys[part].size()) slot -= table->keys[part++].size();
    const NodeHandle handle = table->keys[part].pick(random()).node;
    if (table->nodes.read(handle).removed) continue;
    return std::string(table->nodes.key(handle));
  }
  std::optional<std::string> first;
  scan(database, 0, 1, [&](std::string_view key, const Entry&) { first = key; });
  return first;
}

void Keydir::expired(UnixMs now, std::size_t keys_max, std::vector<ExpiredKey>& out) const {
  if (keys_max == 0) return;
  // Calls `visit(table, database, expire_at, node)` for what may be among the earliest.
  const auto walk_until = [&](UnixMs latest, auto&& visit) {
    for (std::size_t i = 0; i < shards_count; ++i) {
      const UnixMs earliest = deadlines_[i].load(std::memory_order_relaxed);
      if (earliest == never || earliest > latest) continue;
      const Shard& shard = shards_[i];
      const std::lock_guard lock(shard.mutex);
      for (std::size_t database = 0; database < databases_count; ++database) {
        const auto& table = shard.databases[database];
        if (table == nullptr) continue;
        std::size_t visited = 0;
        table->deadlines.walk([&](UnixMs expire_at, NodeHandle handle) {
          if (expire_at > latest || visited == keys_max) return false;
          visit(*table, static_cast<Database>(database), expire_at, handle);
          ++visited;
          return true;
        });
      }
    }
  };
  // First the deadlines alone, to know the last that will be wanted: of all those that the shards
  // could offer only a few keys have to be copied.
  std::vector<UnixMs> deadlines;
  walk_until(now, [&](const DatabaseTable&, Database, UnixMs expire_at, NodeHandle) {
    deadlines.push_back(expire_at);
  });
  if (deadlines.size() > keys_max) {
    const auto last = deadlines.begin() + static_cast<std::ptrdiff_t>(keys_max - 1);
    std::nth_element(deadlines.begin(), last, deadlines.end());
    now = *last;
  }
  std::vector<ExpiredKey> found;
  walk_until(now, [&](const DatabaseTable& table, Database database, UnixMs, NodeHandle handle) {
    found.push_back(
        {database, std::string(table.nodes.key(handle)), table.nodes.read(handle).entry});
  });
  std::stable_sort(found.begin(), found.end(), [](const ExpiredKey& a, const ExpiredKey& b) {
    return a.entry.expire_at < b.entry.expire_at;
  });
  if (found.size() > keys_max) found.resize(keys_max);
  std::move(found.begin(), found.end(), std::back_inserter(out));
}

UnixMs Keydir::next_deadline() const {
  UnixMs earliest = never;
  for (const auto& deadline : deadlines_) {
    const UnixMs candidate = deadline.load(std::memory_order_relaxed);
    if (candidate == never) continue;
    if (earliest == never || candidate < earliest) earliest = candidate;
  }
  return earliest;
}

std::uint64_t Keydir::memory_bytes() const {
  std::uint64_t bytes = sizeof(Keydir) + shards_count * sizeof(Shard);
  for (std::size_t i = 0; i < shards_count; ++i) {
    const Shard& shard = shards_[i];
    const std::lock_guard lock(shard.mutex);
    for (const auto& table : shard.databases) {
      if (table != nullptr) bytes += table->memory_bytes();
    }
    for (const auto& table : shard.cleared) bytes += table->memory_bytes();
  }
  return bytes;
}

std::uint64_t Keydir::cache_bytes() const {
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < shards_count; ++i) {
    const std::lock_guard lock(shards_[i].mutex);
    bytes += shards_[i].ring.used_bytes();
  }
  return bytes;
}

}  // namespace kvs::log
