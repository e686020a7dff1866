#include "daemon/latency_events.h"

#include <algorithm>

#include "daemon/settings.h"
#include "daemon/wall_clock.h"

namespace kvs::daemon {

namespace {
constexpr std::size_t samples_max = 160;
}  // namespace

void LatencyEvents::note(std::string_view event, std::chrono::nanoseconds took) {
  const auto threshold = settings_.latency_monitor_threshold_ms.load(std::memory_order_relaxed);
  const std::int64_t milliseconds = took.count() / 1'000'000;
  if (threshold == 0 || milliseconds < static_cast<std::int64_t>(threshold)) return;
  add(event, milliseconds);
}

void LatencyEvents::add(std::string_view event, std::int64_t milliseconds) {
  const std::int64_t now = wall_clock_ms() / 1000;
  std::scoped_lock lock(mutex_);
  LatencySeries& series = series_[std::string(event)];
  series.event = event;
  series.all_time_max_ms = std::max(series.all_time_max_ms, milliseconds);
  if (!series.samples.empty() && series.samples.back().unix_seconds == now) {
    std::int64_t& worst = series.samples.back().milliseconds;
    worst = std::max(worst, milliseconds);
    return;
  }
  series.samples.push_back({now, milliseconds});
  if (series.samples.size() > samples_max) series.samples.pop_front();
}

std::vector<LatencySeries> LatencyEvents::all() const {
  std::vector<LatencySeries> found;
  std::scoped_lock lock(mutex_);
  for (const auto& [event, series] : series_) found.push_back(series);
  return found;
}

std::size_t LatencyEvents::reset() {
  std::scoped_lock lock(mutex_);
  const std::size_t forgotten = series_.size();
  series_.clear();
  return forgotten;
}

bool LatencyEvents::reset(std::string_view event) {
  std::scoped_lock lock(mutex_);
  const auto found = series_.find(event);
  if (found == series_.end()) return false;
  series_.erase(found);
  return true;
}

}  // namespace kvs::daemon
