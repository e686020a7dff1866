// with_timeout.h - an operation that is given up when a time has passed, with Code::timeout.
//
// Where the time comes from is the caller's: anything with `after(duration)`, which returns an
// operation that completes then. uv::Timers (protocol/uv) is one on a loop. The outcome arrives on
// the operation's thread, or on the timer's. What giving up means is the operation's: see
// when_any.h for those whose work cannot be interrupted.
#pragma once

#include <cassert>
#include <chrono>
#include <string>
#include <utility>

#include "protocol/async/children.h"
#include "protocol/async/operation.h"
#include "protocol/async/race.h"

namespace kvs {

template <class S>
concept TimerSource = requires(S& source, std::chrono::milliseconds delay) {
  { source.after(delay) } -> Operation;
};

template <Operation O, Operation Timer>
class [[nodiscard]] WithTimeout {
  using Children = detail::TupleChildren<O, Timer>;

 public:
  using value_type = typename O::value_type;
  static_assert(is_result<value_type>, "a timeout is an error: the operation yields a Result");

  WithTimeout(O operation, Timer timer, std::chrono::milliseconds limit)
      : race_(Children(std::move(operation), std::move(timer))), limit_(limit) {}

  // The timer is not started for an operation that is complete at once.
  bool start(Completion& done) { return race_.start(done); }
  value_type take() {
    value_type value = race_.winner() == 0 ? race_.children().template get<0>().take() : expired();
    race_.children().drop();
    return value;
  }
  auto operator co_await() noexcept { return OperationAwaiter<WithTimeout>(*this); }

 private:
  value_type expired() const {
    return fail(Code::timeout, "not done within " + std::to_string(limit_.count()) + " ms");
  }

  detail::Race<Children> race_;
  std::chrono::milliseconds limit_;
};

template <Operation O, TimerSource S>
auto with_timeout(O operation, S& source, std::chrono::milliseconds limit) {
  using Timer = decltype(source.after(limit));
  return WithTimeout<O, Timer>(std::move(operation), source.after(limit), limit);
}

}  // namespace kvs
