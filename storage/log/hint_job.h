// hint_job.h - gives sealed segments their hints, in slices of maintain().
//
// Runs behind the writer: a segment gets its hint some time after it was sealed, one at a time. The
// segment is read with all its checksums, so damage is noticed here too, soon after it happened.
// A hint that cannot be written (disk full) is tried again later; nothing else depends on it.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <string_view>

#include "storage/log/catalog.h"
#include "storage/log/hint_writer.h"
#include "storage/log/scanner.h"
#include "storage/options.h"

namespace kvs::log {

// Thread: one at a time.
class HintJob {
 public:
  using Report = std::function<void(EngineOptions::Severity, std::string_view)>;
  // `catalog` outlives this.
  HintJob(Catalog& catalog, Report report) : catalog_(catalog), report_(std::move(report)) {}

  // Works until about `until` and returns whether there is more to do.
  bool work(std::chrono::steady_clock::time_point until);

 private:
  bool take_next();
  Result<bool> step();  // one frame; false: this hint is complete
  void give_up(const Error& error);

  Catalog& catalog_;
  const Report report_;
  SegmentPtr segment_;  // the one in work; null: none
  std::unique_ptr<SegmentScanner> scanner_;
  std::unique_ptr<HintWriter> writer_;
  std::uint64_t records_ = 0;
  std::set<SegmentId> unreadable_;  // left without a hint
  std::chrono::steady_clock::time_point not_before_{};
  bool failing_ = false;  // the last attempt failed, and that was reported
};

}  // namespace kvs::log
