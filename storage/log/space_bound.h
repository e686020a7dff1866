// space_bound.h - how much disk the log may take, and how hard that presses.
//
// The bound is a share of the live data (--space-amplification), but never less than the live data
// and a few segments (the one being written, the one prepared, an output of compaction, and some
// garbage, or small data sets would be rewritten all the time), and never more than the disk has.
//
//   live .................. start ............ slow ............ allowed
//        nothing is done    |  compaction runs, |  writers are    |  they hardly
//                           |  ever faster      |  slowed          |  get on
//
// Hints are not counted: they come on top, a share of every record that no compaction can change.
//
// Arithmetic only: the compactor asks it, the engine delays writers by it.
#pragma once

#include <chrono>
#include <cstdint>

namespace kvs::log {

// What the log takes at one moment.
struct SpaceUse {
  std::uint64_t disk_bytes = 0;  // allocated to segments, without their hints
  std::uint64_t live_bytes = 0;
  std::uint64_t tombstone_bytes = 0;
  std::uint64_t free_bytes = UINT64_MAX;  // of the file system; as much as that when unknown
};

struct SpaceBound {
  std::uint64_t segment_bytes;
  unsigned amplification_percent;  // of the live bytes

  std::uint64_t allowed_bytes(const SpaceUse& use) const;
  // Compaction begins here, so that the bound is held while it works.
  std::uint64_t start_bytes(const SpaceUse& use) const;
  // What compaction has still to give back.
  std::uint64_t debt_bytes(const SpaceUse& use) const;

  // 0: nothing to do; from 1 on writers are slowed; 2: at the bound.
  double pressure(const SpaceUse& use) const;
  // Do tombstones take more than their share (an eighth of the log, and more than a segment)?
  bool tombstones_dominate(const SpaceUse& use) const;

 private:
  std::uint64_t band_bytes(const SpaceUse& use) const;
};

// Which share of the time compaction may work at `pressure`: a quarter when it begins, all of it
// from 1 on.
double working_share(double pressure);

// How long a writer owes for `bytes` at `pressure`: nothing up to the bound; then 50 ns per byte
// and unit of pressure (20 MB/s at pressure 2), and from pressure 3 on the longest delay at least.
std::chrono::microseconds writer_delay(double pressure, std::uint64_t bytes);
inline constexpr std::chrono::milliseconds writer_delay_max{50};  // of one session

}  // namespace kvs::log
