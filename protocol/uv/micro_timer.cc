#include "protocol/uv/micro_timer.h"

#include <cassert>
#include <cstdint>
#include <sys/timerfd.h>
#include <unistd.h>
#include <utility>

namespace kvs::uv {

MicroTimer::MicroTimer(Loop& loop, std::function<void()> fired)
    : fired_(std::move(fired)),
      descriptor_(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)) {
  if (descriptor_ < 0) return;
  readable_ = make_handle<uv_poll_t>([&](uv_poll_t* poll) {
    const int failed = uv_poll_init(loop.raw(), poll, descriptor_);
    assert(failed == 0);
  });
  readable_->data = this;
  uv_poll_start(readable_.get(), UV_READABLE, [](uv_poll_t* poll, int /*status*/, int /*events*/) {
    auto* self = static_cast<MicroTimer*>(poll->data);
    std::uint64_t times = 0;
    // Nothing to read when it was started again meanwhile.
    if (::read(self->descriptor_, &times, sizeof times) == sizeof times) self->fired_();
  });
}

MicroTimer::~MicroTimer() {
  if (descriptor_ < 0) return;
  uv_poll_stop(readable_.get());
  ::close(descriptor_);
}

bool MicroTimer::start_once(std::chrono::nanoseconds delay) {
  assert(delay.count() > 0);
  if (descriptor_ < 0) return false;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(delay);
  itimerspec when{};
  when.it_value.tv_sec = seconds.count();
  when.it_value.tv_nsec = (delay - seconds).count();
  return timerfd_settime(descriptor_, 0, &when, nullptr) == 0;
}

}  // namespace kvs::uv
