// latency_events.h - what took longer than latency-monitor-threshold, for LATENCY. Thread: any.
//
// Of each kind of event ("command", "fast-command", "sync", "compaction", "expire") the last 160
// seconds in which it happened are kept, each with its worst time.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace kvs::daemon {

class Settings;

struct LatencySample {
  std::int64_t unix_seconds = 0;
  std::int64_t milliseconds = 0;
};

struct LatencySeries {
  std::string event;
  std::deque<LatencySample> samples;  // oldest first, never empty
  std::int64_t all_time_max_ms = 0;
};

class LatencyEvents {
 public:
  explicit LatencyEvents(const Settings& settings) : settings_(settings) {}

  void note(std::string_view event, std::chrono::nanoseconds took);

  std::vector<LatencySeries> all() const;  // by name
  std::size_t reset();                     // how many kinds were forgotten
  bool reset(std::string_view event);

 private:
  void add(std::string_view event, std::int64_t milliseconds);

  const Settings& settings_;
  mutable std::mutex mutex_;
  std::map<std::string, LatencySeries, std::less<>> series_;  // guarded by mutex_
};

// Notes how long its scope took.
class LatencyScope {
 public:
  LatencyScope(LatencyEvents& events, std::string_view event) : events_(events), event_(event) {}
  ~LatencyScope() { events_.note(event_, std::chrono::steady_clock::now() - began_); }
  LatencyScope(const LatencyScope&) = delete;
  LatencyScope& operator=(const LatencyScope&) = delete;

 private:
  LatencyEvents& events_;
  const std::string_view event_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

}  // namespace kvs::daemon
