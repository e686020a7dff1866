#include "storage/log/log_engine.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <chrono>
#include <thread>
#include <utility>

#include "storage/limits.h"
#include "storage/log/backup.h"
#include "storage/log/frame.h"
#include "storage/log/manifest.h"
#include "storage/log/record.h"
#include "storage/log/segment.h"
#include "storage/printable.h"

namespace kvs::log {
namespace {

using Severity = EngineOptions::Severity;

constexpr std::size_t manifest_bytes_max = std::size_t{256} << 20;
// A record that moves while it is being read is looked up again; compaction moves it once per run.
constexpr int read_attempts_max = 100;
constexpr std::size_t expired_batch_keys = 256;
constexpr std::size_t cleared_batch_keys = 1024;
constexpr int random_attempts_max = 64;

KeyInfo info_of(const Entry& entry) {
  return {.lsn = entry.lsn, .value_bytes = entry.value_bytes, .expire_at = entry.expire_at};
}

std::string key_text(Key key) {
  return ", key " + printable(key.name, 64) + " of database " + std::to_string(key.database);
}

// Makes the record in `bytes` its value if it is that of `key`, or returns what is wrong with it.
const char* value_of_record(Key key, const Segment& segment, std::uint64_t offset_bytes, Lsn lsn,
                            std::string& bytes) {
  const ParsedRecord parsed = parse_record(bytes);
  if (parsed.fault != nullptr) return parsed.fault;
  if (parsed.bytes != bytes.size()) return "length is not the index's";
  if (!checksum_matches(bytes, segment.seed(), offset_bytes, lsn)) {
    return "checksum of a record does not match";
  }
  const Record& record = parsed.record;
  if (record.kind != RecordKind::value || record.key != key.name ||
      record.database != key.database) {
    return "it is another key's record";
  }
  bytes.erase(0, bytes.size() - record.value.size());
  return nullptr;
}

UnixMs system_clock_ms() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

}  // namespace

// --- opening and closing ---

LogEngine::LogEngine(Opening /*opening*/, std::unique_ptr<Directory> directory,
                     std::unique_ptr<DirectoryLock> lock, EngineOptions options,
                     const HashKey& hash_key)
    : directory_(std::move(directory)),
      lock_(std::move(lock)),
      options_(std::move(options)),
      catalog_(*directory_, hash_key, progress_, health_, [this] { return now(); }),
      reserve_(*directory_, options_.segment_bytes),
      keydir_(hash_key, options_.cache_bytes),
      writer_(catalog_, progress_, health_, reserve_, options_.segment_bytes),
      pending_(hash_key, options_.lasting_value_bytes),
      compactor_(
          {.catalog = catalog_,
           .keydir = keydir_,
           .clears = clears_,
           .writer = writer_,
           .reserve = reserve_,
           .clock = [this] { return now(); },
           .report = [this](Severity severity, std::string_view text) { report(severity, text); }},
          {.bound = {.segment_bytes = options_.segment_bytes,
                     .amplification_percent = options_.space_amplification_percent},
           .dead_percent = options_.compact_dead_percent,
           .bytes_per_second = options_.compact_rate_limit_bytes}),
      hints_(catalog_,
             [this](Severity severity, std::string_view text) { report(severity, text); }),
      scrubber_(
          catalog_, databases_, options_.scrub_bytes_per_second, [this] { return now(); },
          [this](Severity severity, std::string_view text) { report(severity, text); }) {}

LogEngine::~LogEngine() = default;

Result<std::unique_ptr<Engine>> LogEngine::prepare(std::unique_ptr<Directory> directory,
                                                   std::unique_ptr<DirectoryLock> lock,
                                                   EngineOptions options) {
  if (options.segment_bytes < limits::segment_bytes_min ||
      options.segment_bytes > limits::segment_bytes_max) {
    return fail(Code::invalid, "segment size of " + std::to_string(options.segment_bytes) +
                                   " bytes is out of range");
  }
  auto text = read_file(*directory, manifest_name, manifest_bytes_max);
  if (!text && text.error().code() != Code::not_found) return std::unexpected(text.error());
  if (!text) {
    auto engine = std::make_unique<LogEngine>(Opening(), std::move(directory), std::move(lock),
                                              std::move(options), HashKey::random());
    if (auto started = engine->initialise(); !started) return std::unexpected(started.error());
    engine->loaded_ = true;
    return engine;
  }
  auto manifest = parse_manifest(*text);
  if (!manifest) {
    return fail(manifest.error().code(), directory->path() + "/" + manifest.error().message());
  }
  auto engine = std::make_unique<LogEngine>(Opening(), std::move(directory), std::move(lock),
                                            std::move(options), manifest->hash_key);
  engine->to_load_ = std::move(*manifest);
  return engine;
}

Result<void> LogEngine::load() {
  if (!to_load_) return {};
  const std::optional<Manifest> manifest = std::exchange(to_load_, std::nullopt);
  if (auto restored = restore(*manifest); !restored) return restored;
  loaded_.store(true, std::memory_order_release);
  return {};
}

// Starts a new log. MANIFEST comes last: as long as it is missing, nothing can have been written,
// and a start that was interrupted is started again.
Result<void> LogEngine::initialise() {
  // The start before may have failed to sync the name of ENGINE: a log without it would be refused.
  if (auto synced = directory_->sync(); !synced) return synced;
  auto names = directory_->list();
  if (!names) return std::unexpected(names.error());
  for (const std::string& name : *names) {
    if (!parse_segment_name(name)) continue;
    auto contents = read_file(*directory_, name, limits::segment_bytes_max);
    if (!contents && contents.error().code() != Code::corrupt) {
      return std::unexpected(contents.error());
    }
    if (!contents || contents->find_first_not_of('\0', segment_header_bytes) != std::string::npos) {
      return fail(Code::corrupt,
                  directory_->path() + "/MANIFEST is missing, but " + name + " holds data");
    }
  }
  for (const std::string& name : *names) {
    if (!parse_segment_name(name)) continue;
    if (auto removed = directory_->remove(name); !removed) return removed;
  }
  auto first = catalog_.create(SegmentKind::log, options_.segment_bytes);
  if (!first) return std::unexpected(first.error());
  if (auto named = catalog_.change({&*first, 1}, {}); !named) {
    catalog_.discard({&*first, 1});
    return named;
  }
  writer_.start(*first, nullptr, 1);
  return {};
}

Result<void> LogEngine::restore(const Manifest& manifest) {
  const auto began = std::chrono::steady_clock::now();
  LoadMeter meter(options_.on_load_progress, options_.stop_loading, keydir_);
  auto recovered =
      recover(*directory_, manifest, keydir_, clears_, meter, options_.recovery_threads);
  if (!recovered) return std::unexpected(recovered.error());
  // Everything below changes only what a crash has left, and may be interrupted anywhere.
  if (auto repaired = repair(*recovered, options_.segment_bytes); !repaired) return repaired;

  databases_.change(recovered->databases, clears_.newest(Clears::swap), [] { return true; });
  progress_.newest_clock = recovered->clock;
  progress_.committed = recovered->last_lsn;
  progress_.synced = recovered->last_lsn;
  // A number above those of leftover files, so that none of them is in the way of a new one.
  SegmentId next_id = manifest.next_id;
  auto names = directory_->list();
  if (!names) return std::unexpected(names.error());
  for (const std::string& name : *names) {
    if (const auto id = parse_segment_name(name)) next_id = std::max(next_id, *id + 1);
  }
  catalog_.adopt(recovered->segments, next_id, manifest.dropped);
  SegmentPtr active = recovered->active;
  std::vector<SegmentPtr> added;
  // On a full disk the reserve serves to open the log too: else nobody could remove anything.
  reserve_.adopt();
  const auto no_room = [this](const auto& done) {
    return !done && done.error().code() == Code::no_space && reserve_.release();
  };
  if (active == nullptr) {
    auto created = catalog_.create(SegmentKind::log, options_.segment_bytes);
    if (no_room(created)) {
      created = catalog_.create(SegmentKind::log, reserve_.removals_bytes());
    }
    if (!created) return std::unexpected(created.error());
    active = *created;
    added.push_back(active);
  }
  // Takes back the mark of a clean stop too, before anything is written.
  auto named = catalog_.change(added, recovered->unneeded);
  if (no_room(named)) named = catalog_.change(added, recovered->unneeded);
  if (!named) {
    catalog_.discard(added);
    return named;
  }
  catalog_.retire(recovered->unneeded);
  remove_orphans();
  writer_.start(active, recovered->prepared, recovered->last_lsn + 1);

  recovered_records_ = recovered->records;
  torn_bytes_cut_ = recovered->torn_bytes;
  hints_used_ = recovered->hints_used;
  hints_bad_ = recovered->hints_bad;
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  recovery_seconds_ = took.count();
  if (recovered->hints_bad > 0) {
    report(Severity::warning, std::to_string(recovered->hints_bad) +
                                  " hints could not be believed; their segments were read whole");
  }
  if (recovered->torn_bytes > 0) {
    report(Severity::warning, "cut off " + std::to_string(recovered->torn_bytes) +
                                  " bytes of an unfinished write at " + "the end of " +
                                  directory_->path() + "/" + recovered->tail->name() + ", offset " +
                                  std::to_string(recovered->tail->end_bytes()));
  }
  return {};
}

// Removes files that an interrupted creation, compaction or replacement has left.
void LogEngine::remove_orphans() {
  auto names = directory_->list();
  if (!names) return;
  for (const std::string& name : *names) {
    const auto id = parse_segment_name(name);
    const auto hinted = parse_hint_name(name);
    // The plan of a salvage is done once the log opens: see salvage.h.
    const bool orphan = (id && catalog_.find(*id) == nullptr) ||
                        (hinted && catalog_.find(*hinted) == nullptr) || name == "MANIFEST.tmp" ||
                        name == "SALVAGE";
    if (orphan) (void)directory_->remove(name);
  }
}

Result<void> LogEngine::close() {
  std::scoped_lock lock(maintenance_, place_);
  compactor_.finish();
  auto synced = writer_.sync_written();
  if (!synced) return std::unexpected(synced.error());
  const SegmentPtr active = writer_.active();
  return catalog_.change({}, {},
                         CleanStop{.segment = active->id(), .offset_bytes = active->end_bytes()});
}

// --- small things ---

// Never behind a frame that was written, so that what has expired before a restart, or before
// somebody turned the clock back, has expired after it.
UnixMs LogEngine::now() const {
  const UnixMs wall = options_.clock ? options_.clock() : system_clock_ms();
  return std::max(wall, progress_.newest_clock.load(std::memory_order_relaxed));
}

void LogEngine::report(Severity severity, std::string_view text) const {
  if (options_.log) options_.log(severity, text);
}

Position LogEngine::committed() const {
  return progress_.committed.load(std::memory_order_acquire);
}

Position LogEngine::synced() const {
  return progress_.synced.load(std::memory_order_acquire);
}

Result<Position> LogEngine::sync() {
  return writer_.sync();
}

void LogEngine::remove_live(const Location& location) {
  // Null: compaction has retired it, and it is of no account any more.
  if (const SegmentPtr segment = catalog_.find(location.segment)) {
    segment->counts.remove_live(location.record_bytes);
  }
}

// --- reading ---

Result<std::optional<KeyInfo>> LogEngine::find(Key key, Access) {
  return databases_.read([&](const DatabaseMap& map) { return find_stored(map.stored(key)); });
}

Result<std::optional<KeyInfo>> LogEngine::get(Key key, Access access, std::string& value) {
  bool again = false;
  return databases_.read([&](const DatabaseMap& map) {
    if (std::exchange(again, true)) value.clear();  // it may be another database's by now
    return get_stored(map.stored(key), access, value);
  });
}

void LogEngine::prefetch(std::span<const Key> keys) const {
  const DatabaseMap map = databases_.now();
  std::array<Key, Keydir::window_keys> window;
  while (!keys.empty()) {
    const std::size_t count = std::min(keys.size(), window.size());
    for (std::size_t i = 0; i < count; ++i) window[i] = map.stored(keys[i]);
    keydir_.prefetch_values(std::span(window.data(), count));
    keys = keys.subspan(count);
  }
}

Result<std::optional<KeyInfo>> LogEngine::find_stored(Key key) {
  const auto entry = keydir_.find(key);
  if (!entry || expired(entry->expire_at)) return std::nullopt;
  return info_of(*entry);
}

Result<std::optional<KeyInfo>> LogEngine::get_stored(Key key, Access access, std::string& value) {
  // Only then can a key be present in the index and absent for readers, whose `value` must stay.
  if (keydir_.volatiles(key.database) > 0) {
    const auto entry = keydir_.find(key);
    if (!entry || expired(entry->expire_at)) return std::nullopt;
  }
  for (int attempt = 0; attempt < read_attempts_max; ++attempt) {
    const auto found = keydir_.get(key, value);
    if (!found || expired(found->entry.expire_at)) return std::nullopt;
    if (found->resident) {
      cache_hits_.fetch_add(1, std::memory_order_relaxed);
      return info_of(found->entry);
    }
    if (access == Access::resident_only) return fail(Code::would_block, "value is not in memory");
    auto read = read_record(key, found->entry, value);
    if (!read) return std::unexpected(read.error());
    if (*read) return info_of(found->entry);
  }
  corrupt_reads_.fetch_add(1, std::memory_order_relaxed);
  return fail(Code::corrupt, "the index points to a segment that does not exist");
}

// Reads the value at `entry`. Returns false when the segment is gone, that is when the record has
// been moved and the index knows better by now.
Result<bool> LogEngine::read_record(Key key, const Entry& entry, std::string& value) {
  const SegmentPtr segment = catalog_.find(entry.location.segment);
  if (segment == nullptr) return false;
  disk_reads_.fetch_add(1, std::memory_order_relaxed);
  const Location& at = entry.location;
  std::string bytes;
  // GCC 12 hands the callback the capacity instead of the size.
  bytes.resize_and_overwrite(at.record_bytes,
                             [&at](char*, std::size_t) { return std::size_t{at.record_bytes}; });
  auto got = segment->file().read_at(at.offset_bytes, bytes);
  if (!got) {
    const std::uint64_t count = read_errors_.fetch_add(1, std::memory_order_relaxed) + 1;
    const std::string message =
        got.error().message() + ", offset " + std::to_string(at.offset_bytes);
    if (std::has_single_bit(count)) {
      report(Severity::error, message + key_text(databases_.now().named(key)));
    }
    return fail(got.error().code(), message);
  }

  const char* const fault = *got != bytes.size()
                                ? "the file is shorter than it was"
                                : value_of_record(key, *segment, at.offset_bytes, entry.lsn, bytes);
  if (fault != nullptr) {
    const std::uint64_t count = corrupt_reads_.fetch_add(1, std::memory_order_relaxed) + 1;
    std::string message = "corrupt segment " + directory_->path() + "/" + segment->name() +
                          " at offset " + std::to_string(at.offset_bytes) + ": " + fault;
    // Ever more rarely: a client may ask for the same value all day.
    message += key_text(databases_.now().named(key));
    if (std::has_single_bit(count)) report(Severity::error, message);
    return fail(Code::corrupt, std::move(message));
  }
  value = std::move(bytes);
  keydir_.keep_value(key, entry.lsn, value);
  return true;
}

Result<std::optional<ColdRead>> LogEngine::plan_cold_read(Key key) {
  for (int attempt = 0; attempt < read_attempts_max; ++attempt) {
    const auto entry =
        databases_.read([&](const DatabaseMap& map) { return keydir_.find_cold(map.stored(key)); });
    if (!entry || expired(entry->expire_at)) return std::nullopt;
    // Null: the record has been moved, and the index knows better by now.
    SegmentPtr segment = catalog_.find(entry->location.segment);
    if (segment == nullptr) continue;
    const int descriptor = segment->file().descriptor();
    if (descriptor < 0) return fail(Code::invalid, "these files have no descriptors");
    return ColdRead{.pin = std::move(segment),
                    .descriptor = descriptor,
                    .offset_bytes = entry->location.offset_bytes,
                    .bytes = entry->location.record_bytes,
                    .lsn = entry->lsn};
  }
  return std::nullopt;  // get() will say it
}

bool LogEngine::finish_cold_read(Key key, const ColdRead& read, std::string& bytes) {
  assert(read.pin != nullptr);
  if (bytes.size() != read.bytes) return false;
  const auto& segment = *static_cast<const Segment*>(read.pin.get());
  key = databases_.now().stored(key);  // after a swap, another key, whose record this is not
  if (value_of_record(key, segment, read.offset_bytes, read.lsn, bytes) != nullptr) return false;
  disk_reads_.fetch_add(1, std::memory_order_relaxed);
  keydir_.keep_value(key, read.lsn, bytes);
  return true;
}

Result<std::uint64_t> LogEngine::scan(Database database, std::uint64_t cursor, std::size_t count,
                                      const ScanVisitor& visit) {
  const Database stored = databases_.now().stored(database);
  return keydir_.scan(stored, cursor, count, [&](std::string_view key, const Entry& entry) {
    if (!expired(entry.expire_at)) visit(key, info_of(entry));
  });
}

Result<std::optional<std::string>> LogEngine::random_key(Database database) {
  return databases_.read(
      [&](const DatabaseMap& map) { return random_key_stored(map.stored(database)); });
}

std::optional<std::string> LogEngine::random_key_stored(Database database) {
  for (int attempt = 0; attempt < random_attempts_max; ++attempt) {
    auto key = keydir_.random_key(database);
    if (!key) return std::nullopt;
    const auto entry = keydir_.find({database, *key});
    if (entry && !expired(entry->expire_at)) return key;
  }
  // Nearly everything has expired: take the first that has not.
  std::optional<std::string> present;
  std::uint64_t cursor = 0;
  do {
    cursor = keydir_.scan(database, cursor, 100, [&](std::string_view key, const Entry& entry) {
      if (!present && !expired(entry.expire_at)) present = std::string(key);
    });
  } while (!present && cursor != 0);
  return present;
}

DatabaseStats LogEngine::database_stats(Database database) const {
  return databases_.read([&](const DatabaseMap& map) {
    const Database stored = map.stored(database);
    return DatabaseStats{.keys = keydir_.keys(stored), .volatiles = keydir_.volatiles(stored)};
  });
}

EngineStats LogEngine::stats() const {
  EngineStats stats{.engine = "kvs"};
  for (const SegmentPtr& segment : catalog_.listed()) {
    stats.hint_bytes += segment->hint_bytes();
    stats.dead_bytes +=
        static_cast<std::uint64_t>(std::max<std::int64_t>(0, segment->counts.dead_bytes()));
    ++stats.segments;
  }
  SpaceUse use = catalog_.space_use();
  use.disk_bytes += compactor_.bytes_under_way();
  stats.disk_bytes = use.disk_bytes + stats.hint_bytes;
  stats.live_bytes = use.live_bytes;
  stats.tombstone_bytes = use.tombstone_bytes;
  stats.space_allowed_bytes = compactor_.bound().allowed_bytes(use);
  stats.compaction_debt_bytes = compactor_.bound().debt_bytes(use);
  stats.compaction_paused = compactor_.paused();
  stats.compaction_rate_bytes = compactor_.bytes_per_second();
  stats.compaction_rate_limit_bytes = compactor_.limit();
  stats.reserve_bytes = reserve_.held() ? reserve_.bytes() : 0;
  stats.disk_full = disk_full();
  stats.writer_delays = writer_delays_;
  stats.writer_delay_us = writer_delay_us_;
  stats.compactions = compactor_.victims_retired();
  stats.compacted_bytes = compactor_.bytes_copied();
  stats.compaction_running = compactor_.running();
  stats.syncs = writer_.syncs();
  stats.sync_failures = writer_.sync_failures();
  stats.written_bytes = written_bytes_;
  stats.disk_reads = disk_reads_;
  stats.cache_hits = cache_hits_;
  stats.cache_bytes = keydir_.cache_bytes();
  stats.corrupt_reads = corrupt_reads_;
  stats.read_errors = read_errors_;
  stats.scrub = scrubber_.stats();
  stats.expired_keys = expired_keys_;
  stats.index_bytes = keydir_.memory_bytes();
  stats.read_only = health_.failed();
  stats.read_only_reason = health_.reason();
  stats.recovered_records = recovered_records_;
  stats.torn_bytes_cut = torn_bytes_cut_;
  stats.recovery_seconds = recovery_seconds_;
  stats.hints_used = hints_used_;
  stats.hints_bad = hints_bad_;
  return stats;
}

// --- writing ---

Result<std::unique_ptr<WriteSession>> LogEngine::begin() {
  if (!loaded_.load(std::memory_order_acquire)) {
    return fail(Code::read_only, "the engine has not been loaded yet");
  }
  std::unique_lock place(place_);
  if (auto healthy = health_.check(); !healthy) return std::unexpected(healthy.error());
  slow_down();
  return std::make_unique<Session>(*this, pending_, std::move(place));
}

Result<Position> LogEngine::commit(PendingWrites& writes, Visibility visibility) {
  if (writes.overflowed()) {
    return fail(Code::too_large, "the writes of one session exceed 2 GiB");
  }
  if (writes.records() == 0) return committed();
  const UnixMs clock = now();
  const Purpose purpose = writes.has_values() ? Purpose::growth : Purpose::shrinking;
  auto placed =
      writer_.append(writes.frame(), writes.last_value(), writes.records(), clock, purpose);
  if (!placed) {
    if (placed.error().code() != Code::no_space) return std::unexpected(placed.error());
    note_full_disk(placed.error());
    return fail(Code::no_space, "the disk is full: " + placed.error().message());
  }
  written_bytes_.fetch_add(writes.bytes(), std::memory_order_relaxed);
  progress_.newest_clock.store(clock, std::memory_order_relaxed);
  // Before the index shows any of it: who sees a removal finds committed() to cover it.
  progress_.committed.store(placed->last_lsn, std::memory_order_release);
  if (!writes.swapped()) {
    publish(writes, visibility, *placed);
  } else {
    const Lsn lsn = placed->first_lsn + writes.swap_number();
    clears_.add(Clears::swap, lsn, placed->segment, record_header_bytes + DatabaseMap::bytes);
    databases_.change(writes.databases(), lsn, [&] {
      publish(writes, visibility, *placed);
      return true;
    });
  }
  return placed->last_lsn;
}

void LogEngine::publish(PendingWrites& writes, Visibility visibility,
                        const Writer::Placed& placed) {
  for (unsigned number = 0; number < databases_count; ++number) {
    const auto database = static_cast<Database>(number);
    if (!writes.cleared(database)) continue;
    const Lsn lsn = placed.first_lsn + writes.clear_number(database);
    keydir_.clear(database, lsn);
    clears_.add(database, lsn, placed.segment, record_header_bytes);
  }
  std::vector<Change>& changes = writes.changes;
  changes.clear();
  const std::uint64_t frame_offset = placed.payload_offset_bytes - frame_header_bytes;
  for (const PendingWrite& write : writes.writes()) {
    if (writes.hidden(write)) continue;
    Change& change = changes.emplace_back();
    change.key = {write.database, writes.key_of(write)};
    change.lsn = placed.first_lsn + write.number;
    if (write.kind == RecordKind::tombstone) {
      placed.segment->counts.add_tombstone(write.record_bytes());
      continue;
    }
    change.entry = Entry{
        .location = {.segment = placed.segment->id(),
                     .offset_bytes = static_cast<std::uint32_t>(frame_offset + write.record_at),
                     .record_bytes = static_cast<std::uint32_t>(write.record_bytes())},
        .lsn = change.lsn,
        .value_bytes = write.value_bytes,
        .expire_at = write.expire_at};
    change.value = writes.value_of(write);
  }
  keydir_.apply(changes, visibility);
  SegmentPtr replaced_in;  // most replaced records lie in few segments
  for (const Change& change : changes) {
    if (change.applied && change.entry) {
      placed.segment->counts.add_live(change.entry->location.record_bytes);
    }
    if (!change.replaced) continue;
    const Location& old = change.replaced->location;
    if (replaced_in == nullptr || replaced_in->id() != old.segment) {
      replaced_in = catalog_.find(old.segment);
    }
    if (replaced_in != nullptr) replaced_in->counts.remove_live(old.record_bytes);
  }
}

// With the writer's place held: who writes while compaction is behind waits a little, in proportion
// to what was written since the last wait, and everybody who would write waits behind him.
void LogEngine::slow_down() {
  const std::uint64_t written = written_bytes_.load(std::memory_order_relaxed);
  if (!compactor_.behind()) {
    delayed_upto_bytes_ = written;
    return;
  }
  delay_owed_ += writer_delay(compactor_.pressure(), written - delayed_upto_bytes_);
  delayed_upto_bytes_ = written;
  constexpr std::chrono::milliseconds worth_a_sleep{1};
  if (delay_owed_ < worth_a_sleep) return;
  const auto delay = std::min<std::chrono::microseconds>(delay_owed_, writer_delay_max);
  delay_owed_ = std::min<std::chrono::microseconds>(delay_owed_ - delay, writer_delay_max);
  writer_delays_.fetch_add(1, std::memory_order_relaxed);
  writer_delay_us_.fetch_add(static_cast<std::uint64_t>(delay.count()), std::memory_order_relaxed);
  std::this_thread::sleep_for(delay);
}

void LogEngine::note_full_disk(const Error& error) {
  if (disk_full_.exchange(true)) return;
  report(Severity::error,
         "the disk is full: writes are refused, except removals, until there is "
         "room (" +
             error.message() + ")");
}

// --- maintenance ---

bool LogEngine::maintain(std::chrono::microseconds budget) {
  std::unique_lock maintaining(maintenance_, std::try_to_lock);
  if (!maintaining) return false;
  const SteadyTime until = std::chrono::steady_clock::now() + budget;
  const auto time_left = [until] { return std::chrono::steady_clock::now() < until; };

  if (!health_.failed()) {
    if (writer_.next_is_due()) prepare_next();
    look_at_room_for_hints();
    look_for_room();
  }

  bool more = remove_expired(until);
  const auto account = [this](const Entry& entry) { remove_live(entry.location); };
  while (keydir_.drain_cleared(cleared_batch_keys, account) > 0) {
    if (!time_left()) return true;
  }
  if (!health_.failed()) {
    start_requested_compaction();
    // A quarter is enough to keep up with the writer; space is more urgent than the next start.
    if (catalog_.hints_wanted() && hints_.work(std::chrono::steady_clock::now() + budget / 4))
      more = true;
    if (compactor_.work(until)) more = true;
  }
  // Behind everything else, but always a little: its own rate keeps it small.
  const SteadyTime at_least = std::chrono::steady_clock::now() + std::chrono::microseconds(1);
  if (scrubber_.work(std::max(until, at_least))) more = true;
  return more;
}

bool LogEngine::expire(std::chrono::microseconds budget) {
  return remove_expired(std::chrono::steady_clock::now() + budget);
}

std::chrono::milliseconds LogEngine::maintenance_rest() const {
  return compactor_.rest();
}

void LogEngine::prepare_next() {
  auto prepared = writer_.prepare_next();
  if (!prepared && !preparing_failed_) {
    report(Severity::warning, "cannot prepare the next segment: " + prepared.error().message());
  }
  preparing_failed_ = !prepared;
}

// Hints only save time at a start: they must not take room that compaction will need. A disk that
// is nearly full has none.
void LogEngine::look_at_room_for_hints() {
  constexpr std::uint64_t segments_free_min = 8;
  const std::uint64_t free_bytes = catalog_.free_bytes();
  if (!disk_full() && !reserve_.released() &&
      free_bytes >= segments_free_min * options_.segment_bytes) {
    catalog_.want_hints();
  } else {
    catalog_.drop_hints();
  }
}

// After the disk was full: takes the reserve back before anything else may grow.
void LogEngine::look_for_room() {
  if (!disk_full() && !reserve_.released()) return;
  constexpr std::chrono::milliseconds patience{100};
  const SteadyTime now = std::chrono::steady_clock::now();
  if (now - looked_for_room_at_ < patience) return;
  looked_for_room_at_ = now;
  if (!reserve_.take() || !writer_.prepare_next()) return;
  if (disk_full_.exchange(false)) {
    report(Severity::info, "there is room on the disk again: writes go on");
  }
}

// Takes keys past their deadline out of the index. No record is written: the deadline is in theirs.
bool LogEngine::remove_expired(SteadyTime until) {
  std::vector<ExpiredKey> keys;
  do {
    const UnixMs deadline = keydir_.next_deadline();
    if (deadline == never || deadline > now()) return false;
    keys.clear();
    keydir_.expired(now(), expired_batch_keys, keys);
    if (keys.empty()) return false;
    for (const ExpiredKey& expired_key : keys) {
      const Key key{expired_key.database, expired_key.key};
      const auto removed = keydir_.remove_if(key, expired_key.entry.lsn);
      if (!removed) continue;
      remove_live(removed->location);
      expired_keys_.fetch_add(1, std::memory_order_relaxed);
      if (options_.on_expired) options_.on_expired(databases_.now().named(key));
    }
  } while (std::chrono::steady_clock::now() < until);
  return true;
}

void LogEngine::request_compaction() {
  compaction_requested_ = true;
}

Result<void> LogEngine::request_scrub() {
  scrubber_.request();
  return {};
}

// --- backup ---

Result<BackupSummary> LogEngine::backup(const BackupRequest& request) {
  std::unique_lock alone(backing_up_, std::try_to_lock);
  if (!alone) return fail(Code::busy, "another backup is being made");
  Backup backup(options_.fs == nullptr ? *real_fs() : *options_.fs, request, catalog_.hash_key(),
                now());
  if (auto begun = backup.begin(); !begun) return std::unexpected(begun.error());
  {
    // No segment is retired while this is held, so what is listed can be linked.
    std::scoped_lock maintaining(maintenance_);
    // Most of what the seal would have to wait for is done before the place is taken.
    if (auto prepared = writer_.prepare_next(); !prepared) {
      return std::unexpected(prepared.error());
    }
    if (auto synced = writer_.sync(); !synced) return std::unexpected(synced.error());
    std::vector<SegmentPtr> segments;
    Position position = 0;
    {
      std::scoped_lock place(place_);
      if (auto sealed = writer_.seal_active(now()); !sealed) {
        return std::unexpected(sealed.error());
      }
      position = committed();
      segments = catalog_.listed();
    }
    auto linked = backup.link(*directory_, std::move(segments), position);
    if (!linked) return std::unexpected(linked.error());
  }
  return backup.finish();
}

void LogEngine::start_requested_compaction() {
  if (!compaction_requested_ || !compactor_.idle()) return;
  compaction_requested_ = false;
  // Most of what the seal would have to wait for is done before the place is taken.
  if (writer_.prepare_next() && writer_.sync()) {
    std::scoped_lock place(place_);
    const SegmentPtr active = writer_.active();
    if (active->counts.dead_bytes() > 0 || active->counts.tombstones > 0) {
      if (auto sealed = writer_.seal_active(now()); !sealed) {
        report(Severity::warning, "cannot seal the active segment: " + sealed.error().message());
      }
    }
  }
  compactor_.take_everything();
}

}  // namespace kvs::log
