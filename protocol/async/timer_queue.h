// timer_queue.h - operations that complete when a time has come; the source of with_timeout.
//
// The queue knows the times, not how to wait: whoever owns a thread or a loop calls `fire_due` (see
// uv::Timers; tests call it by hand). The nodes are the operations themselves, in a list sorted by
// time: nothing is allocated. A new one is put in from the late end, which is one step when all
// delays are equal, as time-outs are.
#pragma once

#include <cassert>
#include <chrono>
#include <mutex>
#include <optional>
#include <utility>

#include "protocol/async/completion_slot.h"
#include "protocol/async/operation.h"

namespace kvs {

// Thread: any, for all members and for starting and dropping its operations. Outlives them.
class TimerQueue {
 public:
  using Clock = std::chrono::steady_clock;
  class Sleep;

  TimerQueue() = default;
  TimerQueue(const TimerQueue&) = delete;
  TimerQueue& operator=(const TimerQueue&) = delete;

  // An operation without a value that completes `delay` after its start, on the thread that calls
  // fire_due.
  Sleep after(std::chrono::milliseconds delay);

  // Completes what is due at `now`, the earliest first, and returns when the next is due. One
  // thread at a time.
  std::optional<Clock::time_point> fire_due(Clock::time_point now);

 protected:
  virtual ~TimerQueue() { assert(earliest_ == nullptr); }

 private:
  // The earliest time has become earlier: fire_due must be called sooner than it last said.
  virtual void earliest_changed() noexcept = 0;

  void insert(Sleep& sleep) noexcept;
  bool remove(Sleep& sleep) noexcept;
  void unlink(Sleep& sleep) noexcept;

  std::mutex mutex_;  // guards what follows and the nodes' links
  Sleep* earliest_ = nullptr;
  Sleep* latest_ = nullptr;
};

class [[nodiscard]] TimerQueue::Sleep {
 public:
  using value_type = void;

  Sleep(TimerQueue& queue, std::chrono::milliseconds delay) : queue_(&queue), delay_(delay) {}
  Sleep(Sleep&& other) noexcept : queue_(other.queue_), delay_(other.delay_) {
    assert(!other.started_);
  }
  Sleep& operator=(Sleep&&) = delete;
  ~Sleep() {
    if (started_ && !queue_->remove(*this)) slot_.drain();
  }

  bool start(Completion& done) noexcept {
    started_ = true;
    due_ = Clock::now() + delay_;
    slot_.arm(done);
    queue_->insert(*this);
    return false;
  }
  void take() const noexcept {}
  // After true the operation has never been started, as far as anybody can tell.
  bool cancel() noexcept {
    if (!queue_->remove(*this)) return false;
    started_ = false;
    return true;
  }
  auto operator co_await() noexcept { return OperationAwaiter<Sleep>(*this); }

 private:
  friend TimerQueue;

  TimerQueue* queue_;
  std::chrono::milliseconds delay_;
  Clock::time_point due_;
  CompletionSlot slot_;
  bool started_ = false;
  // Guarded by the queue's mutex.
  bool queued_ = false;
  Sleep* earlier_ = nullptr;
  Sleep* later_ = nullptr;
};

inline TimerQueue::Sleep TimerQueue::after(std::chrono::milliseconds delay) {
  return Sleep(*this, delay);
}

inline std::optional<TimerQueue::Clock::time_point> TimerQueue::fire_due(Clock::time_point now) {
  for (;;) {
    Sleep* due = nullptr;
    {
      const std::scoped_lock lock(mutex_);
      if (earliest_ == nullptr) return std::nullopt;
      if (earliest_->due_ > now) return earliest_->due_;
      due = earliest_;
      unlink(*due);
    }
    due->slot_.fire();  // its destructor waits for this
  }
}

inline void TimerQueue::insert(Sleep& sleep) noexcept {
  const std::scoped_lock lock(mutex_);
  Sleep* before = latest_;
  while (before != nullptr && before->due_ > sleep.due_) before = before->earlier_;
  sleep.earlier_ = before;
  sleep.later_ = before == nullptr ? earliest_ : before->later_;
  (before == nullptr ? earliest_ : before->later_) = &sleep;
  (sleep.later_ == nullptr ? latest_ : sleep.later_->earlier_) = &sleep;
  sleep.queued_ = true;
  // Under the lock, after which the sleep may be over and gone, and with it the last use of this.
  if (before == nullptr) earliest_changed();
}

inline bool TimerQueue::remove(Sleep& sleep) noexcept {
  const std::scoped_lock lock(mutex_);
  if (!sleep.queued_) return false;
  unlink(sleep);
  return true;
}

inline void TimerQueue::unlink(Sleep& sleep) noexcept {
  (sleep.earlier_ == nullptr ? earliest_ : sleep.earlier_->later_) = sleep.later_;
  (sleep.later_ == nullptr ? latest_ : sleep.later_->earlier_) = sleep.earlier_;
  sleep.queued_ = false;
}

}  // namespace kvs
