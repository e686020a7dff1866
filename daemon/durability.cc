#include "daemon/durability.h"

#include <cassert>
#include <utility>

#include "daemon/log.h"

namespace kvs::daemon {

void SyncTurn::finished(const Parking* own) {
  taken_.store(false);
  // A loop that parks after this line finds the turn free and takes it itself; one that parked
  // before is seen here. Both are sequentially consistent, so nobody is missed.
  for (Parking* parking : parkings_) {
    if (parking != own && parking->has_waiters()) parking->wake();
  }
}

Parking::Parking(uv::Loop& loop, SyncTurn& turn, const Settings& settings)
    : loop_(loop),
      turn_(turn),
      settings_(settings),
      sync_(
          loop,
          [this] {
            const auto synced = turn_.engine().sync();
            if (synced) return;
            log_error("cannot sync the log: {}", synced.error().message());
            turn_.set_failed();
          },
          [this] {
            turn_.finished(this);
            look();
          }) {}

void Parking::wake() {
  loop_.post([this] { look(); });
}

void Parking::park(Reached& reached) {
  assert(loop_.on_this_thread());
  parked_.push_back(&reached);
  waiting_.store(parked_.size());
  start_sync_if_free();
}

void Parking::look() {
  // Resuming may park again, at the end of the new vector.
  std::vector<Reached*> before = std::exchange(parked_, {});
  const bool hopeless = turn_.failed();
  std::vector<Reached*> released;
  for (Reached* reached : before) {
    const bool safe = may_leave(reached->position_);
    if (!safe && !hopeless) {
      parked_.push_back(reached);
      continue;
    }
    reached->failed_ = !safe;
    released.push_back(reached);
  }
  waiting_.store(parked_.size());
  for (Reached* reached : released) reached->waiter_.resume();
  if (!parked_.empty()) start_sync_if_free();
}

void Parking::start_sync_if_free() {
  if (!sync_.running() && turn_.take()) sync_.start();
}

}  // namespace kvs::daemon
