// compactor.h - gives back the space of dead records, a slice at a time, beside readers and
// writers.
//
// A run takes a few sealed segments (victims; victims.h says which), copies what is still needed
// into new compacted segments (outputs), and then lets the outputs take the victims' place. The
// order of its phases, which is what a crash must find, stands in step():
//
//   copy      survivors go to the outputs with the LSNs they have; outputs are sealed and synced
//   verify    outputs are read back and checked, and the log is synced: a record may be dropped
//   only
//             because of one that is on stable storage
//   swap      MANIFEST names the outputs instead of the victims: one atomic step
//   relocate  index entries that still point to a victim are pointed to the outputs
//   retire    victims lose their names; a reader that holds one still reads it
//
// A crash before the swap leaves the victims, after it the outputs; files that MANIFEST does not
// name are removed by the next open. No lock is held but the index's short ones.
//
// What survives: a value the index points at; the newest clear of each database; a tombstone,
// unless no other segment can hold an older record of its key (victims.h), or something newer of
// its key is in the index; and a value whose deadline took it out of the index, as a tombstone with
// the same LSN, since an older record of its key might lie elsewhere.
//
// When: see space_bound.h. How fast: rest() says how long the caller should wait between slices,
// from the pressure of the bound; a rate limit is kept by work() itself.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "storage/log/catalog.h"
#include "storage/log/clears.h"
#include "storage/log/compaction_output.h"
#include "storage/log/hint_writer.h"
#include "storage/log/keydir.h"
#include "storage/log/reserve.h"
#include "storage/log/scanner.h"
#include "storage/log/space_bound.h"
#include "storage/log/victims.h"
#include "storage/log/writer.h"
#include "storage/options.h"

namespace kvs::log {

using SteadyTime = std::chrono::steady_clock::time_point;

class Compactor {
 public:
  struct Parts {
    Catalog& catalog;
    Keydir& keydir;
    Clears& clears;
    Writer& writer;
    Reserve& reserve;
    std::function<UnixMs()> clock;
    std::function<void(EngineOptions::Severity, std::string_view)> report;
  };
  struct Limits {
    SpaceBound bound;
    unsigned dead_percent;
    std::uint64_t bytes_per_second;  // 0: no limit; limit() changes it
  };

  // All parts must outlive this.
  Compactor(Parts parts, Limits limits);

  // --- by one thread at a time ---

  // Works until about `until` and returns whether there is more to do.
  bool work(SteadyTime until);

  bool idle() const { return run_ == nullptr; }
  // The next run takes every sealed segment that holds anything but live records.
  void take_everything() { everything_ = true; }
  // Drops a run that has not reached its swap, and finishes one that has, without its budget.
  void finish();

  // --- by any thread ---

  // What takes space, as of the last few milliseconds of work().
  double pressure() const { return pressure_.load(std::memory_order_relaxed); }
  // Are writers to be slowed? Not while nothing could be gained by it.
  bool behind() const { return running() && !paused() && pressure() > 1; }
  // How long the caller should wait before it calls work() again, after true.
  std::chrono::milliseconds rest() const { return rest_.load(std::memory_order_relaxed); }

  void pause() { paused_ = true; }
  void resume() { paused_ = false; }
  bool paused() const { return paused_.load(std::memory_order_relaxed); }
  void limit(std::uint64_t bytes_per_second) { bytes_per_second_max_ = bytes_per_second; }
  std::uint64_t limit() const { return bytes_per_second_max_.load(std::memory_order_relaxed); }

  bool running() const { return running_.load(std::memory_order_relaxed); }
  std::uint64_t victims_retired() const { return retired_.load(std::memory_order_relaxed); }
  std::uint64_t bytes_copied() const { return copied_.load(std::memory_order_relaxed); }
  std::uint64_t bytes_per_second() const { return rate_.load(std::memory_order_relaxed); }
  // Of outputs that MANIFEST does not name yet.
  std::uint64_t bytes_under_way() const { return under_way_.load(std::memory_order_relaxed); }
  const SpaceBound& bound() const { return limits_.bound; }

 private:
  enum class Phase { copy, verify, relocate };
  enum class Fate { drop, keep, as_tombstone };

  struct Run {
    std::vector<SegmentPtr> victims;
    std::vector<SegmentPtr> outputs;
    Lsn others_min_lsn = 0;  // the lowest LSN in any segment that is not a victim
    Phase phase = Phase::copy;
    std::size_t current = 0;  // victim (copy) or output (verify, relocate) being read
    std::unique_ptr<SegmentScanner> scanner;
    std::unique_ptr<CompactionOutput> output;
    std::uint64_t records_read = 0;    // of the segment being read
    std::unique_ptr<HintWriter> hint;  // of the current output, in verify; null: it failed
  };

  using Items = std::vector<SegmentScanner::Item>;

  void observe();
  CompactionNeed need(const SpaceUse& use) const;
  bool begin_run();
  Result<bool> step();
  Result<const Items*> next_frame(const std::vector<SegmentPtr>& segments);
  Result<void> copy(const Items& items);
  Fate fate_of(const SegmentScanner::Item& item) const;
  void prefetch(std::span<const SegmentScanner::Item> items) const;
  void relocate(const Items& items);
  void relocate(const SegmentScanner::Item& item, const SegmentPtr& output);
  void end_run();
  void give_up(const Error& error);
  void charge(std::uint64_t bytes);
  std::chrono::milliseconds rest_now() const;

  const Parts parts_;
  const Limits limits_;
  bool everything_ = false;
  bool hurried_ = false;  // the run was asked for
  std::unique_ptr<Run> run_;
  SpaceUse use_;  // as observe() saw it last
  SteadyTime observed_at_{};
  SteadyTime within_limit_at_{};  // when the bytes written are within the rate limit
  SteadyTime rate_since_{};
  std::uint64_t rate_from_bytes_ = 0;  // bytes_copied() then
  SteadyTime not_before_{};            // after a failure
  std::set<SegmentId> unreadable_;     // victims that could not be read; left as they are
  std::atomic<bool> running_ = false;
  std::atomic<bool> paused_ = false;
  std::atomic<double> pressure_ = 0;
  std::atomic<std::chrono::milliseconds> rest_{};
  std::atomic<std::uint64_t> bytes_per_second_max_;
  std::atomic<std::uint64_t> under_way_ = 0;
  std::atomic<std::uint64_t> retired_ = 0;
  std::atomic<std::uint64_t> copied_ = 0;
  std::atomic<std::uint64_t> rate_ = 0;
};

}  // namespace kvs::log
