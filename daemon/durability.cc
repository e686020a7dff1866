#include "daemon/durability.h"

#include <cassert>
#include <chrono>
#include <thread>
#include <utility>

#include "daemon/log.h"

namespace kvs::daemon {

namespace {
constexpr std::chrono::milliseconds full_disk_pause{100};
}

void SyncTurn::finished(const Parking* own) {
  taken_.store(false);
  // A loop that parks after this line finds the turn free and takes it itself; one that parked
  // before is seen here. Both are sequentially consistent, so nobody is missed.
  for (Parking* parking : parkings_) {
    if (parking != own && parking->has_waiters()) parking->wake();
  }
}

void SyncTurn::sync() {
  const auto began = std::chrono::steady_clock::now();
  const auto synced = engine_.sync();
  if (observe_) observe_(std::chrono::steady_clock::now() - began);
  if (synced) return;
  if (synced.error().code() == Code::no_space) {
    // Not yet: whoever waits asks again, and should not do so all the time.
    std::this_thread::sleep_for(full_disk_pause);
    return;
  }
  if (!set_failed()) return;
  log_error("cannot sync the log, writes are refused from now on: {}", synced.error().message());
}

std::size_t SyncTurn::waiting() const noexcept {
  std::size_t sum = unparked_.load();
  for (const Parking* parking : parkings_) sum += parking->waiting();
  return sum;
}

Parking::Parking(uv::Loop& loop, SyncTurn& turn, Gate& gate)
    : loop_(loop),
      turn_(turn),
      gate_(gate),
      sync_(
          loop, [this] { turn_.sync(); },
          [this] {
            turn_.finished(this);
            look();
            gate_.leave();
          }) {}

void Parking::wake() {
  loop_.post([this] { look(); });
}

void Parking::park(Reached& reached) {
  assert(loop_.on_this_thread());
  parked_.push_back(&reached);
  waiting_.store(parked_.size());
  if (reached.timeout_.count() > 0) {
    reached.timer_ = std::make_unique<uv::Timer>(loop_, [this, &reached] { give_up(reached); });
    reached.timer_->start_once(reached.timeout_);
  }
  start_sync_if_free();
}

void Parking::give_up(Reached& reached) {
  std::erase(parked_, &reached);
  waiting_.store(parked_.size());
  reached.outcome_ = Outcome::timed_out;
  reached.waiter_.resume();
}

void Parking::look() {
  // Resuming may park again, at the end of the new vector.
  std::vector<Reached*> before = std::exchange(parked_, {});
  const bool hopeless = turn_.failed();
  std::vector<Reached*> released;
  for (Reached* reached : before) {
    const bool safe = is_synced(reached->position_);
    if (!safe && !hopeless) {
      parked_.push_back(reached);
      continue;
    }
    if (!safe) reached->outcome_ = Outcome::failed;
    released.push_back(reached);
  }
  waiting_.store(parked_.size());
  for (Reached* reached : released) reached->waiter_.resume();
  // Those that wait for a sync that has failed meanwhile were released above.
  if (!parked_.empty()) start_sync_if_free();
}

void Parking::start_sync_if_free() {
  if (sync_.running() || !turn_.take()) return;
  gate_.enter();
  sync_.start();
}

}  // namespace kvs::daemon
