// durability.h - parks connections until the log position their replies depend on is safe.
//
// Under `always` a reply leaves after fdatasync. One sync is in flight for the whole server; it
// covers every frame written before it started, and while it runs the loops go on writing frames:
// the next sync covers all of those (group commit). Whoever parks starts a sync if none is in
// flight; whoever ends one wakes every loop that has somebody parked, and the first of them that
// still has waiters starts the next.
#pragma once

#include <atomic>
#include <coroutine>
#include <functional>
#include <memory>
#include <vector>

#include "daemon/settings.h"
#include "protocol/async/gate.h"
#include "protocol/uv/loop.h"
#include "protocol/uv/pool_work.h"
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
  // Syncs the engine; logs the first failure. Blocks; pool thread; whoever has the turn.
  // `observe` is told how long each sync took, on the thread that made it. Before the first.
  void observe(std::function<void(std::chrono::nanoseconds)> observe) {
    observe_ = std::move(observe);
  }

  void sync();
  // Gives the turn back and wakes every loop that has waiters, but for the caller's own parking
  // (null: the caller has none), which looks for itself. Any loop's thread.
  void finished(const Parking* own);

  // A failed sync is final: nobody who waits for one can be helped any more. Any thread.
  bool failed() const noexcept { return failed_.load(); }

 private:
  std::function<void(std::chrono::nanoseconds)> observe_;
  bool set_failed() noexcept { return !failed_.exchange(true); }  // true: the first time

  Engine& engine_;
  std::atomic<bool> taken_{false};
  std::atomic<bool> failed_{false};
  std::vector<Parking*> parkings_;  // constant once the loops run
};

// One per loop. Thread: the loop's, but for has_waiters and wake.
class Parking {
 public:
  // `gate` is entered while this loop runs a sync: the loop must not end then.
  Parking(uv::Loop& loop, SyncTurn& turn, const Settings& settings, Gate& gate);

  // Resumes on the loop's thread once replies that depend on `position` may leave; the result is
  // false when that has become impossible (the sync failed): the connection must then be closed
  // without a reply. Does not suspend when the policy promises no more than has been done.
  class Reached {
   public:
    Reached(Parking& parking, Position position) : parking_(parking), position_(position) {}
    bool await_ready() noexcept {
      if (parking_.may_leave(position_)) return true;
      failed_ = parking_.turn_.failed();
      return failed_;
    }
    void await_suspend(std::coroutine_handle<> waiter) {
      waiter_ = waiter;
      parking_.park(*this);
    }
    bool await_resume() const noexcept { return !failed_; }

   private:
    friend class Parking;
    Parking& parking_;
    Position position_;
    std::coroutine_handle<> waiter_;
    bool failed_ = false;
  };

  // True when a reply that depends on `position` may leave now.
  bool may_leave(Position position) const noexcept {
    return settings_.sync.load(std::memory_order_relaxed) != SyncPolicy::always ||
           turn_.engine().synced() >= position;
  }

  bool has_waiters() const noexcept { return waiting_.load() != 0; }  // any thread
  void wake();                                                        // any thread

 private:
  void park(Reached& reached);
  void look();  // resumes who may go; starts a sync for the others
  void start_sync_if_free();

  uv::Loop& loop_;
  SyncTurn& turn_;
  const Settings& settings_;
  Gate& gate_;
  uv::PoolWork sync_;
  std::vector<Reached*> parked_;
  std::atomic<std::size_t> waiting_{0};
};

}  // namespace kvs::daemon
