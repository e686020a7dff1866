#include "storage/rocksdb/rocksdb_engine.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <cstdlib>
#include <random>
#include <rocksdb/convenience.h>
#include <rocksdb/experimental.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/iterator.h>
#include <rocksdb/table.h>
#include <sys/stat.h>
#include <system_error>
#include <utility>

#include "storage/limits.h"

namespace kvs::rocks {
namespace {

using Severity = EngineOptions::Severity;

constexpr std::size_t expired_batch_keys = 256;
constexpr int random_attempts_max = 64;
constexpr std::uint64_t random_steps_max = 16;
constexpr int files_open_max = 512;
constexpr double filter_bits_per_key = 10;
constexpr double memtable_filter_share = 0.02;
constexpr int write_buffers_max = 4;  // one is written to, the others wait for the disk
constexpr std::uint64_t write_buffer_bytes_min = std::uint64_t{64} << 10;
constexpr std::uint64_t write_buffer_bytes_max = std::uint64_t{256} << 20;
constexpr std::uint64_t writeback_step_bytes = std::uint64_t{1} << 20;
constexpr auto disk_measured_every = std::chrono::seconds(1);

rocksdb::Slice to_slice(std::string_view text) {
  return {text.data(), text.size()};
}

std::string_view to_view(const rocksdb::Slice& slice) {
  return {slice.data(), slice.size()};
}

KeyInfo info_of(const DataRecord& record) {
  return {.lsn = record.header.lsn,
          .value_bytes = record.value.size(),
          .expire_at = record.header.expire_at};
}

UnixMs system_clock_ms() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

// Clocks only go forward.
void raise(std::atomic<UnixMs>& clock, UnixMs to) {
  if (clock.load(std::memory_order_relaxed) < to) clock.store(to, std::memory_order_relaxed);
}

std::uint64_t random_number() {
  thread_local std::mt19937_64 random{std::random_device()()};
  return random();
}

rocksdb::Options database_options(const EngineOptions& options,
                                  const std::shared_ptr<Background>& background,
                                  const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::Options chosen;
  chosen.create_if_missing = true;
  chosen.info_log = make_logger(background);
  chosen.listeners.push_back(make_listener(background));
  chosen.max_background_jobs = 2;
  chosen.max_open_files = files_open_max;
  // A segment's counterpart is a memtable, and the file that it becomes.
  chosen.write_buffer_size =
      std::clamp(options.segment_bytes, write_buffer_bytes_min, write_buffer_bytes_max);
  chosen.max_write_buffer_number = write_buffers_max;
  chosen.target_file_size_base = chosen.write_buffer_size;
  chosen.max_bytes_for_level_base = 4 * chosen.write_buffer_size;
  chosen.level_compaction_dynamic_level_bytes = true;
  chosen.bytes_per_sync = writeback_step_bytes;  // so that no sync has it all
  // There is one writer at a time, so what makes several of them fast only costs.
  chosen.allow_concurrent_memtable_write = false;
  chosen.enable_write_thread_adaptive_yield = false;
  // Every write looks its key up first, and most look-ups of new keys end here.
  chosen.memtable_prefix_bloom_size_ratio = memtable_filter_share;
  chosen.memtable_whole_key_filtering = true;
  // Statistics that nobody reads.
  chosen.stats_dump_period_sec = 0;
  chosen.stats_persist_period_sec = 0;
  const auto compressions = rocksdb::GetSupportedCompressions();
  const bool has_lz4 = std::find(compressions.begin(), compressions.end(),
                                 rocksdb::kLZ4Compression) != compressions.end();
  chosen.compression = has_lz4 ? rocksdb::kLZ4Compression : rocksdb::kNoCompression;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.no_block_cache = options.cache_bytes == 0;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(filter_bits_per_key));
  table.format_version = 5;
  chosen.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return chosen;
}

}  // namespace

// --- opening and closing ---

RocksEngine::RocksEngine(Opening /*opening*/, std::filesystem::path folder,
                         std::unique_ptr<DirectoryLock> lock, EngineOptions options)
    : folder_(std::move(folder)),
      lock_(std::move(lock)),
      options_(std::move(options)),
      background_(std::make_shared<Background>(options_.log)) {
  in_memory_.read_tier = rocksdb::kBlockCacheTier;
}

RocksEngine::~RocksEngine() = default;

Result<std::unique_ptr<Engine>> RocksEngine::open(std::unique_ptr<DirectoryLock> lock,
                                                  EngineOptions options) {
  std::error_code failed;
  const auto directory = std::filesystem::absolute(options.directory, failed);
  if (failed) return fail(Code::io, "cannot find " + options.directory.string());
  const auto folder = directory / folder_name;
  // Made here and not by RocksDB, so that only the owner may look into it and its name is durable.
  auto existing = options.fs->open_directory(folder);
  if (!existing && existing.error().code() != Code::not_found) {
    return std::unexpected(existing.error());
  }
  if (!existing) {
    if (auto made = options.fs->create_directory(folder); !made) {
      return std::unexpected(made.error());
    }
  }
  auto engine =
      std::make_unique<RocksEngine>(Opening(), folder, std::move(lock), std::move(options));
  if (auto opened = engine->open_database(); !opened) return std::unexpected(opened.error());
  if (auto loaded = engine->read_states(); !loaded) return std::unexpected(loaded.error());
  return engine;
}

Result<void> RocksEngine::open_database() {
  const auto began = std::chrono::steady_clock::now();
  if (options_.cache_bytes > 0) cache_ = rocksdb::NewLRUCache(options_.cache_bytes);
  rocksdb::DB* opened = nullptr;
  const auto status =
      rocksdb::DB::Open(database_options(options_, background_, cache_), folder_.string(), &opened);
  if (!status.ok()) return std::unexpected(to_error(status, "open " + folder_.string()));
  db_.reset(opened);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  recovery_seconds_ = took.count();
  return {};
}

// Reads what is kept in memory: the secret of the hash and the state of each database.
Result<void> RocksEngine::read_states() {
  const auto corrupt = [this](const std::string& what) {
    return kvs::fail(Code::corrupt, folder_.string() + ": " + what + " cannot be read");
  };
  std::string text;
  auto status = db_->Get({}, secret_key(), &text);
  if (status.IsNotFound()) {
    secret_ = HashKey::random();
    const std::string secret(secret_.bytes.begin(), secret_.bytes.end());
    rocksdb::WriteBatch batch;
    status = batch.Put(secret_key(), secret);
    rocksdb::WriteOptions synced;
    synced.sync = true;
    if (status.ok()) status = db_->Write(synced, &batch);
    if (!status.ok()) return std::unexpected(to_error(status, "write " + folder_.string()));
  } else if (!status.ok()) {
    return std::unexpected(to_error(status, "read " + folder_.string()));
  } else {
    const auto secret = parse_secret(text);
    if (!secret) return corrupt("the secret of the hash");
    secret_ = *secret;
  }
  Lsn last_lsn = 0;
  for (unsigned number = 0; number < databases_count; ++number) {
    const auto database = static_cast<Database>(number);
    status = db_->Get({}, state_key(database), &text);
    if (status.IsNotFound()) continue;
    if (!status.ok()) return std::unexpected(to_error(status, "read " + folder_.string()));
    const auto state = parse_state(text);
    if (!state) return corrupt("the state of database " + std::to_string(number));
    DatabaseState& here = databases_[database];
    here.epoch = state->epoch;
    here.keys = state->keys;
    here.volatiles = state->volatiles;
    // The first slice of maintenance looks for the first deadline.
    if (state->volatiles > 0) here.next_deadline = 1;
    last_lsn = std::max(last_lsn, state->last_lsn);
    raise(newest_clock_, state->clock);
  }
  status = db_->Get({}, map_key(), &text);
  if (!status.ok() && !status.IsNotFound()) {
    return std::unexpected(to_error(status, "read " + folder_.string()));
  }
  if (status.ok()) {
    const auto state = parse_map(text);
    if (!state) return corrupt("which database is which");
    last_lsn = std::max(last_lsn, state->last_lsn);
    map_.change(state->map, state->lsn, [] { return true; });
  }
  // RocksDB writes what it finds in its log to tables, and syncs them, before it opens.
  announced_ = written_ = synced_ = last_lsn;
  measure_disk();
  return {};
}

Result<void> RocksEngine::close() {
  std::scoped_lock lock(maintenance_, place_);
  if (!background_->health.failed() && now() > newest_clock_) {
    rocksdb::WriteBatch batch;
    auto status = batch.Put(state_key(0), encode_state(state_of(0)));
    if (!status.ok()) return std::unexpected(to_error(status, "write the clock"));
    if (auto written = write(batch); !written) return written;
  }
  auto synced = sync();
  const auto closed = db_->Close();
  if (!synced) return std::unexpected(synced.error());
  if (!closed.ok()) return std::unexpected(to_error(closed, "close " + folder_.string()));
  return {};
}

// Never behind what was written, so that what has expired before a restart, or before somebody
// turned the clock back, has expired after it.
UnixMs RocksEngine::now() const {
  const UnixMs wall = options_.clock ? options_.clock() : system_clock_ms();
  return std::max(wall, newest_clock_.load(std::memory_order_relaxed));
}

// --- reading ---

std::optional<DataRecord> RocksEngine::parse(std::string_view bytes, std::string_view name) {
  auto record = parse_data(bytes);
  if (!record) {
    corrupt_reads_.fetch_add(1, std::memory_order_relaxed);
    background_->tell(Severity::error, folder_.string() + ": the record of a key of " +
                                           std::to_string(name.size()) + " bytes cannot be read");
  }
  return record;
}

// Returns what is stored of `key`; the value lies in `slice`.
Result<std::optional<DataRecord>> RocksEngine::look_up(Key key, Access access,
                                                       rocksdb::PinnableSlice& slice) {
  const Epoch epoch = databases_[key.database].epoch.load(std::memory_order_acquire);
  const DataKey data_key(key, epoch, hash_of(secret_, key.name));
  auto* const family = db_->DefaultColumnFamily();
  auto status = db_->Get(in_memory_, family, to_slice(data_key.view()), &slice);
  // An empty value, which no record of ours has, says "perhaps": the table's file is not open.
  if (status.ok() && slice.empty()) status = rocksdb::Status::Incomplete();
  if (status.ok()) {
    cache_hits_.fetch_add(1, std::memory_order_relaxed);
  } else if (status.IsIncomplete()) {
    if (access == Access::resident_only) return fail(Code::would_block, "value is not in memory");
    disk_reads_.fetch_add(1, std::memory_order_relaxed);
    slice.Reset();
    status = db_->Get({}, family, to_slice(data_key.view()), &slice);
  }
  if (status.IsNotFound()) return std::nullopt;
  if (!status.ok()) {
    if (status.IsCorruption()) corrupt_reads_.fetch_add(1, std::memory_order_relaxed);
    return std::unexpected(to_error(status, "read a value"));
  }
  auto record = parse(to_view(slice), key.name);
  if (!record) return fail(Code::corrupt, folder_.string() + ": a record cannot be read");
  return record;
}

Result<std::optional<Header>> RocksEngine::committed_header(Key key) {
  rocksdb::PinnableSlice slice;
  auto record = look_up(key, Access::may_block, slice);
  if (!record) return std::unexpected(record.error());
  if (!*record) return std::nullopt;
  return (*record)->header;
}

Result<std::optional<KeyInfo>> RocksEngine::find(Key key, Access access) {
  return map_.read([&](const DatabaseMap& map) { return find_stored(map.stored(key), access); });
}

Result<std::optional<KeyInfo>> RocksEngine::get(Key key, Access access, std::string& value) {
  bool again = false;
  return map_.read([&](const DatabaseMap& map) {
    if (std::exchange(again, true)) value.clear();  // it may be another database's by now
    return get_stored(map.stored(key), access, value);
  });
}

Result<std::optional<KeyInfo>> RocksEngine::find_stored(Key key, Access access) {
  rocksdb::PinnableSlice slice;
  auto record = look_up(key, access, slice);
  if (!record) return std::unexpected(record.error());
  if (!*record || expired((*record)->header.expire_at)) return std::nullopt;
  return info_of(**record);
}

Result<std::optional<KeyInfo>> RocksEngine::get_stored(Key key, Access access, std::string& value) {
  rocksdb::PinnableSlice slice;
  auto record = look_up(key, access, slice);
  if (!record) return std::unexpected(record.error());
  if (!*record || expired((*record)->header.expire_at)) return std::nullopt;
  value.assign((*record)->value);
  return info_of(**record);
}

// `bound` must live as long as the iterator, and what `upper_bound` refers to as well.
std::unique_ptr<rocksdb::Iterator> RocksEngine::iterate(std::string_view upper_bound,
                                                        rocksdb::Slice& bound) const {
  bound = to_slice(upper_bound);
  rocksdb::ReadOptions options;
  options.iterate_upper_bound = &bound;
  options.fill_cache = false;  // a scan of everything must not push out what is read often
  return std::unique_ptr<rocksdb::Iterator>(db_->NewIterator(options));
}

Result<std::uint64_t> RocksEngine::scan(Database database, std::uint64_t cursor, std::size_t count,
                                        const ScanVisitor& visit) {
  return scan_stored(map_.now().stored(database), cursor, count, visit);
}

// The cursor is the hash to go on from. Keys of one hash are visited in one step, so no key is
// met twice, and no key can move.
Result<std::uint64_t> RocksEngine::scan_stored(Database database, std::uint64_t cursor,
                                               std::size_t count, const ScanVisitor& visit) {
  const Epoch epoch = databases_[database].epoch.load(std::memory_order_acquire);
  const std::string end = range_prefix(tag_data, database, epoch + 1);
  rocksdb::Slice bound;
  const auto at = iterate(end, bound);
  at->Seek(numbered_prefix(tag_data, database, epoch, cursor));
  std::size_t met = 0;
  std::uint64_t last = 0;
  for (; at->Valid(); at->Next()) {
    const std::string_view key = to_view(at->key());
    const std::uint64_t hash = number_of(key);
    if (met >= count && met > 0 && hash != last) return hash;
    last = hash;
    ++met;
    const std::string_view name = name_of(key);
    const auto record = parse(to_view(at->value()), name);
    if (!record) return fail(Code::corrupt, folder_.string() + ": a record cannot be read");
    if (!expired(record->header.expire_at)) visit(name, info_of(*record));
  }
  if (!at->status().ok()) return std::unexpected(to_error(at->status(), "scan"));
  return std::uint64_t{0};
}

Result<std::optional<std::string>> RocksEngine::first_present(Database database) {
  std::optional<std::string> present;
  std::uint64_t cursor = 0;
  do {
    const auto next = scan_stored(database, cursor, 100, [&](std::string_view key, const KeyInfo&) {
      if (!present) present = std::string(key);
    });
    if (!next) return std::unexpected(next.error());
    cursor = *next;
  } while (!present && cursor != 0);
  return present;
}

Result<std::optional<std::string>> RocksEngine::random_key(Database database) {
  return map_.read([&](const DatabaseMap& map) { return random_key_stored(map.stored(database)); });
}

// A random hash, and from there a random number of steps: the gaps between hashes differ widely,
// the sum of several of them less.
Result<std::optional<std::string>> RocksEngine::random_key_stored(Database database) {
  const Epoch epoch = databases_[database].epoch.load(std::memory_order_acquire);
  const std::string begin = range_prefix(tag_data, database, epoch);
  const std::string end = range_prefix(tag_data, database, epoch + 1);
  rocksdb::Slice bound;
  const auto at = iterate(end, bound);
  for (int attempt = 0; attempt < random_attempts_max; ++attempt) {
    at->Seek(numbered_prefix(tag_data, database, epoch, random_number()));
    for (std::uint64_t steps = random_number() % random_steps_max;; --steps) {
      if (!at->Valid()) at->Seek(begin);
      if (!at->Valid() || steps == 0) break;
      at->Next();
    }
    if (!at->Valid()) break;  // nothing is there
    const auto record = parse(to_view(at->value()), name_of(to_view(at->key())));
    if (!record) return fail(Code::corrupt, folder_.string() + ": a record cannot be read");
    if (!expired(record->header.expire_at)) return std::string(name_of(to_view(at->key())));
  }
  if (!at->status().ok()) return std::unexpected(to_error(at->status(), "draw a key"));
  return first_present(database);  // nearly everything has expired, or nothing is there
}

DatabaseStats RocksEngine::database_stats(Database database) const {
  return map_.read([&](const DatabaseMap& map) {
    const DatabaseState& state = databases_[map.stored(database)];
    return DatabaseStats{.keys = state.keys, .volatiles = state.volatiles};
  });
}

std::uint64_t RocksEngine::property(const std::string& name) const {
  std::uint64_t number = 0;
  return db_->GetIntProperty(name, &number) ? number : 0;
}

EngineStats RocksEngine::stats() const {
  using Properties = rocksdb::DB::Properties;
  EngineStats stats{.engine = "rocksdb"};
  stats.disk_bytes = disk_bytes_;
  stats.live_bytes = property(Properties::kEstimateLiveDataSize);
  const std::uint64_t tables = property(Properties::kTotalSstFilesSize);
  stats.dead_bytes = tables > stats.live_bytes ? tables - stats.live_bytes : 0;
  for (int level = 0; level < db_->NumberLevels(); ++level) {
    std::string files;
    if (db_->GetProperty(Properties::kNumFilesAtLevelPrefix + std::to_string(level), &files)) {
      stats.segments += std::strtoull(files.c_str(), nullptr, 10);
    }
  }
  stats.compactions = background_->compactions;
  stats.compacted_bytes = background_->compacted_bytes;
  stats.compaction_running = property(Properties::kNumRunningCompactions) > 0;
  stats.syncs = syncs_;
  stats.sync_failures = sync_failures_;
  stats.written_bytes = written_bytes_;
  stats.disk_reads = disk_reads_;
  stats.cache_hits = cache_hits_;
  stats.cache_bytes = cache_ != nullptr ? cache_->GetUsage() : 0;
  stats.corrupt_reads = corrupt_reads_;
  stats.expired_keys = expired_keys_;
  stats.index_bytes = property(Properties::kEstimateTableReadersMem);
  stats.read_only = background_->health.failed();
  stats.read_only_reason = background_->health.reason();
  stats.recovery_seconds = recovery_seconds_;
  return stats;
}

// --- writing ---

Result<std::unique_ptr<WriteSession>> RocksEngine::begin() {
  std::unique_lock place(place_);
  if (auto healthy = background_->health.check(); !healthy) {
    return std::unexpected(healthy.error());
  }
  return std::make_unique<RocksSession>(*this, std::move(place));
}

State RocksEngine::state_of(Database database) const {
  const DatabaseState& state = databases_[database];
  return {.epoch = state.epoch,
          .keys = state.keys,
          .volatiles = state.volatiles,
          .last_lsn = announced_,
          .clock = now()};
}

// Hands `batch` to RocksDB. The caller holds the place.
Result<void> RocksEngine::write(rocksdb::WriteBatch& batch) {
  const auto written = db_->Write({}, &batch);
  if (written.ok()) {
    written_bytes_.fetch_add(batch.GetDataSize(), std::memory_order_relaxed);
    return {};
  }
  // What RocksDB has of the batch is unknown; but after a full disk it begins a new log, and says
  // no until it has.
  if (written.IsNoSpace()) {
    log_has_error_.store(true);
  } else {
    background_->health.fail(written.ToString());
  }
  return std::unexpected(to_error(written, "write to the log"));
}

Result<Position> RocksEngine::commit(const PendingWrites& writes) {
  if (writes.failure) return std::unexpected(*writes.failure);
  if (writes.records == 0) return committed();
  const Lsn last_lsn = committed() + writes.records;
  assert(last_lsn <= limits::lsn_max);
  const UnixMs clock = now();
  rocksdb::WriteBatch batch(writes.bytes + 1024);
  std::array<State, databases_count> states;
  std::array<UnixMs, databases_count> first_deadlines{};
  for (unsigned number = 0; number < databases_count; ++number) {
    const auto database = static_cast<Database>(number);
    if (!writes.touched[database]) continue;
    State& state = states[database];
    state = state_of(database);
    write_pending(writes, database, batch, state, first_deadlines[database]);
    state.last_lsn = last_lsn;
    state.clock = clock;
    // Only memory can run out here, which ends the process.
    const auto put = batch.Put(state_key(database), encode_state(state));
    assert(put.ok());
  }
  const Lsn swap_lsn = next_lsn() + writes.swap_number;
  if (writes.databases) {
    const auto put = batch.Put(
        map_key(), encode_map({.map = *writes.databases, .lsn = swap_lsn, .last_lsn = last_lsn}));
    assert(put.ok());
  }

  Result<void> written;
  const auto publish = [&] {
    {
      std::scoped_lock announcing(announcing_);
      announced_.store(last_lsn, std::memory_order_release);
      written = write(batch);
      // If it failed, its numbers are used up and cover nothing.
      written_.store(last_lsn, std::memory_order_release);
    }
    if (!written) return false;
    raise(newest_clock_, clock);
    show(writes, states, first_deadlines);
    return true;
  };
  if (writes.databases) {
    map_.change(*writes.databases, swap_lsn, publish);
  } else {
    publish();
  }
  if (!written) return std::unexpected(written.error());
  return last_lsn;
}

// Takes over what was written of each database.
void RocksEngine::show(const PendingWrites& writes,
                       const std::array<State, databases_count>& states,
                       const std::array<UnixMs, databases_count>& first_deadlines) {
  for (unsigned number = 0; number < databases_count; ++number) {
    if (!writes.touched[number]) continue;
    DatabaseState& here = databases_[number];
    if (states[number].epoch != here.epoch) {
      std::scoped_lock lock(dead_mutex_);
      for (const char tag : {tag_data, tag_deadline}) {
        dead_.push_back({range_prefix(tag, static_cast<Database>(number), here.epoch),
                         range_prefix(tag, static_cast<Database>(number), here.epoch + 1)});
      }
      here.next_deadline = never;
    }
    here.keys = states[number].keys;
    here.volatiles = states[number].volatiles;
    const UnixMs first = first_deadlines[number];
    if (first != never && (here.next_deadline == never || first < here.next_deadline)) {
      here.next_deadline = first;
    }
    // Last: readers go over to what was written after the clear, which emptied the old epoch.
    here.epoch.store(states[number].epoch, std::memory_order_release);
  }
}

// Adds the records of one database to `batch`, and to `state` what they change.
void RocksEngine::write_pending(const PendingWrites& writes, Database database,
                                rocksdb::WriteBatch& batch, State& state, UnixMs& first_deadline) {
  rocksdb::Status added;
  const auto add = [&added](const rocksdb::Status& status) {
    if (added.ok()) added = status;
  };
  if (writes.cleared[database] && state.keys > 0) {
    for (const char tag : {tag_data, tag_deadline}) {
      add(batch.DeleteRange(range_prefix(tag, database, state.epoch),
                            range_prefix(tag, database, state.epoch + 1)));
    }
    ++state.epoch;
    state.keys = 0;
    state.volatiles = 0;
  }
  for (const auto& [name, write] : writes.tables[database]) {
    const Key key{database, name};
    if (write.replaced) {
      --state.keys;
      if (write.replaced->expire_at != never) {
        --state.volatiles;
        add(batch.Delete(deadline_key(key, state.epoch, write.replaced->expire_at)));
      }
    }
    const DataKey data_key(key, state.epoch, hash_of(secret_, name));
    if (!write.value) {
      if (write.replaced) add(batch.Delete(to_slice(data_key.view())));
      continue;
    }
    ++state.keys;
    if (write.expire_at != never) {
      ++state.volatiles;
      add(batch.Put(deadline_key(key, state.epoch, write.expire_at), rocksdb::Slice()));
      if (first_deadline == never || write.expire_at < first_deadline) {
        first_deadline = write.expire_at;
      }
    }
    const std::string header =
        encode_header({.lsn = next_lsn() + write.number, .expire_at = write.expire_at});
    const rocksdb::Slice key_part = to_slice(data_key.view());
    const std::array<rocksdb::Slice, 2> value_parts{to_slice(header), to_slice(*write.value)};
    add(batch.Put(rocksdb::SliceParts(&key_part, 1),
                  rocksdb::SliceParts(value_parts.data(), static_cast<int>(value_parts.size()))));
  }
  // A batch in memory takes whatever fits a session.
  assert(added.ok());
}

Result<Position> RocksEngine::sync() {
  std::scoped_lock lock(syncing_);
  if (auto healthy = background_->health.check(); !healthy) {
    return std::unexpected(healthy.error());
  }
  const Position target = announced_.load(std::memory_order_acquire);
  if (written_.load(std::memory_order_acquire) < target) {
    std::scoped_lock until_written(announcing_);
  }
  if (target <= synced_) return synced_.load();
  if (log_has_error_.load()) return sync_as_tables(target);
  const auto synced = db_->SyncWAL();
  if (!synced.ok()) {
    sync_failures_.fetch_add(1, std::memory_order_relaxed);
    // Also when the disk is full: what reached it is unknown from here on.
    background_->health.fail(synced.ToString());
    return std::unexpected(to_error(synced, "sync the log"));
  }
  syncs_.fetch_add(1, std::memory_order_relaxed);
  synced_.store(target, std::memory_order_release);
  return target;
}

// The disk was full: RocksDB's log file has an error for good, and a sync of it would be an error
// too (and an abort in builds with assertions, as Debian's is). Its records become durable as
// tables instead; then the file is forgotten. While there is no room this is no_space, and final
// for nobody. A write that finds the disk full between the caller's look and its SyncWAL is not
// seen: nothing of RocksDB's tells before the sync.
Result<Position> RocksEngine::sync_as_tables(Position target) {
  rocksdb::Status written = db_->Flush({});
  // Waits for nothing: it is how RocksDB is made to drop log files that it needs no more now.
  if (written.ok()) written = db_->DisableFileDeletions();
  if (written.ok()) written = db_->EnableFileDeletions(/*force=*/false);
  if (!written.ok()) {
    if (!written.IsNoSpace()) background_->health.fail(written.ToString());
    return std::unexpected(to_error(written, "write tables"));
  }
  log_has_error_.store(false);
  syncs_.fetch_add(1, std::memory_order_relaxed);
  synced_.store(target, std::memory_order_release);
  return target;
}

// --- maintenance ---

bool RocksEngine::maintain(std::chrono::microseconds budget) {
  std::unique_lock maintaining(maintenance_, std::try_to_lock);
  if (!maintaining) return false;
  const SteadyTime until = std::chrono::steady_clock::now() + budget;
  measure_disk();
  if (background_->health.failed()) return false;
  const bool more = remove_expired(until);
  std::vector<DeadRange> dead;
  {
    std::scoped_lock lock(dead_mutex_);
    dead = std::exchange(dead_, {});
  }
  for (const DeadRange& range : dead) {
    const rocksdb::Slice begin = range.begin;
    const rocksdb::Slice end = range.end;
    const auto deleted =
        rocksdb::DeleteFilesInRange(db_.get(), db_->DefaultColumnFamily(), &begin, &end, false);
    if (!deleted.ok()) {
      background_->tell(Severity::warning, to_error(deleted, "give files back").message());
    }
  }
  compact_if_requested();
  return more;
}

bool RocksEngine::remove_expired(SteadyTime until) {
  for (unsigned number = 0; number < databases_count; ++number) {
    const auto database = static_cast<Database>(number);
    const std::atomic<UnixMs>& next = databases_[database].next_deadline;
    while (next != never && next <= now()) {
      const auto removed = remove_expired_keys(database);
      if (!removed) {
        // The next slice tries again, and says nothing more.
        if (!std::exchange(expiry_failing_, true)) {
          background_->tell(Severity::warning, removed.error().message());
        }
        return false;
      }
      expiry_failing_ = false;
      if (std::chrono::steady_clock::now() >= until) return true;
    }
  }
  return false;
}

// Removes keys of `database` past their deadline, some at a time, and notes the next deadline.
// No position is taken: for readers the keys have been absent.
Result<std::size_t> RocksEngine::remove_expired_keys(Database database) {
  std::scoped_lock place(place_);
  DatabaseState& here = databases_[database];
  const Epoch epoch = here.epoch;
  const std::string end = range_prefix(tag_deadline, database, epoch + 1);
  rocksdb::Slice bound;
  const auto at = iterate(end, bound);
  rocksdb::WriteBatch batch;
  State state = state_of(database);
  std::size_t removed = 0;
  UnixMs next = never;
  for (at->Seek(range_prefix(tag_deadline, database, epoch)); at->Valid(); at->Next()) {
    const auto deadline = static_cast<UnixMs>(number_of(to_view(at->key())));
    if (deadline > state.clock || removed == expired_batch_keys) {
      next = deadline;
      break;
    }
    const std::string_view name = name_of(to_view(at->key()));
    const DataKey data_key({database, name}, epoch, hash_of(secret_, name));
    const auto deleted = batch.Delete(to_slice(data_key.view()));
    const auto unlisted = batch.Delete(at->key());
    assert(deleted.ok() && unlisted.ok());
    ++removed;
  }
  if (!at->status().ok()) return std::unexpected(to_error(at->status(), "look for deadlines"));
  if (removed > 0) {
    assert(state.volatiles >= removed);
    state.keys -= removed;
    state.volatiles -= removed;
    const auto put = batch.Put(state_key(database), encode_state(state));
    assert(put.ok());
    if (auto written = write(batch); !written) return std::unexpected(written.error());
    raise(newest_clock_, state.clock);
    here.keys = state.keys;
    here.volatiles = state.volatiles;
    expired_keys_.fetch_add(removed, std::memory_order_relaxed);
  }
  here.next_deadline = next;
  return removed;
}

// RocksDB compacts on threads of its own: here it is only told to. What is in memory must be in
// tables first, which happens behind the scenes too.
void RocksEngine::compact_if_requested() {
  if (compaction_requested_.exchange(false)) {
    rocksdb::FlushOptions flush;
    flush.wait = false;
    flush.allow_write_stall = true;  // it does not wait for a moment without one
    const auto begun = db_->Flush(flush);
    flush_awaited_ = true;
    if (!begun.ok()) {
      background_->tell(Severity::warning, to_error(begun, "compact").message());
      flush_awaited_ = false;
    }
  }
  using Properties = rocksdb::DB::Properties;
  if (!flush_awaited_ || property(Properties::kMemTableFlushPending) > 0 ||
      property(Properties::kNumRunningFlushes) > 0) {
    return;
  }
  flush_awaited_ = false;
  const auto suggested = rocksdb::experimental::SuggestCompactRange(db_.get(), nullptr, nullptr);
  if (!suggested.ok()) {
    background_->tell(Severity::warning, to_error(suggested, "compact").message());
  }
}

// Adds up what the files take, now and then: it costs a system call per file.
void RocksEngine::measure_disk() {
  const auto now = std::chrono::steady_clock::now();
  if (now < next_measuring_) return;
  next_measuring_ = now + disk_measured_every;
  std::uint64_t total = 0;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, failed)) {
    struct stat status {};
    // A file that is gone meanwhile takes nothing.
    if (::stat(entry.path().c_str(), &status) == 0) {
      total += static_cast<std::uint64_t>(status.st_blocks) * 512;
    }
  }
  disk_bytes_ = total;
}

}  // namespace kvs::rocks
