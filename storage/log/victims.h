// victims.h - which segments a run of compaction takes.
//
// The choice goes by what rewriting a segment gives back (g, a share of it), what it costs (the
// rest) and how old its records are: g / (1 - g) * sqrt(age), the highest first. Age counts in LSNs
// since the records were written, so it says how soon more of the segment is likely to die by
// itself: hot segments are left to ripen. Greedy choice (g alone) is as good for uniform overwrites
// and costs a quarter more for skewed ones; the plain cost-benefit rule (age without the root) is
// worse for both (ARCHITECTURE.md has the figures).
//
// Hot and cold apart: a run takes victims of one temperature - never copied, copied once, copied
// more often - and its output is one degree colder. What a restart finds compacted counts as copied
// once.
//
// Tombstones. A tombstone may go when no other segment can hold an older record of its key. Such a
// record is dead, so only segments with dead records count, by their lowest LSN. Old segments that
// die slowly can hold back tombstones for long; so when tombstones take more than their share
// (SpaceBound::tombstones_dominate), the segment that holds back most is rewritten, then the next,
// until they go: that ends after one pass over the log at the latest.
#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <vector>

#include "storage/log/catalog.h"

namespace kvs::log {

// Why compaction would run.
enum class CompactionNeed : std::uint8_t {
  none,        // only what costs next to nothing: see dead_percent
  space,       // the bound, or the disk, asks for it
  tombstones,  // they take more than their share
  everything,  // somebody asked for it
};

struct VictimRules {
  std::uint64_t segment_bytes = 0;
  unsigned dead_percent = 0;  // a segment that gives back this share is taken without any need
  Lsn newest = 0;             // the newest LSN of the log
  CompactionNeed need = CompactionNeed::none;
};

// Returns the victims of the next run, survivors of which fill about one segment; none: there is
// nothing to do. `excluded` are left alone. Unsealed segments are never taken.
std::vector<SegmentPtr> choose_victims(const std::vector<SegmentPtr>& listed,
                                       const VictimRules& rules,
                                       const std::set<SegmentId>& excluded);

// The lowest LSN in any of `listed` that is not among `victims` and holds dead records; UINT64_MAX
// when there is none. A tombstone below it may be dropped with the victims.
Lsn lowest_blocking_lsn(const std::vector<SegmentPtr>& listed, std::span<const SegmentPtr> victims);

// The temperature of what `victims` leave behind.
std::uint8_t output_copies(std::span<const SegmentPtr> victims);

}  // namespace kvs::log
