// loading.h - reads the engine's data on a thread of its own while the loops already answer.
//
// Once a second, if it takes that long, the log and systemd are told how far it is and how long it
// will still take; systemd's start timeout is extended each time, so that no data set is too large
// to start with.
#pragma once

#include <chrono>
#include <functional>
#include <future>
#include <thread>

#include "daemon/load_status.h"
#include "protocol/async/result.h"
#include "protocol/uv/loop.h"
#include "protocol/uv/timer.h"
#include "storage/engine.h"

namespace kvs::daemon {

// Thread: main's loop.
class Loading {
 public:
  // All outlive this.
  Loading(uv::Loop& loop, Engine& engine, LoadStatus& status);

  // Begins to read, and waits for the end of it, but not longer than `patience`. What takes no
  // longer nobody needs to see. Calls `ended` on the loop, once, with what Engine::load returned.
  void start(std::chrono::milliseconds patience, std::function<void(Result<void>)> ended);

  // Still reading, or `ended` has not been called yet.
  bool running() const { return running_; }

 private:
  void each_second();
  void finished();

  uv::Loop& loop_;
  Engine& engine_;
  LoadStatus& status_;
  std::function<void(Result<void>)> ended_;
  bool running_ = false;
  bool seen_ = false;  // something was logged: so is the end of it
  uv::Timer each_second_;
  std::future<Result<void>> result_;
  std::jthread thread_;
};

}  // namespace kvs::daemon
