// durability.h - parks connections until the log position their replies depend on is synced.
//
// Which replies must wait is the executor's to say (durability_level.h): all of them under
// `--sync always`, those of connections, commands and keys that asked for it otherwise. One sync is
// in flight for the whole server; it covers every frame written before it started, and while it
// runs the loops go on writing frames: the next sync covers all of those (group commit). A batch
// that nobody leaves without a sync makes it in its own job (lane.h), if none is in flight. Whoever
// parks starts a sync if none is in flight; whoever ends one wakes every loop that has somebody
// parked, and the first of them that still has waiters starts the next.
#pragma once

#include <atomic>
#include <chrono>
#include <coroutine>
#include <functional>
#include <memory>
#include <vector>

#include "protocol/async/gate.h"
#include "protocol/uv/loop.h"
#include "protocol/uv/pool_work.h"
#include "protocol/uv/timer.h"
#include "storage/engine.h"

namespace kvs::daemon {

class Parking;

// Shared by all loops. Knows every Parking, so that the end of a sync can wake them.
class SyncTurn {
 public:
  explicit SyncTurn(Engine& engine) : engine_(engine) {}

  Engine& engine() noexcept { return engine_; }
  void add(Parking& parking) { parkings_.push_back(&parking); }  // before the loops start

  // True when the caller now has the turn and must sync, then call finished().
  bool take() noexcept { return !taken_.exchange(true); }
  // `observe` is told how long each sync took, on the thread that made it. Before the first.
  void observe(std::function<void(std::chrono::nanoseconds)> observe) {
    observe_ = std::move(observe);
  }

  // Syncs the engine; logs the first failure. Blocks; pool thread; whoever has the turn.
  void sync();
  // Gives the turn back and wakes every loop that has waiters, but for the caller's own parking
  // (null: the caller has none), which looks for itself. A loop's thread, or the pool's while a
  // loop waits for it.
  void finished(const Parking* own);

  // How many connections wait for a sync: those parked, and those that lanes count. Any thread.
  std::size_t waiting() const noexcept;
  void count_waiting(std::size_t connections) noexcept { unparked_.fetch_add(connections); }
  void uncount_waiting(std::size_t connections) noexcept { unparked_.fetch_sub(connections); }

  // A failed sync is final: nobody who waits for one can be helped any more. Any thread.
  bool failed() const noexcept { return failed_.load(); }

 private:
  std::function<void(std::chrono::nanoseconds)> observe_;
  bool set_failed() noexcept { return !failed_.exchange(true); }  // true: the first time

  Engine& engine_;
  std::atomic<bool> taken_{false};
  std::atomic<bool> failed_{false};
  std::atomic<std::size_t> unparked_{0};
  std::vector<Parking*> parkings_;  // constant once the loops run
};

// One per loop. Thread: the loop's, but for has_waiters and wake.
class Parking {
 public:
  // `gate` is entered while this loop runs a sync: the loop must not end then.
  Parking(uv::Loop& loop, SyncTurn& turn, Gate& gate);

  enum class Outcome : std::uint8_t {
    synced,
    failed,     // it has become impossible
    timed_out,  // not yet
  };

  // Resumes on the loop's thread once `position` is synced, or it is certain that it never will be:
  // a reply that depends on it can then be given no more. Does not suspend when there is nothing to
  // wait for. With a `timeout` (0: none) it resumes after that time at the latest.
  class Reached {
   public:
    Reached(Parking& parking, Position position, std::chrono::milliseconds timeout = {})
        : parking_(parking), position_(position), timeout_(timeout) {}
    bool await_ready() noexcept {
      if (parking_.is_synced(position_)) return true;
      if (!parking_.turn_.failed()) return false;
      outcome_ = Outcome::failed;
      return true;
    }
    void await_suspend(std::coroutine_handle<> waiter) {
      waiter_ = waiter;
      parking_.park(*this);
    }
    Outcome await_resume() noexcept {
      timer_.reset();
      return outcome_;
    }

   private:
    friend class Parking;
    Parking& parking_;
    Position position_;
    std::chrono::milliseconds timeout_;
    std::unique_ptr<uv::Timer> timer_;
    std::coroutine_handle<> waiter_;
    Outcome outcome_ = Outcome::synced;
  };

  bool has_waiters() const noexcept { return waiting() != 0; }      // any thread
  std::size_t waiting() const noexcept { return waiting_.load(); }  // any thread
  void wake();                                                      // any thread

 private:
  bool is_synced(Position position) const noexcept {
    return position == 0 || turn_.engine().synced() >= position;
  }
  void park(Reached& reached);
  void give_up(Reached& reached);  // its time is over
  void look();                     // resumes who may go; starts a sync for the others
  void start_sync_if_free();

  uv::Loop& loop_;
  SyncTurn& turn_;
  Gate& gate_;
  uv::PoolWork sync_;
  std::vector<Reached*> parked_;
  std::atomic<std::size_t> waiting_{0};
};

}  // namespace kvs::daemon
