// micro_timer.h - a timer for less than the millisecond that libuv's timers count in.
//
// A timerfd that the loop watches: one system call to start it, none if it is started again before
// it has run out.
#pragma once

#include <chrono>
#include <functional>

#include <uv.h>

#include "protocol/uv/handle.h"
#include "protocol/uv/loop.h"

namespace kvs::uv {

// Thread: the loop's.
class MicroTimer {
 public:
  // Calls `fired` when it has run out. Lifetime: `loop` outlives this.
  MicroTimer(Loop& loop, std::function<void()> fired);
  ~MicroTimer();
  MicroTimer(const MicroTimer&) = delete;
  MicroTimer& operator=(const MicroTimer&) = delete;

  // Runs out once, after `delay` (above 0); an earlier start is forgotten. False: the system has no
  // timer for us (no descriptor), and nothing will be called.
  bool start_once(std::chrono::nanoseconds delay);

 private:
  std::function<void()> fired_;
  int descriptor_;  // -1: none
  HandlePtr<uv_poll_t> readable_;
};

}  // namespace kvs::uv
