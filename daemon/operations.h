// operations.h - what operating and observing a running server needs, beside its counters
// (Metrics): the slow log, events of latency, monitors, tracked keys, and the pause of clients.
//
// One object that main makes and all connections share; each part has its own lock. Thread: any.
#pragma once

#include <functional>

#include "daemon/client_pause.h"
#include "daemon/latency_events.h"
#include "daemon/monitors.h"
#include "daemon/slow_log.h"
#include "daemon/tracking.h"

namespace kvs::daemon {

struct Operations {
  explicit Operations(const Settings& settings) : latency(settings), tracking(settings) {}

  SlowLog slow_log;
  LatencyEvents latency;
  Monitors monitors;
  Tracking tracking;
  ClientPause pause;
  // Begins the orderly end of the server, as SIGTERM does. Empty: it cannot be ended from here.
  std::function<void()> shut_down;
};

}  // namespace kvs::daemon
