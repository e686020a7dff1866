// maintenance.h - what happens by the clock: the everysec sync, slices of compaction, expiry, the
// watchdog.
//
// Runs on main's loop; the work itself goes to the pool, one slice of each kind at a time, so that
// neither a slow disk nor a long compaction keeps more than one pool thread busy.
#pragma once

#include <functional>
#include <string_view>

#include "daemon/context.h"
#include "daemon/durability.h"
#include "daemon/expiry.h"
#include "protocol/uv/loop.h"
#include "protocol/uv/pool_work.h"
#include "protocol/uv/timer.h"

namespace kvs::daemon {

// Sends `state` to systemd, if it runs us; a failure is logged and otherwise ignored, since nobody
// can act on it here. Any thread.
void tell_systemd(std::string_view state);

// Thread: main's loop.
class Maintenance {
 public:
  Maintenance(uv::Loop& loop, Services& services, SyncTurn& turn);

  void start();
  // Begins nothing more; calls `stopped` when nothing is in flight.
  void stop(std::function<void()> stopped);

 private:
  void each_second();
  void slice_done();
  void sync_done();
  void tell_if_stopped();

  Services& services_;
  SyncTurn& turn_;
  uv::PoolWork sync_;
  uv::PoolWork slice_;
  bool more_ = false;  // written by the slice, read after it
  Position seen_position_ = 0;
  uv::Timer each_second_;
  uv::Timer next_slice_;
  Expiry expiry_;
  uv::Timer watchdog_;
  bool stopping_ = false;
  std::function<void()> stopped_;
};

}  // namespace kvs::daemon
