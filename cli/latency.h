// latency.h - how long many things took: percentiles in a fixed amount of memory.
//
// Counts per range of durations; a range is at most 1/64 of its durations wide, so that a
// percentile is right to 1.6 %.
#pragma once

#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace kvs::cli {

class Latencies {
 public:
  void add(std::chrono::nanoseconds duration) {
    const auto value = static_cast<std::uint64_t>(duration.count() < 0 ? 0 : duration.count());
    ++counts_[range_of(value)];
    ++count_;
    if (value > max_) max_ = value;
  }

  std::uint64_t count() const noexcept { return count_; }
  std::chrono::nanoseconds max() const { return std::chrono::nanoseconds(max_); }

  // The duration that `part` (0 to 1) of all did not exceed; 0 when there are none.
  std::chrono::nanoseconds percentile(double part) const {
    const auto wanted = static_cast<std::uint64_t>(part * static_cast<double>(count_));
    std::uint64_t seen = 0;
    for (std::size_t range = 0; range < counts_.size(); ++range) {
      seen += counts_[range];
      if (seen > wanted || (seen == count_ && seen > 0)) {
        const std::uint64_t end = end_of(range);
        return std::chrono::nanoseconds(end < max_ ? end : max_);
      }
    }
    return std::chrono::nanoseconds(0);
  }

 private:
  static constexpr unsigned part_bits = 6;
  static constexpr std::uint64_t parts = std::uint64_t{1} << part_bits;

  // Below 2 * parts every duration is a range of its own; above, each power of two has `parts`.
  static std::size_t range_of(std::uint64_t value) {
    const auto bits = static_cast<unsigned>(std::bit_width(value | parts));
    const unsigned shift = bits - part_bits - 1;
    return static_cast<std::size_t>(shift * parts + (value >> shift));
  }
  // The largest duration of a range.
  static std::uint64_t end_of(std::size_t range) {
    if (range < 2 * parts) return range;
    const std::size_t shift = range / parts - 1;
    const std::uint64_t first = (range - shift * parts) << shift;
    return first + (std::uint64_t{1} << shift) - 1;
  }

  std::array<std::uint64_t, (64 - part_bits) * parts + parts> counts_{};
  std::uint64_t count_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace kvs::cli
