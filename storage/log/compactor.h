// compactor.h - gives back the space of dead records, a slice at a time, beside readers and
// writers.
//
// A run takes a few sealed segments (victims), copies what is still needed into new compacted
// segments (outputs), and then lets the outputs take the victims' place:
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
// unless every other segment's LSNs are greater (then none can hold an older record of its key), or
// something newer of its key is in the index; and a value whose deadline took it out of the index,
// as a tombstone with the same LSN, since an older record of its key might lie elsewhere.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "storage/log/catalog.h"
#include "storage/log/clears.h"
#include "storage/log/compaction_output.h"
#include "storage/log/hint_writer.h"
#include "storage/log/keydir.h"
#include "storage/log/scanner.h"
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
    std::function<UnixMs()> clock;
    std::function<void(EngineOptions::Severity, std::string_view)> report;
  };
  struct Limits {
    std::uint64_t segment_bytes;
    unsigned dead_percent;
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

  bool running() const { return running_.load(std::memory_order_relaxed); }
  std::uint64_t victims_retired() const { return retired_.load(std::memory_order_relaxed); }
  std::uint64_t bytes_copied() const { return copied_.load(std::memory_order_relaxed); }

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
    std::uint64_t records_read = 0;    // of the current output, in verify
    std::unique_ptr<HintWriter> hint;  // of the current output, in verify; null: it failed
  };

  std::vector<SegmentPtr> choose() const;
  std::uint64_t bytes_after(const Segment& segment, Lsn others_min_lsn) const;
  void begin_run(std::vector<SegmentPtr> victims);
  Result<bool> step();
  Result<bool> step_copy();
  Result<bool> step_verify();
  Result<bool> step_relocate();
  Result<void> swap();
  Fate fate_of(const SegmentScanner::Item& item) const;
  void relocate(const SegmentScanner::Item& item, const SegmentPtr& output);
  void complete();
  void give_up(const Error& error);

  const Parts parts_;
  const Limits limits_;
  bool everything_ = false;
  std::unique_ptr<Run> run_;
  SteadyTime not_before_{};         // after a failure
  std::set<SegmentId> unreadable_;  // victims that could not be read; left as they are
  std::atomic<bool> running_ = false;
  std::atomic<std::uint64_t> retired_ = 0;
  std::atomic<std::uint64_t> copied_ = 0;
};

}  // namespace kvs::log
