// notify.h - tells systemd how the server is doing (sd_notify(3)).
//
// libsystemd is not used: for two functions it would load half a dozen libraries into the process,
// while the protocol is a documented and stable datagram ("Notification protocol", sd_notify(3)).
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include "protocol/async/result.h"

namespace kvs::daemon {

// Sends `state` ("READY=1\nSTATUS=...", "STOPPING=1", "WATCHDOG=1") to the socket that
// NOTIFY_SOCKET names. Returns whether anybody was told: false when the variable is not set.
// Errors: invalid (not a usable socket name), io.
// Thread: any; never blocks (a full queue is an io error).
Result<bool> notify(std::string_view state);

// After how long a silence systemd ends this process (WatchdogSec=), or nullopt when it watches
// nobody or somebody else. Send WATCHDOG=1 at about half of it.
std::optional<std::chrono::microseconds> watchdog_timeout();

}  // namespace kvs::daemon
