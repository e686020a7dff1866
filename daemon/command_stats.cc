#include "daemon/command_stats.h"

#include <algorithm>
#include <numeric>

namespace kvs::daemon {

namespace {

// Clients can make up words for errors (through scripts or names of modules): beyond this many
// kinds the rest is counted together.
constexpr std::size_t error_kinds_max = 128;
constexpr std::size_t error_word_bytes_max = 64;

}  // namespace

std::uint64_t CommandFigures::calls() const {
  return std::accumulate(buckets.begin(), buckets.end(), std::uint64_t{0});
}

std::uint64_t CommandFigures::percentile(double percent) const {
  const std::uint64_t all = calls();
  if (all == 0) return 0;
  const auto wanted = std::max<std::uint64_t>(
      1, static_cast<std::uint64_t>(percent / 100 * static_cast<double>(all) + 0.5));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < buckets.size(); ++i) {
    seen += buckets[i];
    if (seen >= wanted) return LatencyBuckets::upper_bound(i);
  }
  return LatencyBuckets::upper_bound(buckets.size() - 1);
}

CommandStats::Block* CommandStats::make(const Command& command) {
  std::scoped_lock lock(mutex_);
  for (std::size_t i = 0; i < probes_max; ++i) {
    auto& slot = slots_[(slot_of(command) + i) % slots_count];
    Block* const there = slot.load(std::memory_order_relaxed);
    if (there != nullptr && &there->command == &command) return there;  // made meanwhile
    if (there != nullptr) continue;
    Block* const fresh = blocks_.emplace_back(std::make_unique<Block>(command)).get();
    slot.store(fresh, std::memory_order_release);
    return fresh;
  }
  return nullptr;
}

const CommandStats::Block* CommandStats::find(const Command& command) const {
  for (std::size_t i = 0; i < probes_max; ++i) {
    const Block* const block =
        slots_[(slot_of(command) + i) % slots_count].load(std::memory_order_acquire);
    if (block == nullptr) return nullptr;
    if (&block->command == &command) return block;
  }
  return nullptr;
}

void CommandStats::note_error(std::string_view reply) {
  const std::string_view word =
      reply.substr(0, std::min(reply.find_first_of(" \r"), error_word_bytes_max));
  std::scoped_lock lock(mutex_);
  const auto known = errors_.find(word);
  if (known != errors_.end()) {
    ++known->second;
  } else if (errors_.size() < error_kinds_max) {
    errors_.emplace(word, 1);
  } else {
    ++errors_["OTHER"];
  }
}

void CommandStats::add_to(const Command& command, CommandFigures& figures) const {
  const Block* const block = find(command);
  if (block == nullptr) return;
  for (std::size_t i = 0; i < figures.buckets.size(); ++i) {
    figures.buckets[i] += block->buckets[i].load(std::memory_order_relaxed);
  }
  figures.nanoseconds += block->nanoseconds.load(std::memory_order_relaxed);
  figures.rejected += block->rejected.load(std::memory_order_relaxed);
  figures.failed += block->failed.load(std::memory_order_relaxed);
}

void CommandStats::add_errors_to(std::map<std::string, std::uint64_t, std::less<>>& errors) const {
  std::scoped_lock lock(mutex_);
  for (const auto& [word, count] : errors_) errors[word] += count;
}

// A call that is being counted meanwhile may be counted in half.
void CommandStats::reset() {
  for (const auto& slot : slots_) {
    Block* const block = slot.load(std::memory_order_acquire);
    if (block == nullptr) continue;
    for (auto& bucket : block->buckets) bucket.store(0, std::memory_order_relaxed);
    block->nanoseconds.store(0, std::memory_order_relaxed);
    block->rejected.store(0, std::memory_order_relaxed);
    block->failed.store(0, std::memory_order_relaxed);
  }
  std::scoped_lock lock(mutex_);
  errors_.clear();
}

}  // namespace kvs::daemon
