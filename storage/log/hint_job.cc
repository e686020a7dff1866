#include "storage/log/hint_job.h"

#include <string>

namespace kvs::log {
namespace {

constexpr std::chrono::seconds pause_after_failure{5};

}  // namespace

bool HintJob::work(std::chrono::steady_clock::time_point until) {
  if (std::chrono::steady_clock::now() < not_before_) return false;
  // Compaction may have retired it since the last slice.
  if (segment_ != nullptr && catalog_.find(segment_->id()) == nullptr) {
    writer_ = nullptr;
    segment_ = nullptr;
  }
  do {
    if (segment_ == nullptr && !take_next()) return false;
    auto more = step();
    if (!more) {
      give_up(more.error());
      return false;
    }
    if (!*more) segment_ = nullptr;
  } while (std::chrono::steady_clock::now() < until);
  return true;
}

bool HintJob::take_next() {
  for (const SegmentPtr& segment : catalog_.listed()) {
    if (!segment->sealed() || segment->hint_bytes() != 0) continue;
    if (unreadable_.contains(segment->id())) continue;
    segment_ = segment;
    scanner_ = std::make_unique<SegmentScanner>(segment, segment->end_bytes(), 0);
    writer_ = catalog_.write_hint(segment);
    records_ = 0;
    return true;
  }
  return false;
}

Result<bool> HintJob::step() {
  auto found = scanner_->next();
  if (!found) return std::unexpected(found.error());
  const bool sealed = *found == SegmentScanner::Found::seal;
  records_ += scanner_->items().size();
  const bool whole = sealed && scanner_->next_offset_bytes() == segment_->end_bytes() &&
                     records_ == static_cast<std::uint64_t>(segment_->counts.records);
  if (*found != SegmentScanner::Found::frame && !whole) {
    unreadable_.insert(segment_->id());
    const char* fault = scanner_->fault();
    return fail(Code::corrupt, "corrupt segment " + segment_->name() + " at offset " +
                                   std::to_string(scanner_->offset_bytes()) + ": " +
                                   (fault != nullptr ? fault : "it does not end as it was sealed"));
  }
  if (auto added = writer_->add(*scanner_); !added) return std::unexpected(added.error());
  if (!sealed) return true;
  if (auto finished = writer_->finish(); !finished) return std::unexpected(finished.error());
  writer_ = nullptr;
  failing_ = false;
  return false;
}

void HintJob::give_up(const Error& error) {
  writer_ = nullptr;  // takes the file away
  scanner_ = nullptr;
  segment_ = nullptr;
  if (error.code() == Code::corrupt) {
    return report_(EngineOptions::Severity::warning, "no hint is made: " + error.message());
  }
  not_before_ = std::chrono::steady_clock::now() + pause_after_failure;
  if (!failing_) {
    report_(EngineOptions::Severity::warning,
            "cannot write a hint, the next start may take longer: " + error.message());
  }
  failing_ = true;
}

}  // namespace kvs::log
