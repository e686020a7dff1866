#include "protocol/uv/timers.h"

#include <cassert>
#include <chrono>

namespace kvs::uv {

Timers::Timers(Loop& loop)
    : timer_(make_handle<uv_timer_t>(
          [&loop](uv_timer_t* timer) { uv_timer_init(loop.raw(), timer); })),
      wakeup_(make_handle<uv_async_t>([&loop](uv_async_t* async) {
        const int refused = uv_async_init(loop.raw(), async, [](uv_async_t* handle) {
          static_cast<Timers*>(handle->data)->fire();
        });
        assert(refused == 0);
      })) {
  assert(loop.on_this_thread());
  timer_->data = this;
  wakeup_->data = this;
}

void Timers::earliest_changed() noexcept {
  uv_async_send(wakeup_.get());
}

void Timers::fire() {
  const auto next = fire_due(Clock::now());
  if (!next) {
    uv_timer_stop(timer_.get());
    return;
  }
  // Rounded up: a timer that fires too early would fire again at once, and again.
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(*next - Clock::now()).count();
  uv_update_time(timer_->loop);
  uv_timer_start(
      timer_.get(), [](uv_timer_t* timer) { static_cast<Timers*>(timer->data)->fire(); },
      static_cast<std::uint64_t>(wait > 0 ? wait : 0), 0);
}

}  // namespace kvs::uv
