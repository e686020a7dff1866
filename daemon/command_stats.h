// command_stats.h - how often each command ran, how long it took and how it ended: INFO's
// commandstats, latencystats and errorstats, and LATENCY HISTOGRAM.
//
// One of these per worker, so that loops do not share cache lines; whoever reports adds them up. A
// command's block is found through its row's address and made when the command first runs. Times go
// into buckets that grow by an eighth of a power of two each: any percentile is known to 12 %, and
// the number of calls is the sum of the buckets, so that a call costs two additions.
// Thread: any.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace kvs::daemon {

struct Command;

// The times of calls, in nanoseconds.
class LatencyBuckets {
 public:
  static constexpr std::size_t count = 256;

  static constexpr std::size_t index_of(std::uint64_t nanoseconds) noexcept {
    if (nanoseconds < 8) return static_cast<std::size_t>(nanoseconds);
    if (nanoseconds >= longest) nanoseconds = longest - 1;
    const auto exponent = static_cast<unsigned>(std::bit_width(nanoseconds) - 1);
    return (exponent - 2) * 8 + static_cast<std::size_t>((nanoseconds >> (exponent - 3)) & 7);
  }
  // The longest time that falls into bucket `index`.
  static constexpr std::uint64_t upper_bound(std::size_t index) noexcept {
    if (index < 8) return index;
    const std::size_t exponent = index / 8 + 2;
    return ((std::uint64_t{8} + index % 8 + 1) << (exponent - 3)) - 1;
  }

 private:
  static constexpr std::uint64_t longest = std::uint64_t{1} << 34;  // 17 s; more counts as that
};

// What is known of one command, as plain numbers.
struct CommandFigures {
  std::array<std::uint64_t, LatencyBuckets::count> buckets{};
  std::uint64_t nanoseconds = 0;
  std::uint64_t rejected = 0;  // refused before they ran
  std::uint64_t failed = 0;    // ran and answered an error

  std::uint64_t calls() const;
  // The time within which `percent` of the calls ended, in nanoseconds; 0 when there were none.
  std::uint64_t percentile(double percent) const;
};

class CommandStats {
 public:
  CommandStats() = default;
  CommandStats(const CommandStats&) = delete;
  CommandStats& operator=(const CommandStats&) = delete;

  enum class End : std::uint8_t { answered, failed };
  void note_call(const Command& command, std::chrono::nanoseconds took, End end) {
    if (Block* const block = find_or_make(command)) {
      const auto nanoseconds = static_cast<std::uint64_t>(took.count());
      block->buckets[LatencyBuckets::index_of(nanoseconds)].fetch_add(1, std::memory_order_relaxed);
      block->nanoseconds.fetch_add(nanoseconds, std::memory_order_relaxed);
      if (end == End::failed) block->failed.fetch_add(1, std::memory_order_relaxed);
    }
  }
  void note_rejected(const Command& command) {
    if (Block* const block = find_or_make(command)) {
      block->rejected.fetch_add(1, std::memory_order_relaxed);
    }
  }
  // `reply` begins behind the '-': its first word is what errors are counted by.
  void note_error(std::string_view reply);

  // Adds this worker's figures.
  void add_to(const Command& command, CommandFigures& figures) const;
  void add_errors_to(std::map<std::string, std::uint64_t, std::less<>>& errors) const;

  void reset();

 private:
  struct Block {
    explicit Block(const Command& of) : command(of) {}
    const Command& command;
    std::array<std::atomic<std::uint64_t>, LatencyBuckets::count> buckets{};
    std::atomic<std::uint64_t> nanoseconds{0};
    std::atomic<std::uint64_t> rejected{0};
    std::atomic<std::uint64_t> failed{0};
  };
  // Twice the commands that there are, subcommands included; rows beyond would go uncounted.
  static constexpr std::size_t slots_count = 1024;
  static constexpr std::size_t probes_max = 64;

  static std::size_t slot_of(const Command& command) noexcept {
    const auto address = reinterpret_cast<std::uintptr_t>(&command);
    return static_cast<std::size_t>((address * 0x9e3779b97f4a7c15u) >> 54);
  }
  Block* find_or_make(const Command& command) {
    for (std::size_t i = 0; i < probes_max; ++i) {
      auto& slot = slots_[(slot_of(command) + i) % slots_count];
      Block* const block = slot.load(std::memory_order_acquire);
      if (block == nullptr) break;
      if (&block->command == &command) return block;
    }
    return make(command);
  }
  Block* make(const Command& command);
  const Block* find(const Command& command) const;

  std::array<std::atomic<Block*>, slots_count> slots_{};  // filled once each, never emptied
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Block>> blocks_;  // guarded by mutex_; what slots_ point to
  std::map<std::string, std::uint64_t, std::less<>> errors_;  // guarded by mutex_
};

}  // namespace kvs::daemon
