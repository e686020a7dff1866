#include "storage/log/compactor.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "storage/limits.h"
#include "storage/log/frame.h"
#include "storage/log/record.h"

namespace kvs::log {
namespace {

constexpr std::chrono::seconds pause_after_failure{1};
// So many small segments are worth merging although nothing in them is dead.
constexpr std::size_t merged_segments_min = 4;
constexpr Lsn no_lsn = UINT64_MAX;

// What a segment costs beside its records.
constexpr std::uint64_t overhead_bytes = segment_header_bytes + 2 * frame_header_bytes;

// The lowest LSN in any of `segments` that is not among `victims`.
Lsn lowest_lsn(const std::vector<SegmentPtr>& segments, std::span<const SegmentPtr> victims) {
  Lsn lowest = no_lsn;
  for (const SegmentPtr& segment : segments) {
    if (std::find(victims.begin(), victims.end(), segment) != victims.end()) continue;
    const Lsn lsn = segment->counts.min_lsn;
    if (lsn != 0) lowest = std::min(lowest, lsn);
  }
  return lowest;
}

std::uint64_t positive(std::int64_t value) {
  return value > 0 ? static_cast<std::uint64_t>(value) : 0;
}

}  // namespace

Compactor::Compactor(Parts parts, Limits limits) : parts_(std::move(parts)), limits_(limits) {}

// What would be left of a segment: the measure of whether rewriting it gives anything back.
std::uint64_t Compactor::bytes_after(const Segment& segment, Lsn others_min_lsn) const {
  const SegmentCounts& counts = segment.counts;
  std::uint64_t bytes = positive(counts.live_bytes);
  std::uint64_t records = positive(counts.live_records);
  if (counts.max_lsn >= others_min_lsn) {
    bytes += positive(counts.tombstone_bytes);
    records += positive(counts.tombstones);
  }
  if (segment.kind() == SegmentKind::log) bytes += records * sizeof(Lsn);
  return records == 0 ? 0 : bytes + overhead_bytes;
}

std::vector<SegmentPtr> Compactor::choose() const {
  struct Candidate {
    SegmentPtr segment;
    std::uint64_t after;
    double share;  // of its bytes that would be given back
  };
  const std::vector<SegmentPtr> listed = parts_.catalog.listed();
  // The lowest LSN outside a segment is the lowest of all, or, for the one that has it, the second.
  const Lsn lowest = lowest_lsn(listed, {});
  const auto owner = std::find_if(
      listed.begin(), listed.end(),
      [lowest](const SegmentPtr& segment) { return segment->counts.min_lsn == lowest; });
  const Lsn second = owner == listed.end() ? no_lsn : lowest_lsn(listed, {&*owner, 1});
  std::vector<Candidate> candidates;
  std::vector<Candidate> small;
  std::vector<SegmentPtr> all;
  for (const SegmentPtr& segment : listed) {
    if (owner == listed.end() || !segment->sealed() || unreadable_.contains(segment->id()))
      continue;
    const SegmentCounts& counts = segment->counts;
    if (counts.dead_bytes() > 0 || counts.tombstones > 0) all.push_back(segment);
    const std::uint64_t size = segment->end_bytes();
    const std::uint64_t after = bytes_after(*segment, segment == *owner ? second : lowest);
    if (size < limits_.segment_bytes / 2) small.push_back({segment, after, 0});
    if (after >= size) continue;
    const double share = static_cast<double>(size - after) / static_cast<double>(size);
    if (share * 100 >= limits_.dead_percent) candidates.push_back({segment, after, share});
  }
  if (everything_) return all;

  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.share > b.share; });
  std::size_t taken_min = 1;
  if (candidates.empty()) {
    std::sort(small.begin(), small.end(),
              [](const Candidate& a, const Candidate& b) { return a.after < b.after; });
    candidates = std::move(small);
    taken_min = merged_segments_min;
  }
  std::vector<SegmentPtr> victims;
  std::uint64_t after = overhead_bytes;
  for (const Candidate& candidate : candidates) {
    if (!victims.empty() && after + candidate.after > limits_.segment_bytes) break;
    after += candidate.after;
    victims.push_back(candidate.segment);
  }
  if (victims.size() < taken_min) victims.clear();
  return victims;
}

bool Compactor::work(SteadyTime until) {
  if (std::chrono::steady_clock::now() < not_before_) return false;
  do {
    if (run_ == nullptr) {
      std::vector<SegmentPtr> victims = choose();
      everything_ = false;
      if (victims.empty()) return false;
      begin_run(std::move(victims));
    }
    auto more = step();
    if (!more) {
      give_up(more.error());
      return false;
    }
    if (!*more) complete();
  } while (std::chrono::steady_clock::now() < until);
  return true;
}

void Compactor::begin_run(std::vector<SegmentPtr> victims) {
  run_ = std::make_unique<Run>();
  run_->others_min_lsn = lowest_lsn(parts_.catalog.listed(), victims);
  run_->victims = std::move(victims);
  run_->output =
      std::make_unique<CompactionOutput>(parts_.catalog, limits_.segment_bytes, parts_.clock);
  running_ = true;
}

// One frame's worth of the run. Returns whether there is more.
Result<bool> Compactor::step() {
  switch (run_->phase) {
    case Phase::copy:
      return step_copy();
    case Phase::verify:
      return step_verify();
    case Phase::relocate:
      return step_relocate();
  }
  return false;
}

Compactor::Fate Compactor::fate_of(const SegmentScanner::Item& item) const {
  const Record& record = item.record;
  const Lsn cleared = parts_.clears.newest(record.database);
  if (record.kind == RecordKind::clear) return item.lsn == cleared ? Fate::keep : Fate::drop;
  // The clear record itself is always kept, and kills every older record wherever it lies.
  if (item.lsn < cleared) return Fate::drop;

  const auto entry = parts_.keydir.find({record.database, record.key});
  if (entry) return entry->lsn > item.lsn ? Fate::drop : Fate::keep;
  const bool outlives_all = run_->others_min_lsn > item.lsn;
  if (record.kind == RecordKind::tombstone) return outlives_all ? Fate::drop : Fate::keep;
  // Only a deadline takes a value out of the index without leaving a record.
  if (record.expire_at == never || outlives_all) return Fate::drop;
  return Fate::as_tombstone;
}

Result<bool> Compactor::step_copy() {
  Run& run = *run_;
  if (run.current == run.victims.size()) {
    if (auto finished = run.output->finish(); !finished) return std::unexpected(finished.error());
    run.outputs = run.output->segments();
    copied_ += run.output->bytes_written();
    run.phase = Phase::verify;
    run.current = 0;
    return true;
  }
  const SegmentPtr& victim = run.victims[run.current];
  if (run.scanner == nullptr) {
    run.scanner = std::make_unique<SegmentScanner>(victim, victim->end_bytes(), 0);
  }
  auto found = run.scanner->next();
  if (!found) {
    // Or the same victim would be chosen again and again, and keep the others from their turn.
    unreadable_.insert(victim->id());
    return std::unexpected(found.error());
  }
  if (*found == SegmentScanner::Found::seal) {
    run.scanner = nullptr;
    ++run.current;
    return true;
  }
  if (*found != SegmentScanner::Found::frame) {
    unreadable_.insert(victim->id());
    const char* fault = run.scanner->fault();
    return fail(Code::corrupt, "corrupt segment " + victim->name() + " at offset " +
                                   std::to_string(run.scanner->offset_bytes()) + ": " +
                                   (fault != nullptr ? fault : "it ends without a seal"));
  }
  for (const SegmentScanner::Item& item : run.scanner->items()) {
    const Fate fate = fate_of(item);
    if (fate == Fate::drop) continue;
    Record record = item.record;
    record.own_lsn = item.lsn;
    if (fate == Fate::as_tombstone) {
      record.kind = RecordKind::tombstone;
      record.expire_at = never;
      record.value = {};
    }
    if (auto added = run.output->add(record); !added) return std::unexpected(added.error());
  }
  return true;
}

Result<bool> Compactor::step_verify() {
  Run& run = *run_;
  if (run.current == run.outputs.size()) {
    // What made a record droppable must not be lost while the drop is not.
    auto synced = parts_.writer.sync_written();
    if (!synced) return std::unexpected(synced.error());
    if (auto swapped = swap(); !swapped) return std::unexpected(swapped.error());
    run.phase = Phase::relocate;
    run.current = 0;
    return true;
  }
  const SegmentPtr& output = run.outputs[run.current];
  if (run.scanner == nullptr) {
    run.scanner = std::make_unique<SegmentScanner>(output, output->end_bytes(), 0);
    run.hint = parts_.catalog.write_hint(output);
    run.records_read = 0;
  }
  auto found = run.scanner->next();
  if (!found) return std::unexpected(found.error());
  run.records_read += run.scanner->items().size();
  // Since it is read anyway. A hint that fails is made later (hint_job.h).
  if (run.hint != nullptr && !run.hint->add(*run.scanner)) run.hint = nullptr;
  if (*found == SegmentScanner::Found::frame) return true;
  const bool whole = *found == SegmentScanner::Found::seal &&
                     run.scanner->next_offset_bytes() == output->end_bytes() &&
                     run.records_read == positive(output->counts.records);
  if (!whole) {
    return fail(Code::corrupt, "segment " + output->name() + " does not read back as written");
  }
  if (run.hint != nullptr) (void)run.hint->finish();
  run.hint = nullptr;
  run.scanner = nullptr;
  ++run.current;
  return true;
}

Result<void> Compactor::swap() {
  return parts_.catalog.change(run_->outputs, run_->victims);
}

Result<bool> Compactor::step_relocate() {
  Run& run = *run_;
  if (run.current == run.outputs.size()) return false;
  const SegmentPtr& output = run.outputs[run.current];
  if (run.scanner == nullptr) {
    run.scanner = std::make_unique<SegmentScanner>(output, output->end_bytes(), 0);
  }
  auto found = run.scanner->next();
  if (!found) return std::unexpected(found.error());
  if (*found == SegmentScanner::Found::seal) {
    run.scanner = nullptr;
    ++run.current;
    return true;
  }
  if (*found != SegmentScanner::Found::frame) {
    return fail(Code::corrupt, "segment " + output->name() + " does not read back as verified");
  }
  for (const SegmentScanner::Item& item : run.scanner->items()) relocate(item, output);
  return true;
}

void Compactor::relocate(const SegmentScanner::Item& item, const SegmentPtr& output) {
  const Record& record = item.record;
  if (record.kind == RecordKind::clear) {
    parts_.clears.move(record.database, item.lsn, output, item.bytes);
    return;
  }
  if (record.kind == RecordKind::tombstone) return;
  const Key key{record.database, record.key};
  const auto entry = parts_.keydir.find(key);
  if (!entry || entry->lsn != item.lsn || entry->location.segment == output->id()) return;
  const Location to{.segment = output->id(),
                    .offset_bytes = static_cast<std::uint32_t>(item.offset_bytes),
                    .record_bytes = static_cast<std::uint32_t>(item.bytes)};
  if (!parts_.keydir.relocate(key, item.lsn, entry->location, to)) return;
  output->counts.add_live(item.bytes);
  for (const SegmentPtr& victim : run_->victims) {
    if (victim->id() == entry->location.segment) {
      victim->counts.remove_live(entry->location.record_bytes);
    }
  }
}

void Compactor::complete() {
  std::uint64_t before = 0;
  std::uint64_t after = 0;
  for (const SegmentPtr& victim : run_->victims) before += victim->end_bytes();
  for (const SegmentPtr& output : run_->outputs) after += output->end_bytes();
  parts_.catalog.retire(run_->victims);
  retired_ += run_->victims.size();
  parts_.report(EngineOptions::Severity::info,
                "compacted " + std::to_string(run_->victims.size()) + " segments of " +
                    std::to_string(before) + " bytes into " + std::to_string(after) + " bytes");
  run_ = nullptr;
  running_ = false;
}

void Compactor::give_up(const Error& error) {
  not_before_ = std::chrono::steady_clock::now() + pause_after_failure;
  parts_.report(EngineOptions::Severity::error, "compaction failed: " + error.message());
  if (run_->phase == Phase::relocate) {
    // The outputs have taken over on disk. The victims stay readable for the entries that still
    // point to them, until relocating from the start has succeeded.
    run_->scanner = nullptr;
    run_->current = 0;
    return;
  }
  parts_.catalog.discard(run_->output->segments());
  run_ = nullptr;
  running_ = false;
}

void Compactor::finish() {
  if (run_ == nullptr) return;
  if (run_->phase == Phase::relocate) {
    complete();  // nobody will read through the index any more
    return;
  }
  parts_.catalog.discard(run_->output->segments());
  run_ = nullptr;
  running_ = false;
}

}  // namespace kvs::log
