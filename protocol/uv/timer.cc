#include "protocol/uv/timer.h"

#include <cassert>
#include <utility>

namespace kvs::uv {

Timer::Timer(Loop& loop, std::function<void()> fired)
    : fired_(std::move(fired)),
      timer_(
          make_handle<uv_timer_t>([&](uv_timer_t* timer) { uv_timer_init(loop.raw(), timer); })) {
  timer_->data = this;
}

void Timer::start_once(std::chrono::milliseconds delay) {
  start(delay, std::chrono::milliseconds(0));
}

void Timer::start_every(std::chrono::milliseconds period) {
  assert(period.count() > 0);
  start(period, period);
}

void Timer::start(std::chrono::milliseconds delay, std::chrono::milliseconds repeat) {
  // libuv counts from the start of the iteration; a long one would make the delay shorter.
  uv_update_time(timer_->loop);
  uv_timer_start(
      timer_.get(), [](uv_timer_t* timer) { static_cast<Timer*>(timer->data)->fired_(); },
      static_cast<std::uint64_t>(delay.count()), static_cast<std::uint64_t>(repeat.count()));
}

void Timer::stop() noexcept {
  uv_timer_stop(timer_.get());
}

}  // namespace kvs::uv
