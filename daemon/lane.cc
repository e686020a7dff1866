#include "daemon/lane.h"

#include <algorithm>
#include <cassert>

namespace kvs::daemon {

Lane::Lane(uv::Loop& loop, Services& services, WorkerMetrics& metrics, std::size_t entries_max)
    : services_(services),
      metrics_(metrics),
      entries_max_(entries_max),
      work_(
          loop, [this] { run(); }, [this] { finished(); }) {}

void Lane::launch() {
  if (gathering_.empty() || work_.running()) return;
  const std::size_t taken = std::min(gathering_.size(), entries_max_);
  const auto end = gathering_.begin() + static_cast<std::ptrdiff_t>(taken);
  assert(in_flight_.empty());
  in_flight_.assign(gathering_.begin(), end);
  gathering_.erase(gathering_.begin(), end);
  entries_.clear();
  std::size_t requests = 0;
  for (const Done* done : in_flight_) {
    entries_.push_back(&done->entry_);
    requests += done->entry_.requests.size();
  }
  metrics_.batches.fetch_add(1, std::memory_order_relaxed);
  metrics_.batched_requests.fetch_add(requests, std::memory_order_relaxed);
  work_.start();
}

void Lane::run() {
  run_batch(services_, entries_);
}

void Lane::finished() {
  // Resuming gathers new entries but touches neither of these two.
  for (Done* done : in_flight_) done->waiter_.resume();
  in_flight_.clear();
}

}  // namespace kvs::daemon
