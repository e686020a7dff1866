#include "tests/support/map_engine.h"

#include <chrono>
#include <vector>

namespace kvs::test {

namespace {

UnixMs system_clock_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

class MapSession : public WriteSession {
 public:
  explicit MapSession(MapEngine& engine) : engine_(engine), place_(engine.writer_) {}

  Result<std::optional<KeyInfo>> find(Key key, Access access) override {
    if (const auto change = changes_.find({key.database, std::string(key.name)});
        change != changes_.end()) {
      return info_of(change->second);
    }
    if (cleared_.contains(key.database)) return std::nullopt;
    return engine_.find(key, access);
  }

  Result<std::optional<KeyInfo>> get(Key key, Access access, std::string& value) override {
    if (const auto change = changes_.find({key.database, std::string(key.name)});
        change != changes_.end()) {
      if (change->second) value = change->second->value;
      return info_of(change->second);
    }
    if (cleared_.contains(key.database)) return std::nullopt;
    return engine_.get(key, access, value);
  }

  void put(Key key, std::string_view value, UnixMs expire_at) override {
    changes_[{key.database, std::string(key.name)}] =
        MapEngine::Entry{std::string(value), expire_at, 0};
    pending_bytes_ += key.name.size() + value.size();
  }

  void remove(Key key) override {
    changes_[{key.database, std::string(key.name)}] = std::nullopt;
    pending_bytes_ += key.name.size();
  }

  // By copies: what it holds is small.
  void swap(Database first, Database second) override {
    if (first == second) return;
    const MapEngine::Contents of_first = contents(first);
    const MapEngine::Contents of_second = contents(second);
    clear(first);
    clear(second);
    for (const auto& [name, entry] : of_first) changes_[{second, name}] = entry;
    for (const auto& [name, entry] : of_second) changes_[{first, name}] = entry;
    swaps_ = true;
  }

  // Everything that was committed of swapped databases is hidden, and pending again.
  Database committed_as(Database database) const override { return database; }

  void clear(Database database) override {
    std::erase_if(changes_, [database](const auto& c) { return c.first.first == database; });
    cleared_.insert(database);
    ++pending_bytes_;
  }

  bool cleared(Database database) const override { return cleared_.contains(database); }

  void visit_pending(Database database,
                     const std::function<void(std::string_view key)>& visit) const override {
    for (const auto& [name, entry] : changes_) {
      if (name.first == database) visit(name.second);
    }
  }

  void publish_together() override {}  // they always are

  std::size_t pending_bytes() const override { return pending_bytes_; }

  Result<Position> commit() override {
    const auto changes = std::exchange(changes_, {});
    const auto cleared = std::exchange(cleared_, {});
    const bool swaps = std::exchange(swaps_, false);
    pending_bytes_ = 0;
    std::scoped_lock lock(engine_.mutex_);
    if (engine_.commit_failure_) {
      const Error error = *std::exchange(engine_.commit_failure_, std::nullopt);
      return std::unexpected(error);
    }
    std::erase_if(engine_.entries_,
                  [&cleared](const auto& e) { return cleared.contains(e.first.first); });
    engine_.last_lsn_ += cleared.size();
    for (const auto& [name, entry] : changes) {
      ++engine_.last_lsn_;
      if (!entry) {
        engine_.entries_.erase(name);
        continue;
      }
      MapEngine::Entry& stored = engine_.entries_[name];
      stored = *entry;
      stored.lsn = engine_.last_lsn_;
    }
    if (swaps) engine_.swapped_ = engine_.last_lsn_;
    return engine_.last_lsn_;
  }

 private:
  std::optional<KeyInfo> info_of(const std::optional<MapEngine::Entry>& entry) const {
    if (!entry || engine_.expired(*entry)) return std::nullopt;
    // As the log engine does it: the LSN that the commit would give, if it succeeds.
    return KeyInfo{engine_.committed() + 1, entry->value.size(), entry->expire_at};
  }

  // What this session sees of `database`.
  MapEngine::Contents contents(Database database) const {
    MapEngine::Contents contents;
    if (!cleared_.contains(database)) contents = engine_.contents(database);
    for (const auto& [name, entry] : changes_) {
      if (name.first != database) continue;
      if (entry) {
        contents[name.second] = *entry;
      } else {
        contents.erase(name.second);
      }
    }
    return contents;
  }

  MapEngine& engine_;
  const std::unique_lock<std::mutex> place_;
  MapEngine::Changes changes_;
  std::set<Database> cleared_;  // before `changes_`
  bool swaps_ = false;
  std::size_t pending_bytes_ = 0;
};

MapEngine::MapEngine(Clock clock) : clock_(clock ? std::move(clock) : system_clock_ms) {}

void MapEngine::fail_next_commit(Error error) {
  std::scoped_lock lock(mutex_);
  commit_failure_ = std::move(error);
}

void MapEngine::fail_reads(std::optional<Error> error) {
  std::scoped_lock lock(mutex_);
  read_failure_ = std::move(error);
}

void MapEngine::refuse_writes(std::optional<Error> error) {
  std::scoped_lock lock(mutex_);
  refusal_ = std::move(error);
}

bool MapEngine::expired(const Entry& entry) const {
  return entry.expire_at != never && entry.expire_at <= clock_();
}

std::optional<MapEngine::Entry> MapEngine::lookup(Key key) const {
  const auto entry = entries_.find({key.database, std::string(key.name)});
  if (entry == entries_.end() || expired(entry->second)) return std::nullopt;
  return entry->second;
}

MapEngine::Contents MapEngine::contents(Database database) const {
  std::scoped_lock lock(mutex_);
  Contents contents;
  for (const auto& [name, entry] : entries_) {
    if (name.first == database) contents[name.second] = entry;
  }
  return contents;
}

Result<std::optional<KeyInfo>> MapEngine::find(Key key, Access) {
  std::scoped_lock lock(mutex_);
  const auto entry = lookup(key);
  if (!entry) return std::nullopt;
  return KeyInfo{entry->lsn, entry->value.size(), entry->expire_at};
}

Result<std::optional<KeyInfo>> MapEngine::get(Key key, Access access, std::string& value) {
  std::scoped_lock lock(mutex_);
  const auto entry = lookup(key);
  if (!entry) return std::nullopt;
  if (cold_ && access == Access::resident_only) return fail(Code::would_block, "cold");
  if (read_failure_) return std::unexpected(*read_failure_);
  value = entry->value;
  return KeyInfo{entry->lsn, entry->value.size(), entry->expire_at};
}

Result<std::unique_ptr<WriteSession>> MapEngine::begin() {
  {
    std::scoped_lock lock(mutex_);
    if (refusal_) return std::unexpected(*refusal_);
  }
  return std::make_unique<MapSession>(*this);
}

Result<std::uint64_t> MapEngine::scan(Database database, std::uint64_t cursor, std::size_t count,
                                      const ScanVisitor& visit) {
  // In the order of hashes, of which the cursor is the next one.
  std::map<std::uint64_t, std::vector<std::pair<std::string, KeyInfo>>> by_hash;
  {
    std::scoped_lock lock(mutex_);
    for (const auto& [name, entry] : entries_) {
      const std::uint64_t hash = std::hash<std::string>()(name.second);
      if (name.first != database || hash < cursor || expired(entry)) continue;
      by_hash[hash].emplace_back(name.second,
                                 KeyInfo{entry.lsn, entry.value.size(), entry.expire_at});
    }
  }
  std::size_t visited = 0;
  for (const auto& [hash, keys] : by_hash) {
    if (visited >= count) return hash;
    for (const auto& [name, info] : keys) {
      visit(name, info);
      ++visited;
    }
  }
  return std::uint64_t{0};
}

Result<std::optional<std::string>> MapEngine::random_key(Database database) {
  std::scoped_lock lock(mutex_);
  for (const auto& [name, entry] : entries_) {
    if (name.first == database && !expired(entry)) return name.second;
  }
  return std::nullopt;
}

DatabaseStats MapEngine::database_stats(Database database) const {
  std::scoped_lock lock(mutex_);
  DatabaseStats stats;
  for (const auto& [name, entry] : entries_) {
    if (name.first != database) continue;
    ++stats.keys;
    if (entry.expire_at != never) ++stats.volatiles;
  }
  return stats;
}

EngineStats MapEngine::stats() const {
  EngineStats stats;
  stats.engine = "map";
  stats.compaction_paused = compaction_paused_;
  stats.compaction_rate_limit_bytes = compaction_limit_bytes_;
  stats.disk_full = disk_full_;
  return stats;
}

Position MapEngine::committed() const {
  std::scoped_lock lock(mutex_);
  return last_lsn_;
}

Position MapEngine::synced() const {
  std::scoped_lock lock(mutex_);
  return synced_;
}

Position MapEngine::swapped() const {
  std::scoped_lock lock(mutex_);
  return swapped_;
}

Result<Position> MapEngine::sync() {
  std::scoped_lock lock(mutex_);
  synced_ = last_lsn_;
  return synced_;
}

bool MapEngine::maintain(std::chrono::microseconds) {
  return false;
}

}  // namespace kvs::test
