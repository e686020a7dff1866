#include "daemon/expiry.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "daemon/latency_events.h"
#include "daemon/wall_clock.h"

namespace kvs::daemon {

using namespace std::chrono_literals;

namespace {
constexpr auto job_budget = 1ms;
// How late a deadline may be noticed that was set after the last look, when others are about and
// when none are.
constexpr std::chrono::milliseconds rest = 10ms;
constexpr std::chrono::milliseconds rest_without_deadlines = 25ms;
}  // namespace

Expiry::Expiry(uv::Loop& loop, Engine& engine, LatencyEvents& latency,
               std::function<void()> job_ended)
    : engine_(engine),
      job_ended_(std::move(job_ended)),
      job_(
          loop,
          [this, &latency] {
            LatencyScope scope(latency, "expire");
            more_ = engine_.expire(job_budget);
          },
          [this] { job_done(); }),
      next_look_(loop, [this] { look(); }) {}

void Expiry::start() {
  next_look_.start_once(rest_without_deadlines);
}

void Expiry::stop() {
  stopping_ = true;
  next_look_.stop();
}

void Expiry::look() {
  const UnixMs deadline = engine_.next_deadline();
  if (deadline == never) return next_look_.start_once(rest_without_deadlines);
  const UnixMs now = wall_clock_ms();
  if (deadline <= now) return job_.start();
  next_look_.start_once(std::chrono::milliseconds(std::min<UnixMs>(deadline - now, rest.count())));
}

void Expiry::job_done() {
  if (stopping_) return job_ended_();
  if (more_) return job_.start();
  // Not at once: the engine's clock may be behind ours, and then it has removed nothing.
  next_look_.start_once(1ms);
}

}  // namespace kvs::daemon
