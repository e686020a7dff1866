// load_meter.h - how far a recovery is, for those who wait, and whether they still do.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <stop_token>
#include <utility>

#include "storage/log/keydir.h"
#include "storage/options.h"

namespace kvs::log {

// Thread: any.
class LoadMeter {
 public:
  using Listener = std::function<void(const LoadProgress&)>;
  // `keydir` outlives this.
  LoadMeter(Listener listener, std::stop_token stop, const Keydir& keydir)
      : listener_(std::move(listener)), stop_(std::move(stop)), keydir_(keydir) {}

  void set_total(std::uint64_t bytes) { total_bytes_ = bytes; }

  // Tells the listener about every 100 ms, on the calling thread, one call at a time.
  void add(std::uint64_t bytes) {
    done_bytes_.fetch_add(bytes, std::memory_order_relaxed);
    if (!listener_) return;
    const auto now = std::chrono::steady_clock::now();
    std::unique_lock lock(telling_, std::try_to_lock);
    if (!lock || now < next_) return;
    next_ = now + interval;
    tell();
  }

  // Tells the listener that everything is read.
  void finish() {
    if (!listener_) return;
    done_bytes_ = total_bytes_;
    std::scoped_lock lock(telling_);
    tell();
  }

  bool stopped() const { return stop_.stop_requested(); }

 private:
  static constexpr std::chrono::milliseconds interval{100};

  void tell() const {
    LoadProgress progress{.bytes_done = std::min<std::uint64_t>(done_bytes_, total_bytes_),
                          .bytes_total = total_bytes_};
    for (unsigned i = 0; i < databases_count; ++i) {
      progress.keys += keydir_.keys(static_cast<Database>(i));
    }
    listener_(progress);
  }

  const Listener listener_;
  const std::stop_token stop_;
  const Keydir& keydir_;
  std::uint64_t total_bytes_ = 0;  // constant while threads run
  std::atomic<std::uint64_t> done_bytes_ = 0;
  std::mutex telling_;
  std::chrono::steady_clock::time_point next_{};  // guarded by telling_
};

}  // namespace kvs::log
