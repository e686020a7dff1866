// timer.h - a timer that calls a function on its loop's thread.
#pragma once

#include <chrono>
#include <functional>

#include "protocol/uv/handle.h"
#include "protocol/uv/loop.h"

namespace kvs::uv {

// Thread: all members on the loop's.
class Timer {
 public:
  Timer(Loop& loop, std::function<void()> fired);
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Calls the function once after `delay`; an earlier start is forgotten.
  void start_once(std::chrono::milliseconds delay);
  // Calls the function every `period`, first after one period.
  void start_every(std::chrono::milliseconds period);
  void stop() noexcept;

 private:
  void start(std::chrono::milliseconds delay, std::chrono::milliseconds repeat);

  std::function<void()> fired_;
  HandlePtr<uv_timer_t> timer_;
};

}  // namespace kvs::uv
