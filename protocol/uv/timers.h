// timers.h - times on a loop, for `with_timeout` and co_await: the TimerQueue of protocol/async,
// driven by one libuv timer however many are waiting.
//
//   uv::Timers timers(loop);
//   auto answer = with_timeout(client.get_op("key"), timers, 50ms);
#pragma once

#include <uv.h>

#include "protocol/async/timer_queue.h"
#include "protocol/uv/handle.h"
#include "protocol/uv/loop.h"

namespace kvs::uv {

// Made and destroyed on the loop's thread, after all its sleeps. They may be started and dropped on
// any thread, and complete on the loop's.
class Timers final : public TimerQueue {
 public:
  // Lifetime: `loop` outlives this.
  explicit Timers(Loop& loop);
  ~Timers() override = default;

 private:
  void earliest_changed() noexcept override;
  void fire();

  HandlePtr<uv_timer_t> timer_;   // loop thread
  HandlePtr<uv_async_t> wakeup_;  // thread-safe by libuv
};

}  // namespace kvs::uv
