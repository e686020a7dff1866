#include "storage/log/index_feed.h"

#include <cassert>

namespace kvs::log {
namespace {

// Enough for the index to look several keys up at once; a batch stays in the processor's caches.
constexpr std::size_t batch_records = 512;

}  // namespace

void FoundClears::note(Database database, Lsn lsn, const SegmentPtr& segment,
                       std::uint64_t record_bytes) {
  std::scoped_lock lock(mutex_);
  Found& clear = clears_[database];
  if (lsn <= clear.lsn) return;
  clear = {.lsn = lsn, .segment = segment, .record_bytes = record_bytes};
  newest_[database].store(lsn, std::memory_order_relaxed);
}

void FoundClears::note_swap(const DatabaseMap& map, Lsn lsn, const SegmentPtr& segment,
                            std::uint64_t record_bytes) {
  std::scoped_lock lock(mutex_);
  if (lsn <= swap_.lsn) return;
  swap_ = {.lsn = lsn, .segment = segment, .record_bytes = record_bytes};
  map_ = map;
}

void FoundClears::apply(Keydir& keydir, Clears& clears) const {
  std::scoped_lock lock(mutex_);
  for (std::size_t i = 0; i < databases_count; ++i) {
    const Found& clear = clears_[i];
    if (clear.lsn == 0) continue;
    keydir.clear(static_cast<Database>(i), clear.lsn);
    clears.add(static_cast<Database>(i), clear.lsn, clear.segment, clear.record_bytes);
  }
  if (swap_.lsn != 0) clears.add(Clears::swap, swap_.lsn, swap_.segment, swap_.record_bytes);
}

SegmentTable::SegmentTable(const std::vector<SegmentPtr>& segments) : segments_(segments) {
  for (std::size_t i = 0; i < segments_.size(); ++i) indexes_.emplace(segments_[i]->id(), i);
}

IndexFeed::IndexFeed(Keydir& keydir, FoundClears& clears, const SegmentTable& segments)
    : keydir_(keydir), clears_(clears), segments_(segments), live_(segments.size()) {
  changes_.reserve(batch_records);
}

IndexFeed::~IndexFeed() {
  flush();
  for (std::size_t i = 0; i < live_.size(); ++i) {
    SegmentCounts& counts = segments_.at(i)->counts;
    counts.live_bytes.fetch_add(live_[i].bytes, std::memory_order_relaxed);
    counts.live_records.fetch_add(live_[i].records, std::memory_order_relaxed);
  }
}

void IndexFeed::add(const SegmentPtr& segment, const FedRecord& record) {
  if (record.kind == RecordKind::clear) {
    clears_.note(record.database, record.lsn, segment, record.record_bytes);
    return;
  }
  if (record.kind == RecordKind::swap) {
    const auto map = DatabaseMap::parse(record.key);
    assert(map);  // a record without one is no valid record
    clears_.note_swap(*map, record.lsn, segment, record.record_bytes);
    return;
  }
  if (record.lsn < clears_.newest(record.database)) return;
  Change& change = changes_.emplace_back();
  change.key = {record.database, record.key};
  change.lsn = record.lsn;
  if (record.kind == RecordKind::value) {
    change.entry =
        Entry{.location = {segment->id(), static_cast<std::uint32_t>(record.offset_bytes),
                           static_cast<std::uint32_t>(record.record_bytes)},
              .lsn = record.lsn,
              .value_bytes = record.value_bytes,
              .expire_at = record.expire_at};
  }
  if (changes_.size() == batch_records) flush();
}

void IndexFeed::flush() {
  if (changes_.empty()) return;
  keydir_.apply(changes_, Visibility::one_by_one);
  for (const Change& change : changes_) {
    if (change.applied && change.entry) {
      Live& live = live_in(change.entry->location.segment);
      live.bytes += change.entry->location.record_bytes;
      ++live.records;
    }
    if (change.replaced) {
      Live& live = live_in(change.replaced->location.segment);
      live.bytes -= change.replaced->location.record_bytes;
      --live.records;
    }
  }
  changes_.clear();
}

void GroupedRecords::add(const SegmentPtr& segment, const FedRecord& record) {
  Group& group = groups_[keydir_.hash({record.database, record.key}) >> (64 - hint_group_bits)];
  group.records.emplace_back(&segment, record);
  group.keys.append(record.key);
  ++size_;
}

void GroupedRecords::feed_group(unsigned number, IndexFeed& feed) const {
  const Group& group = groups_.at(number);
  std::string_view keys = group.keys;
  for (auto [segment, record] : group.records) {
    record.key = keys.substr(0, record.key.size());
    keys.remove_prefix(record.key.size());
    feed.add(*segment, record);
  }
  feed.flush();
}

void GroupedRecords::feed_all(IndexFeed& feed) {
  for (unsigned number = 0; number < hint_groups; ++number) feed_group(number, feed);
  groups_ = {};
  size_ = 0;
}

IndexFeed::Live& IndexFeed::live_in(SegmentId id) {
  if (id != last_id_) {
    last_id_ = id;
    last_ = &live_[segments_.index_of(id)];
  }
  return *last_;
}

}  // namespace kvs::log
