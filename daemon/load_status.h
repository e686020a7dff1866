// load_status.h - how far the engine has read its data at start: what INFO, the log and the gate
// that answers -LOADING look at.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>

#include "daemon/wall_clock.h"
#include "storage/options.h"

namespace kvs::daemon {

// Thread: any; begin and end by one.
class LoadStatus {
 public:
  using Clock = std::chrono::steady_clock;

  void begin() {
    began_ = Clock::now();
    began_at_ms_ = wall_clock_ms();
    loading_.store(true, std::memory_order_release);
  }
  void update(const LoadProgress& progress) {
    bytes_total_.store(progress.bytes_total, std::memory_order_relaxed);
    bytes_done_.store(progress.bytes_done, std::memory_order_relaxed);
    keys_.store(progress.keys, std::memory_order_relaxed);
  }
  void end() { loading_.store(false, std::memory_order_release); }

  // While true, only commands flagged `loading` are run.
  bool loading() const { return loading_.load(std::memory_order_acquire); }

  // The rest is meaningful while loading.
  UnixMs began_at_ms() const { return began_at_ms_; }
  std::uint64_t bytes_total() const { return bytes_total_.load(std::memory_order_relaxed); }
  std::uint64_t bytes_done() const { return bytes_done_.load(std::memory_order_relaxed); }
  std::uint64_t keys() const { return keys_.load(std::memory_order_relaxed); }
  double percent() const {
    const std::uint64_t total = bytes_total();
    return total == 0 ? 0 : 100.0 * static_cast<double>(bytes_done()) / static_cast<double>(total);
  }
  // What it will still take if it goes on at the same rate; 1 while nothing is known.
  std::uint64_t seconds_left() const {
    const double done = percent() / 100;
    if (done <= 0) return 1;
    const std::chrono::duration<double> took = Clock::now() - began_;
    return static_cast<std::uint64_t>(std::max(0.0, took.count() / done - took.count()));
  }

 private:
  std::atomic<bool> loading_{false};
  // Written before loading_ becomes true.
  Clock::time_point began_{};
  UnixMs began_at_ms_ = 0;
  std::atomic<std::uint64_t> bytes_total_{0};
  std::atomic<std::uint64_t> bytes_done_{0};
  std::atomic<std::uint64_t> keys_{0};
};

// Of a server whose engine had been loaded before it began.
inline const LoadStatus nothing_to_load;

}  // namespace kvs::daemon
