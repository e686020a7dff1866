// scrub.h - reads sealed segments again, slowly, to find what has rotted before somebody needs it.
//
// A pass goes through all sealed segments by id, at a limited rate, in slices of maintain(). It
// asks the disk and not the kernel's copy of it (File::drop_cached), and leaves no copy behind.
// Damage is reported once per place, counted, and otherwise left alone: the records concerned
// answer an error when they are read, compaction keeps away from their segment, and repair is for
// --salvage or a backup.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "storage/database_map.h"
#include "storage/log/catalog.h"
#include "storage/log/survey.h"
#include "storage/options.h"

namespace kvs::log {

class Scrubber {
 public:
  using SteadyTime = std::chrono::steady_clock::time_point;
  using Report = std::function<void(EngineOptions::Severity, std::string_view)>;

  // `bytes_per_second` 0: passes run only when asked for, at scrub_rate_default. All must outlive
  // this.
  Scrubber(const Catalog& catalog, const SharedDatabaseMap& databases,
           std::uint64_t bytes_per_second, std::function<UnixMs()> clock, Report report);

  // Works until about `until`, as far as the rate allows; returns whether it may go on at once. One
  // thread at a time.
  bool work(SteadyTime until);

  // --- by any thread ---

  // Begins a pass with the next work(), if none is under way.
  void request() { requested_.store(true, std::memory_order_relaxed); }
  ScrubStats stats() const;

 private:
  bool begin_pass(SteadyTime now);
  bool open_next();
  void step();
  void found_damage(const BadPlace& place);
  void close_segment();
  void end_pass();

  const Catalog& catalog_;
  const SharedDatabaseMap& databases_;
  const std::uint64_t bytes_per_second_;
  const bool automatic_;
  const std::function<UnixMs()> clock_;
  const Report report_;

  // Of the thread that works.
  SteadyTime next_pass_;
  SteadyTime paid_until_{};  // the reading so far is worth the time up to here
  SegmentId cursor_ = 0;     // segments up to here are done
  SegmentPtr segment_;
  std::unique_ptr<ForgivingFile> file_;
  std::unique_ptr<SegmentSurvey> survey_;
  std::uint64_t seen_bytes_ = 0;                         // of segment_
  std::set<std::pair<SegmentId, std::uint64_t>> known_;  // places reported

  std::atomic<bool> requested_ = false;
  mutable std::mutex mutex_;
  ScrubStats stats_;                        // guarded by mutex_
  std::map<SegmentId, std::uint64_t> bad_;  // places by segment; guarded by mutex_
};

inline constexpr std::uint64_t scrub_rate_default = std::uint64_t{8} << 20;

}  // namespace kvs::log
