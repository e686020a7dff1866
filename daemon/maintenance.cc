#include "daemon/maintenance.h"

#include <chrono>
#include <utility>

#include "daemon/log.h"
#include "daemon/metrics.h"
#include "daemon/notify.h"
#include "daemon/operations.h"
#include "daemon/settings.h"

namespace kvs::daemon {

using namespace std::chrono_literals;

namespace {
// One slice's work, and how long to rest when there was nothing left to do: shortly while somebody
// writes, so that a segment is ready before it is needed and space comes back as fast as it goes.
constexpr auto slice_budget = 1ms;
constexpr auto busy_rest = 10ms;
constexpr auto idle_rest = 50ms;
}  // namespace

void tell_systemd(std::string_view state) {
  if (const auto told = notify(state); !told) {
    log_warning("cannot notify systemd: {}", told.error().message());
  }
}

Maintenance::Maintenance(uv::Loop& loop, Services& services, SyncTurn& turn)
    : services_(services),
      turn_(turn),
      sync_(
          loop, [this] { turn_.sync(); }, [this] { sync_done(); }),
      slice_(
          loop,
          [this] {
            LatencyScope scope(services_.operations.latency, "compaction");
            more_ = services_.engine.maintain(slice_budget);
          },
          [this] { slice_done(); }),
      each_second_(loop, [this] { each_second(); }),
      next_slice_(loop, [this] { slice_.start(); }),
      expiry_(loop, services.engine, services.operations.latency, [this] { tell_if_stopped(); }),
      watchdog_(loop, [] { tell_systemd("WATCHDOG=1"); }) {}

void Maintenance::start() {
  each_second_.start_every(1s);
  next_slice_.start_once(idle_rest);
  expiry_.start();
  if (const auto interval = watchdog_timeout()) {
    // Twice per interval, as sd_watchdog_enabled(3) advises.
    watchdog_.start_every(std::chrono::duration_cast<std::chrono::milliseconds>(*interval) / 2);
  }
}

void Maintenance::each_second() {
  services_.metrics.tick();
  const Engine& engine = services_.engine;
  if (services_.settings.sync.load() != SyncPolicy::everysec || turn_.failed()) return;
  if (engine.synced() >= engine.committed()) return;
  // A sync that takes longer than a second is simply followed by the next.
  if (!sync_.running() && turn_.take()) sync_.start();
}

void Maintenance::sync_done() {
  turn_.finished(nullptr);
  tell_if_stopped();
}

void Maintenance::slice_done() {
  if (stopping_) return tell_if_stopped();
  if (more_) {
    // Compaction says how urgent it is: ever more of the time as the disk fills up.
    if (const auto rest = services_.engine.maintenance_rest(); rest > 0ms) {
      next_slice_.start_once(rest);
    } else {
      slice_.start();
    }
  } else {
    const Position committed = services_.engine.committed();
    next_slice_.start_once(committed != seen_position_ ? busy_rest : idle_rest);
    seen_position_ = committed;
  }
}

void Maintenance::stop(std::function<void()> stopped) {
  stopping_ = true;
  stopped_ = std::move(stopped);
  each_second_.stop();
  next_slice_.stop();
  expiry_.stop();
  watchdog_.stop();
  tell_if_stopped();
}

void Maintenance::tell_if_stopped() {
  if (!stopping_ || sync_.running() || slice_.running() || expiry_.running() || !stopped_) {
    return;
  }
  std::exchange(stopped_, nullptr)();
}

}  // namespace kvs::daemon
