#include "storage/log/victims.h"

#include <algorithm>
#include <cmath>

#include "storage/log/frame.h"

namespace kvs::log {
namespace {

constexpr Lsn no_lsn = UINT64_MAX;
// So many small segments are worth merging although nothing in them is dead.
constexpr std::size_t merged_segments_min = 4;
// Under need a segment must give back this share at least: or else a log that is nearly all live
// would be rewritten again and again for nothing.
constexpr double share_min = 0.05;
constexpr std::uint8_t copies_max = 2;

// What a segment costs beside its records.
constexpr std::uint64_t overhead_bytes = segment_header_bytes + 2 * frame_header_bytes;

struct Candidate {
  SegmentPtr segment;
  std::uint64_t after;  // bytes that would be left of it
  double score;
};

std::uint64_t positive(std::int64_t value) {
  return value > 0 ? static_cast<std::uint64_t>(value) : 0;
}

// The lowest LSN of each segment that can hold back tombstones: the two lowest of all, since a
// segment does not hold back its own.
class Blockers {
 public:
  explicit Blockers(const std::vector<SegmentPtr>& listed) {
    for (const SegmentPtr& segment : listed) {
      const Lsn lsn = blocking_lsn(*segment);
      if (lsn < lowest_) {
        second_ = lowest_;
        lowest_ = lsn;
        owner_ = segment.get();
      } else {
        second_ = std::min(second_, lsn);
      }
    }
  }

  static Lsn blocking_lsn(const Segment& segment) {
    const Lsn lsn = segment.counts.min_lsn;
    return lsn == 0 || segment.counts.dead_bytes() <= 0 ? no_lsn : lsn;
  }

  Lsn lowest_beside(const Segment& segment) const { return &segment == owner_ ? second_ : lowest_; }

 private:
  Lsn lowest_ = no_lsn;
  Lsn second_ = no_lsn;
  const Segment* owner_ = nullptr;
};

// What would be left of a segment: the measure of whether rewriting it gives anything back.
std::uint64_t bytes_after(const Segment& segment, Lsn others_min_lsn) {
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

double score_of(const Segment& segment, double share, Lsn newest) {
  const double mean = segment.counts.mean_lsn();
  const double age = std::max(1.0, static_cast<double>(newest) - mean);
  return share / (1 - share + 1e-9) * std::sqrt(age);
}

// The best, and then of the same temperature as many as fill a segment.
std::vector<SegmentPtr> fill_segment(const std::vector<Candidate>& sorted,
                                     std::uint64_t segment_bytes) {
  std::vector<SegmentPtr> victims;
  const SegmentPtr* first = nullptr;  // that leaves anything behind
  std::uint64_t after = overhead_bytes;
  for (const Candidate& candidate : sorted) {
    if (candidate.after > 0 && first != nullptr) {
      if (candidate.segment->copies() != (*first)->copies()) continue;
      if (after + candidate.after > segment_bytes) break;
    }
    if (candidate.after > 0 && first == nullptr) first = &candidate.segment;
    after += candidate.after;
    victims.push_back(candidate.segment);
  }
  return victims;
}

}  // namespace

std::vector<SegmentPtr> choose_victims(const std::vector<SegmentPtr>& listed,
                                       const VictimRules& rules,
                                       const std::set<SegmentId>& excluded) {
  const Blockers blockers(listed);
  const bool needed = rules.need != CompactionNeed::none;
  const double enough = needed ? share_min : rules.dead_percent / 100.0;
  std::vector<Candidate> candidates;
  std::vector<Candidate> small;
  std::vector<SegmentPtr> all;
  SegmentPtr blocker;
  for (const SegmentPtr& segment : listed) {
    if (!segment->sealed() || excluded.contains(segment->id())) continue;
    const SegmentCounts& counts = segment->counts;
    if (counts.dead_bytes() > 0 || counts.tombstones > 0) all.push_back(segment);
    const Lsn blocking = Blockers::blocking_lsn(*segment);
    if (blocking != no_lsn && (blocker == nullptr || blocking < Blockers::blocking_lsn(*blocker))) {
      blocker = segment;
    }
    const std::uint64_t size = segment->end_bytes();
    const std::uint64_t after = bytes_after(*segment, blockers.lowest_beside(*segment));
    if (size < rules.segment_bytes / 2) small.push_back({segment, after, 0});
    if (after >= size) continue;
    const double share = static_cast<double>(size - after) / static_cast<double>(size);
    if (share < enough) continue;
    candidates.push_back({segment, after, score_of(*segment, share, rules.newest)});
  }
  if (rules.need == CompactionNeed::everything) return all;

  if (!candidates.empty()) {
    std::sort(candidates.begin(), candidates.end(),
              [](const Candidate& a, const Candidate& b) { return a.score > b.score; });
    return fill_segment(candidates, rules.segment_bytes);
  }
  if (rules.need == CompactionNeed::tombstones && blocker != nullptr) return {blocker};

  std::sort(small.begin(), small.end(),
            [](const Candidate& a, const Candidate& b) { return a.after < b.after; });
  std::vector<SegmentPtr> victims;
  std::uint64_t after = overhead_bytes;
  for (const Candidate& candidate : small) {
    if (!victims.empty() && after + candidate.after > rules.segment_bytes) break;
    after += candidate.after;
    victims.push_back(candidate.segment);
  }
  if (victims.size() < merged_segments_min) victims.clear();
  return victims;
}

Lsn lowest_blocking_lsn(const std::vector<SegmentPtr>& listed,
                        std::span<const SegmentPtr> victims) {
  Lsn lowest = no_lsn;
  for (const SegmentPtr& segment : listed) {
    if (std::find(victims.begin(), victims.end(), segment) != victims.end()) continue;
    lowest = std::min(lowest, Blockers::blocking_lsn(*segment));
  }
  return lowest;
}

std::uint8_t output_copies(std::span<const SegmentPtr> victims) {
  // Of the hottest that leaves anything: what is taken for too hot cools down again.
  std::uint8_t hottest = copies_max;
  for (const SegmentPtr& victim : victims) {
    if (victim->counts.live_bytes > 0) hottest = std::min(hottest, victim->copies());
  }
  return std::min<std::uint8_t>(copies_max, static_cast<std::uint8_t>(hottest + 1));
}

}  // namespace kvs::log
