#include "storage/log/keydir.h"

#include <algorithm>
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

// What a shard knows of one database. Its nodes lie in the shard's arena.
struct DatabaseTable {
  KeyTable keys;
  Deadlines deadlines;
  std::uint64_t removals = 0;  // nodes that only remember a removal (recovery)
  Lsn newest = 0;              // no node has a greater LSN

  std::uint64_t live_keys() const { return keys.size() - removals; }
};

// Scrambles a counter into a random number (splitmix64).
std::uint64_t scrambled(std::uint64_t number) {
  number = (number ^ number >> 30) * 0xbf58476d1ce4e5b9;
  number = (number ^ number >> 27) * 0x94d049bb133111eb;
  return number ^ number >> 31;
}

}  // namespace

struct alignas(64) Keydir::Shard {
  mutable std::mutex mutex;
  // All below is guarded by `mutex`.
  NodeArena nodes;
  ValueRing ring;
  std::array<std::unique_ptr<DatabaseTable>, databases_count> databases;  // null: never used
  std::array<Lsn, databases_count> cleared_lsn{};
  std::vector<std::unique_ptr<DatabaseTable>> cleared;

  DatabaseTable& table(Database database) {
    auto& table = databases[database];
    if (table == nullptr) table = std::make_unique<DatabaseTable>();
    return *table;
  }

  // Also finds nodes that remember a removal.
  NodeHandle find_node(Key key, std::uint32_t tag) const {
    const auto& table = databases[key.database];
    if (table == nullptr) return no_node;
    return table->keys.find(tag, [&](NodeHandle node) { return nodes.key(node) == key.name; });
  }

  // Finds a present key.
  NodeHandle find_live(Key key, std::uint32_t tag, KeyNode& node) const {
    const NodeHandle handle = find_node(key, tag);
    if (handle == no_node) return no_node;
    node = nodes.read(handle);
    return node.removed ? no_node : handle;
  }

  void erase(DatabaseTable& table, std::uint32_t tag, NodeHandle handle, const KeyNode& node) {
    if (node.entry.expire_at != never) table.deadlines.erase(node.entry.expire_at, handle);
    if (node.removed) --table.removals;
    table.keys.erase(tag, handle);
    nodes.destroy(handle);
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

Keydir::Keydir(const HashKey& hash_key, std::uint64_t cache_bytes)
    : shards_(std::make_unique<Shard[]>(shards_count)), random_state_(hash_of(hash_key, "random")) {
  for (std::size_t i = 0; i < databases_count; ++i) {
    hash_keys_[i] = derived(hash_key, static_cast<std::uint8_t>(i));
  }
  for (std::size_t i = 0; i < shards_count; ++i) {
    shards_[i].ring.set_capacity(static_cast<std::size_t>(cache_bytes / shards_count));
  }
}

Keydir::~Keydir() = default;

Keydir::Place Keydir::place_of(Key key) const {
  assert(key.database < databases_count);
  const std::uint64_t hash = hash_of(hash_keys_[key.database], key.name);
  return {.shard = static_cast<std::uint32_t>(hash >> (64 - shard_bits)),
          .tag = static_cast<std::uint32_t>(hash >> (32 - shard_bits))};
}

std::optional<Entry> Keydir::find(Key key) const {
  const Place place = place_of(key);
  const Shard& shard = shards_[place.shard];
  const std::lock_guard lock(shard.mutex);
  KeyNode node;
  if (shard.find_live(key, place.tag, node) == no_node) return std::nullopt;
  return node.entry;
}

std::optional<Keydir::Found> Keydir::get(Key key, std::string& value) {
  const Place place = place_of(key);
  Shard& shard = shards_[place.shard];
  std::unique_lock lock(shard.mutex);
  for (;;) {
    KeyNode node;
    const NodeHandle handle = shard.find_live(key, place.tag, node);
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
      shard.nodes.set_ring_position(handle, shard.ring.append(value));
    }
    return Found{node.entry, true};
  }
}

void Keydir::apply(std::span<Change> changes, Visibility visibility) {
  Counts counts;
  if (changes.size() == 1) {
    Work work{place_of(changes.front().key), &changes.front()};
    apply_by_shard({&work, 1}, counts);
  } else {
    std::vector<Work> work;
    work.reserve(changes.size());
    for (Change& change : changes) work.push_back({place_of(change.key), &change});
    if (visibility == Visibility::together) {
      apply_together(work, counts);
    } else {
      apply_by_shard(work, counts);
    }
  }
}

// Holds all shards' locks that it needs at once, taken in the order of the shards.
void Keydir::apply_together(std::span<Work> work, Counts& counts) {
  std::array<std::unique_lock<std::mutex>, shards_count> locks;
  std::uint64_t needed = 0;
  for (const Work& one : work) needed |= std::uint64_t{1} << one.place.shard;
  for (std::size_t i = 0; i < shards_count; ++i) {
    if (needed >> i & 1) locks[i] = std::unique_lock(shards_[i].mutex);
  }
  apply_locked(work, counts);
  counts.publish(*this);
}

void Keydir::apply_by_shard(std::span<Work> work, Counts& counts) {
  if (work.size() > 1) {
    // Stable: changes of one key stay in order.
    std::array<std::uint32_t, shards_count + 1> begin{};
    for (const Work& one : work) ++begin[one.place.shard + 1];
    for (std::size_t i = 1; i <= shards_count; ++i) begin[i] += begin[i - 1];
    std::vector<Work> sorted(work.size());
    for (const Work& one : work) sorted[begin[one.place.shard]++] = one;
    std::copy(sorted.begin(), sorted.end(), work.begin());
  }
  for (std::size_t first = 0; first < work.size();) {
    const std::uint32_t shard = work[first].place.shard;
    std::size_t end = first + 1;
    while (end < work.size() && work[end].place.shard == shard) ++end;
    const std::lock_guard lock(shards_[shard].mutex);
    apply_locked(work.subspan(first, end - first), counts);
    first = end;
  }
  counts.publish(*this);
}

void Keydir::apply_locked(std::span<const Work> work, Counts& counts) {
  // The way to a node is three cache misses long. A batch walks it for several keys at once.
  constexpr std::size_t ahead = 16;
  for (std::size_t first = 0; first < work.size(); first += ahead) {
    const auto some = work.subspan(first, std::min(ahead, work.size() - first));
    if (some.size() > 1) {
      const auto table_of = [&](const Work& one) {
        return shards_[one.place.shard].databases[one.change->key.database].get();
      };
      for (const Work& one : some) {
        if (const auto* table = table_of(one)) table->keys.prefetch_block(one.place.tag);
      }
      for (const Work& one : some) {
        if (const auto* table = table_of(one)) table->keys.prefetch_slots(one.place.tag);
      }
      for (const Work& one : some) {
        const auto* table = table_of(one);
        if (table == nullptr) continue;
        const NodeHandle node = table->keys.probable_node(one.place.tag);
        if (node != no_node) shards_[one.place.shard].nodes.prefetch(node);
      }
    }
    for (const Work& one : some) apply_one(shards_[one.place.shard], one, counts);
  }
}

void Keydir::apply_one(Shard& shard, const Work& work, Counts& counts) {
  Change& change = *work.change;
  const Database database = change.key.database;
  const std::uint32_t tag = work.place.tag;
  change.applied = false;
  change.replaced.reset();
  if (change.lsn < shard.cleared_lsn[database]) return;
  assert(!change.entry || change.entry->lsn == change.lsn);

  const NodeHandle handle = shard.find_node(change.key, tag);
  KeyNode before;
  before.removed = true;
  if (handle != no_node) {
    before = shard.nodes.read(handle);
    if (change.lsn <= before.entry.lsn) return;
  }
  change.applied = true;
  if (!before.removed) change.replaced = before.entry;

  const bool remember_removal = !change.entry && recovering_.load(std::memory_order_relaxed);
  KeyNode after;
  after.removed = !change.entry;
  if (change.entry) {
    after.entry = *change.entry;
    if (change.value) {
      assert(change.value->size() == change.entry->value_bytes);
      after.ring_position = shard.ring.append(*change.value);
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

  if (!change.entry && !remember_removal) {
    if (handle != no_node) shard.erase(shard.table(database), tag, handle, before);
  } else {
    DatabaseTable& table = shard.table(database);
    table.newest = std::max(table.newest, change.lsn);
    if (handle != no_node && before.removed) --table.removals;
    if (after.removed) ++table.removals;
    NodeHandle now = no_node;
    if (handle == no_node) {
      now = shard.nodes.create(after, change.key.name);
      table.keys.insert(tag, now);
    } else {
      now = shard.nodes.update(handle, after);
      if (now != handle) table.keys.replace(tag, handle, now);
    }
    if (deadline_before != deadline_after || now != handle) {
      if (deadline_before != never) table.deadlines.erase(deadline_before, handle);
      if (deadline_after != never) table.deadlines.insert(deadline_after, now);
    }
  }
  if (deadline_before != deadline_after) publish_deadline(work.place.shard);
}

void Keydir::publish_deadline(std::size_t shard) {
  deadlines_[shard].store(shards_[shard].earliest_deadline(), std::memory_order_relaxed);
}

bool Keydir::relocate(Key key, Lsn lsn, const Location& from, const Location& to) {
  const Place place = place_of(key);
  Shard& shard = shards_[place.shard];
  const std::lock_guard lock(shard.mutex);
  KeyNode node;
  const NodeHandle handle = shard.find_live(key, place.tag, node);
  if (handle == no_node || node.entry.lsn != lsn || node.entry.location != from) return false;
  node.entry.location = to;
  const NodeHandle now = shard.nodes.update(handle, node);
  if (now != handle) {
    DatabaseTable& table = shard.table(key.database);
    table.keys.replace(place.tag, handle, now);
    if (node.entry.expire_at != never) {
      table.deadlines.erase(node.entry.expire_at, handle);
      table.deadlines.insert(node.entry.expire_at, now);
    }
  }
  return true;
}

void Keydir::keep_value(Key key, Lsn lsn, std::string_view value) {
  const Place place = place_of(key);
  Shard& shard = shards_[place.shard];
  const std::lock_guard lock(shard.mutex);
  KeyNode node;
  const NodeHandle handle = shard.find_live(key, place.tag, node);
  if (handle == no_node || node.entry.lsn != lsn || shard.ring.holds(node.ring_position)) return;
  assert(value.size() == node.entry.value_bytes);
  shard.nodes.set_ring_position(handle, shard.ring.append(value));
}

bool Keydir::remove_if(Key key, Lsn lsn) {
  const Place place = place_of(key);
  Shard& shard = shards_[place.shard];
  Counts counts;
  const std::lock_guard lock(shard.mutex);
  KeyNode node;
  const NodeHandle handle = shard.find_live(key, place.tag, node);
  if (handle == no_node || node.entry.lsn != lsn) return false;
  shard.erase(shard.table(key.database), place.tag, handle, node);
  counts.add_key(key.database, -1);
  if (node.entry.expire_at != never) {
    counts.add_volatile(key.database, -1);
    publish_deadline(place.shard);
  }
  counts.publish(*this);
  return true;
}

void Keydir::clear(Database database, Lsn lsn) {
  assert(database < databases_count);
  std::array<std::unique_lock<std::mutex>, shards_count> locks;
  for (std::size_t i = 0; i < shards_count; ++i) locks[i] = std::unique_lock(shards_[i].mutex);
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
      std::vector<KeyTable::Slot> newer;
      old->keys.walk(0, [&](KeyTable::Slot slot) {
        if (shard.nodes.read(slot.node).entry.lsn >= lsn) newer.push_back(slot);
        return true;
      });
      DatabaseTable& table = shard.table(database);
      table.newest = old->newest;
      for (const auto& [tag, handle] : newer) {
        const KeyNode node = shard.nodes.read(handle);
        old->keys.erase(tag, handle);
        table.keys.insert(tag, handle);
        if (node.removed) {
          --old->removals;
          ++table.removals;
        }
        if (node.entry.expire_at != never) {
          old->deadlines.erase(node.entry.expire_at, handle);
          table.deadlines.insert(node.entry.expire_at, handle);
        }
      }
      keys -= table.live_keys();
      volatiles -= table.deadlines.size();
    }
    publish_deadline(i);
    if (old->keys.size() > 0) shard.cleared.push_back(std::move(old));
  }
  keys_[database] -= keys;
  volatiles_[database] -= volatiles;
}

std::size_t Keydir::drain_cleared(std::size_t entries_max,
                                  const std::function<void(const Entry&)>& visit) {
  std::size_t drained = 0;
  std::vector<Entry> entries;
  for (std::size_t i = 0; i < shards_count && drained < entries_max;) {
    Shard& shard = shards_[i];
    std::unique_ptr<DatabaseTable> emptied;  // freed with the lock released
    bool more = false;
    entries.clear();
    {
      const std::lock_guard lock(shard.mutex);
      if (!shard.cleared.empty()) {
        KeyTable& keys = shard.cleared.back()->keys;
        const std::size_t wanted = std::min(copied_keys_max, entries_max - drained);
        while (entries.size() < wanted && keys.size() > 0) {
          const NodeHandle handle = keys.take().node;
          const KeyNode node = shard.nodes.read(handle);
          if (!node.removed) entries.push_back(node.entry);
          shard.nodes.destroy(handle);
        }
        if (keys.size() == 0) {
          emptied = std::move(shard.cleared.back());
          shard.cleared.pop_back();
        }
        more = !shard.cleared.empty();
      }
    }
    for (const Entry& entry : entries) visit(entry);
    drained += entries.size();
    if (!more) ++i;
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
    for (auto& table : shard.databases) {
      if (table == nullptr || table->removals == 0) continue;
      std::vector<KeyTable::Slot> removals;
      table->keys.walk(0, [&](KeyTable::Slot slot) {
        if (shard.nodes.read(slot.node).removed) removals.push_back(slot);
        return true;
      });
      for (const auto& [tag, handle] : removals) {
        shard.erase(*table, tag, handle, shard.nodes.read(handle));
      }
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
  while (cursor >> 32 < shards_count) {
    const std::uint64_t shard_number = cursor >> 32;
    const Shard& shard = shards_[shard_number];
    const std::size_t wanted = std::min(copied_keys_max, count - visited);
    std::uint64_t next = (shard_number + 1) << 32;
    seen.clear();
    names.clear();
    {
      const std::lock_guard lock(shard.mutex);
      if (const auto& table = shard.databases[database]; table != nullptr) {
        std::uint32_t last_tag = 0;
        table->keys.walk(static_cast<std::uint32_t>(cursor), [&](KeyTable::Slot slot) {
          // Keys with one tag go out together: the cursor cannot stand between them.
          if (seen.size() >= wanted && slot.tag != last_tag) {
            next = shard_number << 32 | slot.tag;
            return false;
          }
          const KeyNode node = shard.nodes.read(slot.node);
          if (node.removed) return true;
          names += shard.nodes.key(slot.node);
          seen.push_back({node.entry, names.size()});
          last_tag = slot.tag;
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
  return cursor >> 32 < shards_count ? cursor : 0;
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
    if (table == nullptr || table->keys.size() == 0) continue;
    const NodeHandle handle = table->keys.pick(random()).node;
    if (shard.nodes.read(handle).removed) continue;
    return std::string(shard.nodes.key(handle));
  }
  std::optional<std::string> first;
  scan(database, 0, 1, [&](std::string_view key, const Entry&) { first = key; });
  return first;
}

void Keydir::expired(UnixMs now, std::size_t keys_max, std::vector<ExpiredKey>& out) const {
  if (keys_max == 0) return;
  // Calls `visit(shard, database, expire_at, node)` for what may be among the earliest.
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
          visit(shard, static_cast<Database>(database), expire_at, handle);
          ++visited;
          return true;
        });
      }
    }
  };
  // First the deadlines alone, to know the last that will be wanted: of all those that the shards
  // could offer only a few keys have to be copied.
  std::vector<UnixMs> deadlines;
  walk_until(now, [&](const Shard&, Database, UnixMs expire_at, NodeHandle) {
    deadlines.push_back(expire_at);
  });
  if (deadlines.size() > keys_max) {
    const auto last = deadlines.begin() + static_cast<std::ptrdiff_t>(keys_max - 1);
    std::nth_element(deadlines.begin(), last, deadlines.end());
    now = *last;
  }
  std::vector<ExpiredKey> found;
  walk_until(now, [&](const Shard& shard, Database database, UnixMs, NodeHandle handle) {
    found.push_back(
        {database, std::string(shard.nodes.key(handle)), shard.nodes.read(handle).entry});
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
  const auto table_bytes = [](const DatabaseTable& table) {
    return sizeof table + table.keys.memory_bytes() + table.deadlines.memory_bytes();
  };
  for (std::size_t i = 0; i < shards_count; ++i) {
    const Shard& shard = shards_[i];
    const std::lock_guard lock(shard.mutex);
    bytes += shard.nodes.memory_bytes();
    for (const auto& table : shard.databases) {
      if (table != nullptr) bytes += table_bytes(*table);
    }
    for (const auto& table : shard.cleared) bytes += table_bytes(*table);
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
