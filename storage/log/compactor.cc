#include "storage/log/compactor.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

#include "storage/limits.h"
#include "storage/log/record.h"

namespace kvs::log {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::chrono::seconds pause_after_failure{1};
// How old the figures may be by which the pace is set.
constexpr milliseconds observe_every{5};
constexpr std::chrono::seconds rate_measured_over{1};
// What callers give to a slice.
constexpr double slice_ms = 1;
// The caller has other things to do beside compaction.
constexpr milliseconds rest_max{10};

}  // namespace

Compactor::Compactor(Parts parts, Limits limits)
    : parts_(std::move(parts)), limits_(limits), bytes_per_second_max_(limits.bytes_per_second) {}

// --- when and how fast ---

void Compactor::observe() {
  const SteadyTime now = steady_clock::now();
  if (now - observed_at_ < observe_every) return;
  observed_at_ = now;
  use_ = parts_.catalog.space_use();
  use_.disk_bytes += bytes_under_way();
  pressure_ = limits_.bound.pressure(use_);
  if (now - rate_since_ >= rate_measured_over) {
    const double seconds = std::chrono::duration<double>(now - rate_since_).count();
    rate_ = static_cast<std::uint64_t>(static_cast<double>(bytes_copied() - rate_from_bytes_) /
                                       seconds);
    rate_since_ = now;
    rate_from_bytes_ = bytes_copied();
  }
}

CompactionNeed Compactor::need(const SpaceUse& use) const {
  if (everything_) return CompactionNeed::everything;
  if (parts_.reserve.released() || limits_.bound.pressure(use) > 0) return CompactionNeed::space;
  if (limits_.bound.tombstones_dominate(use)) return CompactionNeed::tombstones;
  return CompactionNeed::none;
}

// What the pressure and the rate limit leave to do until the next slice.
milliseconds Compactor::rest_now() const {
  const auto until_limit = std::chrono::ceil<milliseconds>(within_limit_at_ - steady_clock::now());
  milliseconds rest{0};
  if (!hurried_) {
    rest = milliseconds(static_cast<int>(slice_ms * (1 / working_share(pressure()) - 1)));
  }
  if (limit() != 0) rest = std::max(rest, until_limit);
  return std::min(rest, rest_max);
}

// Counts what was written against the rate limit.
void Compactor::charge(std::uint64_t bytes) {
  copied_.fetch_add(bytes, std::memory_order_relaxed);
  const std::uint64_t most = limit();
  if (most == 0) return;
  const auto cost = std::chrono::nanoseconds(
      static_cast<std::int64_t>(static_cast<double>(bytes) / static_cast<double>(most) * 1e9));
  within_limit_at_ = std::max(within_limit_at_, steady_clock::now()) + cost;
}

bool Compactor::work(SteadyTime until) {
  observe();
  if (paused()) return false;
  do {
    const SteadyTime now = steady_clock::now();
    if (now < not_before_) return false;
    if (limit() != 0 && now < within_limit_at_) {
      rest_ = rest_now();
      return run_ != nullptr;
    }
    if (run_ == nullptr && !begin_run()) return false;
    auto more = step();
    if (!more) {
      give_up(more.error());
      return false;
    }
    if (!*more) end_run();
  } while (steady_clock::now() < until);
  rest_ = rest_now();
  return true;
}

// --- a run ---

bool Compactor::begin_run() {
  // Not the figures of some milliseconds ago: they may be from before the last run.
  use_ = parts_.catalog.space_use();
  pressure_ = limits_.bound.pressure(use_);
  const VictimRules rules{.segment_bytes = limits_.bound.segment_bytes,
                          .dead_percent = limits_.dead_percent,
                          .newest = parts_.writer.newest_lsn(),
                          .need = need(use_)};
  const std::vector<SegmentPtr> listed = parts_.catalog.listed();
  std::vector<SegmentPtr> victims = choose_victims(listed, rules, unreadable_);
  if (victims.empty() && rules.need == CompactionNeed::space &&
      limits_.bound.tombstones_dominate(use_)) {
    VictimRules blocked = rules;
    blocked.need = CompactionNeed::tombstones;
    victims = choose_victims(listed, blocked, unreadable_);
  }
  hurried_ = everything_;
  everything_ = false;
  if (victims.empty()) return false;
  run_ = std::make_unique<Run>();
  run_->others_min_lsn = lowest_blocking_lsn(listed, victims);
  run_->output = std::make_unique<CompactionOutput>(parts_.catalog, limits_.bound.segment_bytes,
                                                    output_copies(victims), parts_.clock);
  run_->victims = std::move(victims);
  running_ = true;
  return true;
}

// One frame's worth of the run; returns whether there is more. A phase begins when the one before
// it is complete, and what makes it durable stands between them.
Result<bool> Compactor::step() {
  Run& run = *run_;
  auto frame = next_frame(run.phase == Phase::copy ? run.victims : run.outputs);
  if (!frame) return std::unexpected(frame.error());
  const Items* items = *frame;  // null: all frames of this phase are done
  switch (run.phase) {
    case Phase::copy: {
      if (items != nullptr) {
        if (auto copied = copy(*items); !copied) return std::unexpected(copied.error());
        return true;
      }
      const std::uint64_t before = run.output->bytes_written();
      if (auto sealed = run.output->finish(); !sealed) return std::unexpected(sealed.error());
      charge(run.output->bytes_written() - before);
      run.outputs = run.output->segments();
      run.phase = Phase::verify;
      break;
    }
    case Phase::verify: {
      if (items != nullptr) return true;
      // What made a record droppable must not be lost while the drop is not.
      auto synced = parts_.writer.sync_written();
      if (!synced) return std::unexpected(synced.error());
      auto swapped = parts_.catalog.change(run.outputs, run.victims);
      if (!swapped) return std::unexpected(swapped.error());
      under_way_ = 0;
      run.phase = Phase::relocate;
      break;
    }
    case Phase::relocate: {
      if (items != nullptr) {
        relocate(*items);
        return true;
      }
      // Nothing points into the victims any more.
      parts_.catalog.retire(run.victims);
      return false;
    }
  }
  run.current = 0;
  return true;
}

// Reads `segments` frame by frame, from run.current on; null when all were read. Every phase checks
// all that can be checked: it is what the next one relies on.
Result<const Compactor::Items*> Compactor::next_frame(const std::vector<SegmentPtr>& segments) {
  Run& run = *run_;
  while (run.current < segments.size()) {
    const SegmentPtr& segment = segments[run.current];
    if (run.scanner == nullptr) {
      run.scanner = std::make_unique<SegmentScanner>(segment, segment->end_bytes(), 0);
      run.records_read = 0;
      if (run.phase == Phase::verify && parts_.catalog.hints_wanted()) {
        run.hint = parts_.catalog.write_hint(segment);
      }
    }
    auto found = run.scanner->next();
    if (!found) {
      // Or the same victim would be chosen again and again, and keep the others from their turn.
      if (run.phase == Phase::copy) unreadable_.insert(segment->id());
      return std::unexpected(found.error());
    }
    // Since it is read anyway. A hint that fails is made later (hint_job.h).
    if (run.hint != nullptr && !run.hint->add(*run.scanner)) run.hint = nullptr;
    if (*found == SegmentScanner::Found::frame) {
      run.records_read += run.scanner->items().size();
      return &run.scanner->items();
    }
    const bool whole =
        *found == SegmentScanner::Found::seal &&
        run.scanner->next_offset_bytes() == segment->end_bytes() &&
        static_cast<std::int64_t>(run.records_read) == segment->counts.records.load();
    if (!whole) {
      if (run.phase == Phase::copy) unreadable_.insert(segment->id());
      const char* fault = run.scanner->fault();
      return fail(Code::corrupt, "corrupt segment " + segment->name() + " at offset " +
                                     std::to_string(run.scanner->offset_bytes()) + ": " +
                                     (fault != nullptr ? fault : "it is not as it was written"));
    }
    if (run.hint != nullptr) (void)run.hint->finish();
    run.hint = nullptr;
    run.scanner = nullptr;
    ++run.current;
  }
  return nullptr;
}

Compactor::Fate Compactor::fate_of(const SegmentScanner::Item& item) const {
  const Record& record = item.record;
  if (record.kind == RecordKind::swap) {
    return item.lsn == parts_.clears.newest(Clears::swap) ? Fate::keep : Fate::drop;
  }
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

Result<void> Compactor::copy(const Items& items) {
  CompactionOutput& output = *run_->output;
  const std::uint64_t before = output.bytes_written();
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i % Keydir::window_keys == 0) prefetch(std::span(items).subspan(i));
    const SegmentScanner::Item& item = items[i];
    const Fate fate = fate_of(item);
    if (fate == Fate::drop) continue;
    Record record = item.record;
    record.own_lsn = item.lsn;
    if (fate == Fate::as_tombstone) {
      record.kind = RecordKind::tombstone;
      record.expire_at = never;
      record.value = {};
    }
    if (auto added = output.add(record); !added) return added;
  }
  charge(output.bytes_written() - before);
  under_way_ = output.bytes_written();
  return {};
}

void Compactor::relocate(const Items& items) {
  const SegmentPtr& output = run_->outputs[run_->current];
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i % Keydir::window_keys == 0) prefetch(std::span(items).subspan(i));
    relocate(items[i], output);
  }
}

// Of the next window of `items`: one look-up after the other would wait for memory three times
// each.
void Compactor::prefetch(std::span<const SegmentScanner::Item> items) const {
  std::array<Key, Keydir::window_keys> keys;
  const std::size_t count = std::min(items.size(), keys.size());
  for (std::size_t i = 0; i < count; ++i) {
    keys[i] = {items[i].record.database, items[i].record.key};
  }
  parts_.keydir.prefetch_entries(std::span(keys.data(), count));
}

void Compactor::relocate(const SegmentScanner::Item& item, const SegmentPtr& output) {
  const Record& record = item.record;
  if (!is_of_a_key(record.kind)) {
    const unsigned which = record.kind == RecordKind::swap ? Clears::swap : record.database;
    parts_.clears.move(which, item.lsn, output, item.bytes);
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

void Compactor::end_run() {
  std::uint64_t before = 0;
  std::uint64_t after = 0;
  for (const SegmentPtr& victim : run_->victims) before += victim->end_bytes();
  for (const SegmentPtr& output : run_->outputs) after += output->end_bytes();
  retired_ += run_->victims.size();
  parts_.report(EngineOptions::Severity::info,
                "compacted " + std::to_string(run_->victims.size()) + " segments of " +
                    std::to_string(before) + " bytes into " + std::to_string(after) + " bytes");
  run_ = nullptr;
  running_ = false;
}

void Compactor::give_up(const Error& error) {
  if (run_->phase == Phase::relocate) {
    parts_.report(EngineOptions::Severity::error, "compaction failed: " + error.message());
    not_before_ = steady_clock::now() + pause_after_failure;
    // The outputs have taken over on disk. The victims stay readable for the entries that still
    // point to them, until relocating from the start has succeeded.
    run_->scanner = nullptr;
    run_->current = 0;
    return;
  }
  finish();
  // This is what the reserve is for: the next run has its space, all but at once.
  if (error.code() == Code::no_space && parts_.reserve.release()) {
    parts_.report(EngineOptions::Severity::warning,
                  "the disk is full: compaction uses the reserve (" + error.message() + ")");
    return;
  }
  parts_.report(EngineOptions::Severity::error, "compaction failed: " + error.message());
  not_before_ = steady_clock::now() + pause_after_failure;
}

void Compactor::finish() {
  if (run_ == nullptr) return;
  if (run_->phase == Phase::relocate) {
    parts_.catalog.retire(run_->victims);  // nobody will read through the index any more
    return end_run();
  }
  parts_.catalog.discard(run_->output->segments());
  under_way_ = 0;
  run_ = nullptr;
  running_ = false;
}

}  // namespace kvs::log
