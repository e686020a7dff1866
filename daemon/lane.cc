#include "daemon/lane.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <utility>

#include "daemon/durability.h"

namespace kvs::daemon {
namespace {

// The longest that a batch waits for more.
constexpr std::chrono::microseconds patience_time{100};

}  // namespace

Lane::Batch::Batch(Lane& lane)
    : work(
          lane.loop_, [this, &lane] { lane.run(*this); }, [this, &lane] { lane.finished(*this); }) {
}

Lane::Lane(uv::Loop& loop, Services& services, SyncTurn& turn, WorkerMetrics& metrics,
           std::size_t entries_max)
    : services_(services),
      turn_(turn),
      metrics_(metrics),
      loop_(loop),
      entries_max_(entries_max),
      patience_ends_(loop, [this] {
        waiting_ = false;
        if (gathering_.empty()) return;
        if (Batch* const batch = free_batch()) start(*batch);
      }) {}

void Lane::gather(Done& done) {
  gathering_.push_back(&done);
  gathered_requests_ += done.entry_.requests.size();
  patience_.note(*done.entry_.client, uv_now(loop_.raw()));
  if (!will_wait_for_sync(services_, done.entry_)) {
    gathered_unbound_ = true;
  } else if (first_.work.running()) {
    ++behind_sync_;
    turn_.count_waiting(1);
  }
}

void Lane::launch() {
  if (gathering_.empty()) return;
  Batch* const batch = free_batch();
  if (batch != nullptr && !waits_for_more()) start(*batch);
}

Lane::Batch* Lane::free_batch() {
  if (!first_.work.running() && !second_.work.running()) return &first_;
  // Who must wait for a sync anyhow gathers until the one under way is over: larger batches, fewer
  // hops.
  if (!gathered_unbound_) return nullptr;
  if (running_.load()) {
    // Asked again behind that: the job may have looked for it just before.
    held_up_.store(true);
    if (running_.load()) return nullptr;
  }
  if (!first_.work.running()) return &first_;
  return second_.work.running() ? nullptr : &second_;
}

bool Lane::waits_for_more() {
  const std::size_t wanted = std::min(patience_.wanted(uv_now(loop_.raw())), entries_max_);
  if (gathered_requests_ >= wanted) return false;
  if (!waiting_) waiting_ = patience_ends_.start_once(patience_time);
  return waiting_;
}

void Lane::start(Batch& batch) {
  const std::size_t taken = std::min(gathering_.size(), entries_max_);
  const auto end = gathering_.begin() + static_cast<std::ptrdiff_t>(taken);
  assert(batch.riders.empty());
  batch.riders.assign(gathering_.begin(), end);
  gathering_.erase(gathering_.begin(), end);
  batch.entries.clear();
  std::size_t requests = 0;
  for (const Done* done : batch.riders) {
    batch.entries.push_back(&done->entry_);
    requests += done->entry_.requests.size();
  }
  gathered_requests_ -= requests;
  if (gathering_.empty()) gathered_unbound_ = false;
  turn_.uncount_waiting(std::exchange(behind_sync_, 0));
  waiting_ = false;  // the next batch has all its time before it
  metrics_.batches.fetch_add(1, std::memory_order_relaxed);
  metrics_.batched_requests.fetch_add(requests, std::memory_order_relaxed);
  running_.store(true);
  batch.work.start();
}

void Lane::run(const Batch& batch) {
  run_batch(services_, batch.entries);
  const Position synced = services_.engine.synced();
  const auto waits = [&](const BatchEntry* entry) { return entry->position > synced; };
  if (!std::ranges::all_of(batch.entries, waits) || !turn_.take()) return running_.store(false);
  // Nobody in the batch can be answered before a sync: made here, it spares them the way to the
  // loop and back that parking would cost.
  let_next_go();
  turn_.count_waiting(batch.entries.size());
  turn_.sync();
  turn_.uncount_waiting(batch.entries.size());
  turn_.finished(nullptr);
}

void Lane::let_next_go() {
  running_.store(false);
  if (held_up_.exchange(false)) loop_.post([this] { launch(); });
}

void Lane::finished(Batch& batch) {
  // Resuming gathers new entries but touches neither of these two.
  for (Done* done : batch.riders) done->waiter_.resume();
  batch.riders.clear();
}

}  // namespace kvs::daemon
