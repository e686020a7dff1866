#include "storage/log/scrub.h"

#include <algorithm>
#include <utility>

#include "storage/limits.h"
#include "storage/printable.h"

namespace kvs::log {
namespace {

using Severity = EngineOptions::Severity;
using std::chrono::steady_clock;

// The first pass waits until the machine has come up; then one a day.
constexpr std::chrono::hours first_pass_after{1};
constexpr std::chrono::hours pass_interval{24};
// What was not used of the rate does not add up beyond this.
constexpr std::chrono::seconds credit_max{1};
// So many places are remembered, and told one by one.
constexpr std::size_t known_places_max = 10'000;
constexpr std::size_t listed_segments_max = 16;

}  // namespace

Scrubber::Scrubber(const Catalog& catalog, const SharedDatabaseMap& databases,
                   std::uint64_t bytes_per_second, std::function<UnixMs()> clock, Report report)
    : catalog_(catalog),
      databases_(databases),
      bytes_per_second_(bytes_per_second == 0 ? scrub_rate_default : bytes_per_second),
      automatic_(bytes_per_second != 0),
      clock_(std::move(clock)),
      report_(std::move(report)),
      next_pass_(steady_clock::now() + first_pass_after) {}

bool Scrubber::work(SteadyTime until) {
  SteadyTime now = steady_clock::now();
  if (segment_ == nullptr && cursor_ == 0 && !begin_pass(now)) return false;
  paid_until_ = std::max(paid_until_, now - credit_max);
  while (now < until) {
    if (paid_until_ > now) return false;
    if (segment_ == nullptr && !open_next()) {
      end_pass();
      return false;
    }
    const std::uint64_t before = seen_bytes_;
    step();
    const std::uint64_t bytes = seen_bytes_ - before;
    if (segment_ != nullptr && seen_bytes_ >= segment_->end_bytes()) close_segment();
    paid_until_ += std::chrono::nanoseconds(bytes * 1'000'000'000 / bytes_per_second_);
    now = steady_clock::now();
  }
  return true;
}

bool Scrubber::begin_pass(SteadyTime now) {
  const bool asked = requested_.exchange(false, std::memory_order_relaxed);
  if (!asked && !(automatic_ && now >= next_pass_)) return false;
  next_pass_ = now + pass_interval;
  paid_until_ = now;
  std::uint64_t total = 0;
  for (const SegmentPtr& segment : catalog_.listed()) {
    if (segment->sealed()) total += segment->end_bytes();
  }
  std::scoped_lock lock(mutex_);
  stats_.running = true;
  stats_.pass_bytes = 0;
  stats_.pass_bytes_total = total;
  return true;
}

// The sealed segment with the lowest id above the cursor. False: there is none, the pass is over.
bool Scrubber::open_next() {
  SegmentPtr next;
  for (const SegmentPtr& segment : catalog_.listed()) {
    if (!segment->sealed() || segment->id() <= cursor_) continue;
    if (next == nullptr || segment->id() < next->id()) next = segment;
  }
  if (next == nullptr) return false;
  cursor_ = next->id();
  segment_ = std::move(next);
  segment_->file().drop_cached(0, segment_->end_bytes());
  file_ = std::make_unique<ForgivingFile>(segment_->file());
  SegmentIdentity identity;
  // In use as it is, the header need not be believed; but it is what a restart reads.
  if (auto seen = identify_segment(*file_, segment_->id()); seen && seen->fault != nullptr) {
    found_damage({.bytes = segment_header_bytes, .fault = seen->fault});
  }
  identity.seed = segment_->seed();
  identity.kind = segment_->kind();
  identity.readable = true;
  survey_ = std::make_unique<SegmentSurvey>(*file_, identity, segment_->end_bytes());
  seen_bytes_ = 0;
  return true;
}

// One frame's worth.
void Scrubber::step() {
  auto found = survey_->next();
  const std::uint64_t before = seen_bytes_;
  if (!found) {
    found_damage({.offset_bytes = seen_bytes_, .fault = "cannot be read"});
    seen_bytes_ = segment_->end_bytes();
  } else {
    for (const BadPlace& place : survey_->bad()) found_damage(place);
    seen_bytes_ = survey_->next_offset_bytes();
    if (*found == SegmentSurvey::Found::end) {
      // It ends with its seal, so nothing but zeros is one thing too few.
      found_damage({.offset_bytes = survey_->offset_bytes(), .fault = "it ends without a seal"});
      seen_bytes_ = segment_->end_bytes();
    }
  }
  std::scoped_lock lock(mutex_);
  stats_.pass_bytes += seen_bytes_ - before;
  stats_.bytes += seen_bytes_ - before;
}

void Scrubber::found_damage(const BadPlace& place) {
  const SegmentId id = segment_->id();
  // A segment that was retired meanwhile is nobody's any more, its file perhaps somebody else's.
  if (catalog_.find(id) != segment_) return;
  if (known_.size() >= known_places_max || !known_.insert({id, place.offset_bytes}).second) return;
  {
    std::scoped_lock lock(mutex_);
    ++stats_.errors;
    ++bad_[id];
  }
  std::string text = "scrub: corrupt segment " + segment_->name() + " at offset " +
                     std::to_string(place.offset_bytes) + ": " + place.fault;
  if (place.key_readable) {
    text += ", key " + printable(place.key) + " of database " +
            std::to_string(databases_.now().named(place.database));
  }
  if (file_ != nullptr && file_->first_error()) text += "; " + file_->first_error()->message();
  report_(Severity::error, text);
}

void Scrubber::close_segment() {
  segment_->file().drop_cached(0, segment_->end_bytes());
  survey_ = nullptr;
  file_ = nullptr;
  segment_ = nullptr;
}

void Scrubber::end_pass() {
  cursor_ = 0;
  std::scoped_lock lock(mutex_);
  stats_.running = false;
  ++stats_.passes;
  stats_.last_completed = clock_();
  // Segments that are gone are nobody's worry any more.
  std::erase_if(bad_, [this](const auto& entry) { return catalog_.find(entry.first) == nullptr; });
}

ScrubStats Scrubber::stats() const {
  std::scoped_lock lock(mutex_);
  ScrubStats stats = stats_;
  std::size_t listed = 0;
  for (const auto& [id, places] : bad_) {
    if (catalog_.find(id) == nullptr) continue;
    stats.damaged_places += places;
    if (listed++ >= listed_segments_max) continue;
    if (!stats.damaged_segments.empty()) stats.damaged_segments += ",";
    stats.damaged_segments += segment_name(id) + "=" + std::to_string(places);
  }
  return stats;
}

}  // namespace kvs::log
