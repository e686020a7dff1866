#include "storage/log/hint_loader.h"

#include <algorithm>
#include <string>

#include "storage/log/frame.h"

namespace kvs::log {

void HintLoader::Totals::add(const HintRecord& record, std::uint64_t bytes) {
  ++records;
  record_bytes += bytes;
  if (record.kind == RecordKind::tombstone) {
    ++tombstones;
    tombstone_bytes += bytes;
  }
  if (min_lsn == 0 || record.lsn < min_lsn) min_lsn = record.lsn;
  max_lsn = std::max(max_lsn, record.lsn);
}

void HintLoader::Totals::add(const Totals& other) {
  if (other.records == 0) return;
  records += other.records;
  record_bytes += other.record_bytes;
  tombstones += other.tombstones;
  tombstone_bytes += other.tombstone_bytes;
  if (min_lsn == 0 || other.min_lsn < min_lsn) min_lsn = other.min_lsn;
  max_lsn = std::max(max_lsn, other.max_lsn);
}

HintLoader::Found HintLoader::plan(std::size_t index, const ManifestEntry& entry) {
  const Segment& segment = *segments_.at(index);
  const char* fault = nullptr;
  auto file = HintFile::open(directory_, segment, entry.bytes, fault);
  if (file == nullptr) return fault == nullptr ? Found::missing : Found::bad;
  const HintHeader& header = file->header();
  if (header.records != entry.records || header.min_lsn != entry.min_lsn ||
      header.max_lsn != entry.max_lsn || !seal_agrees(segment, entry)) {
    return Found::bad;
  }
  auto hint = std::make_unique<Hint>();
  hint->index = index;
  for (const HintChunk& chunk : file->chunks()) hint->chunks[chunk.group].push_back(&chunk);
  hint->file = std::move(file);
  {
    std::string buffer;
    IndexFeed feed(keydir_, clears_, segments_);
    if (!load_chunks(*hint, hint_clears_group, buffer, feed)) return Found::bad;
  }
  hints_.push_back(std::move(hint));
  return Found::usable;
}

// A segment that was cut or overwritten at its end does not deserve that its hint be believed.
bool HintLoader::seal_agrees(const Segment& segment, const ManifestEntry& entry) const {
  if (entry.bytes < segment_header_bytes + frame_header_bytes) return false;
  const std::uint64_t offset = entry.bytes - frame_header_bytes;
  char bytes[frame_header_bytes];
  auto got = segment.file().read_at(offset, bytes);
  if (!got) return false;
  const ParsedFrame parsed = parse_frame_header({bytes, *got}, segment.seed(), offset);
  if (parsed.fault != nullptr || !parsed.header.is_seal()) return false;
  return segment.kind() == SegmentKind::compacted ? parsed.header.first_lsn == 0
                                                  : parsed.header.first_lsn > entry.max_lsn;
}

void HintLoader::load(unsigned group) {
  std::string buffer;
  IndexFeed feed(keydir_, clears_, segments_);
  for (const auto& hint : hints_) {
    if (meter_.stopped()) return;
    if (hint->bad.load(std::memory_order_relaxed)) continue;
    if (!load_chunks(*hint, group, buffer, feed)) hint->bad = true;
  }
}

bool HintLoader::load_chunks(Hint& hint, unsigned group, std::string& buffer, IndexFeed& feed) {
  const SegmentPtr& segment = segments_.at(hint.index);
  const HintHeader& header = hint.file->header();
  Totals totals;
  for (const HintChunk* chunk : hint.chunks[group]) {
    if (!hint.file->read(*chunk, buffer)) return false;
    std::string_view rest = buffer;
    HintCursor cursor;
    HintRecord record;
    for (std::uint32_t i = 0; i < chunk->records; ++i) {
      if (!take_hint_record(rest, header, segment->kind(), cursor, record)) break;
      if (is_of_a_key(record.kind) == (group == hint_clears_group)) break;
      const std::uint64_t bytes = record.record_bytes(segment->kind());
      totals.add(record, bytes);
      feed.add(segment, {.kind = record.kind,
                         .database = record.database,
                         .lsn = record.lsn,
                         .offset_bytes = record.offset_bytes,
                         .record_bytes = bytes,
                         .value_bytes = record.value_bytes,
                         .expire_at = record.expire_at,
                         .key = record.key});
    }
    feed.flush();
    // Every record was taken if the bytes are used up; conclude() compares the number.
    if (!rest.empty()) return false;
    meter_.add(header.segment_bytes * chunk->bytes / hint.file->file_bytes());
  }
  std::scoped_lock lock(hint.mutex);
  hint.totals.add(totals);
  return true;
}

std::vector<std::size_t> HintLoader::conclude() {
  std::vector<std::size_t> bad;
  for (const auto& hint : hints_) {
    const SegmentPtr& segment = segments_.at(hint->index);
    const HintHeader& header = hint->file->header();
    const Totals& totals = hint->totals;
    if (hint->bad || totals.records != header.records || totals.min_lsn != header.min_lsn ||
        totals.max_lsn != header.max_lsn) {
      bad.push_back(hint->index);
      continue;
    }
    SegmentCounts& counts = segment->counts;
    if (totals.records > 0) {
      counts.add_records(totals.records, totals.record_bytes, totals.min_lsn, totals.max_lsn);
    }
    counts.tombstones += static_cast<std::int64_t>(totals.tombstones);
    counts.tombstone_bytes += static_cast<std::int64_t>(totals.tombstone_bytes);
    segment->set_end_bytes(header.segment_bytes);
    segment->set_hint_bytes(hint->file->file_bytes());
    segment->set_sealed();
    records_ += totals.records;
    newest_clock_ = std::max(newest_clock_, header.clock);
    if (segment->kind() == SegmentKind::log) {
      synced_upto_ = std::max(synced_upto_, header.synced_upto);
    }
  }
  return bad;
}

}  // namespace kvs::log
