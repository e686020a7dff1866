// completion_slot.h - where the thread that completes an operation meets the one that drops it.
//
// An operation that other threads complete has one: start() arms it, whoever has the value fires
// it, the destructor disarms or drains it. After that no thread is inside complete() and none will
// be, which is what makes dropping safe at every moment. The price is that the dropping thread
// waits for a complete() that another thread is in the middle of; destroying the operation from
// inside complete() itself does not wait. Nothing is allocated.
//
// Not needed by operations that live on one thread.
#pragma once

#include <atomic>
#include <cassert>
#include <thread>

#include "protocol/async/operation.h"

namespace kvs {

class CompletionSlot {
 public:
  CompletionSlot() = default;
  // Operations are moved before they are started only.
  CompletionSlot(CompletionSlot&& other) noexcept { assert(other.state_ == idle); }
  CompletionSlot& operator=(CompletionSlot&&) = delete;

  // `done` will be told by fire(). False: fire() has been called already, nobody will be told.
  // Thread: the operation's owner, once.
  bool arm(Completion& done) noexcept {
    completion_ = &done;
    int expected = idle;
    return state_.compare_exchange_strong(expected, armed, std::memory_order_acq_rel);
  }

  // The value is there: tells the armed completion, if any. The object that holds this slot may be
  // gone afterwards, unless somebody else keeps it. Any thread, once.
  void fire() noexcept {
    bool gone = false;
    gone_ = &gone;
    caller_ = std::this_thread::get_id();
    int seen = state_.load(std::memory_order_acquire);
    for (;;) {
      const int next = seen == armed ? calling : fired;
      if (state_.compare_exchange_weak(seen, next, std::memory_order_acq_rel)) break;
    }
    if (seen == armed) {
      completion_->complete();
      if (gone) return;
      state_.store(fired, std::memory_order_release);
    }
    // Only the address is used: a thread that saw `fired` may have freed the slot.
    state_.notify_all();
  }

  // Nobody is told after this has returned.
  void disarm() noexcept {
    int seen = armed;
    if (state_.compare_exchange_strong(seen, disarmed, std::memory_order_acq_rel)) return;
    leave_call(seen);
  }

  // The same, and waits until fire() has been called: for owners whose memory is used by the thread
  // that will call it. Not when nobody will.
  void drain() noexcept {
    disarm();
    for (int seen = state_.load(std::memory_order_acquire); seen == disarmed;
         seen = state_.load(std::memory_order_acquire)) {
      state_.wait(seen, std::memory_order_acquire);
    }
  }

  bool was_fired() const noexcept { return state_.load(std::memory_order_acquire) == fired; }

 private:
  static constexpr int idle = 0;
  static constexpr int armed = 1;
  static constexpr int disarmed = 2;
  static constexpr int calling = 3;  // inside complete()
  static constexpr int fired = 4;

  void leave_call(int seen) noexcept {
    while (seen == calling) {
      if (caller_ == std::this_thread::get_id()) {
        *gone_ = true;
        return;
      }
      state_.wait(seen, std::memory_order_acquire);
      seen = state_.load(std::memory_order_acquire);
    }
  }

  std::atomic<int> state_{idle};
  Completion* completion_ = nullptr;
  // Written before `calling` is, read after it was seen.
  bool* gone_ = nullptr;
  std::thread::id caller_;
};

}  // namespace kvs
