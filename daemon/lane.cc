#include "daemon/lane.h"

#include <algorithm>
#include <cassert>
#include <chrono>

namespace kvs::daemon {
namespace {

// The longest that a batch waits for more.
constexpr std::chrono::microseconds patience_time{100};

}  // namespace

Lane::Lane(uv::Loop& loop, Services& services, WorkerMetrics& metrics, std::size_t entries_max)
    : services_(services),
      metrics_(metrics),
      loop_(loop),
      entries_max_(entries_max),
      work_(
          loop, [this] { run(); }, [this] { finished(); }),
      patience_ends_(loop, [this] {
        waiting_ = false;
        if (!gathering_.empty() && !work_.running()) start();
      }) {}

void Lane::gather(Done& done) {
  gathering_.push_back(&done);
  gathered_requests_ += done.entry_.requests.size();
  patience_.note(*done.entry_.client, uv_now(loop_.raw()));
}

void Lane::launch() {
  if (gathering_.empty() || work_.running() || waits_for_more()) return;
  start();
}

bool Lane::waits_for_more() {
  const std::size_t wanted = std::min(patience_.wanted(uv_now(loop_.raw())), entries_max_);
  if (gathered_requests_ >= wanted) return false;
  if (!waiting_) waiting_ = patience_ends_.start_once(patience_time);
  return waiting_;
}

void Lane::start() {
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
  gathered_requests_ -= requests;
  waiting_ = false;  // the next batch has all its time before it
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
