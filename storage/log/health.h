// health.h - how far the log has come, and whether it may still be written.
#pragma once

#include <atomic>
#include <mutex>
#include <string>

#include "storage/engine.h"

namespace kvs::log {

// Read by any thread; who writes is written at the member. They only grow.
struct Progress {
  std::atomic<Lsn> committed = 0;        // by the holder of the writer's place
  std::atomic<Lsn> synced = 0;           // under the writer's sync lock
  std::atomic<UnixMs> newest_clock = 0;  // of the frames written; by the holder of the place
};

// The latch that a failed sync (or a failure that leaves the log in an unknown state) closes for
// good: writes are refused from then on, reads go on. Only opening the directory again, which
// decides from checksums what is there, gives a writable engine. Thread: any.
class Health {
 public:
  // Closes the latch; the first reason stays.
  void fail(std::string reason) {
    std::scoped_lock lock(mutex_);
    if (failed_) return;
    reason_ = std::move(reason);
    failed_.store(true, std::memory_order_release);
  }

  bool failed() const { return failed_.load(std::memory_order_acquire); }

  std::string reason() const {
    std::scoped_lock lock(mutex_);
    return reason_;
  }

  // Ok, or Code::read_only with the reason.
  Result<void> check() const {
    if (!failed()) return {};
    return kvs::fail(Code::read_only, "the engine is read-only until it is reopened: " + reason());
  }

 private:
  mutable std::mutex mutex_;
  std::string reason_;
  std::atomic<bool> failed_ = false;
};

}  // namespace kvs::log
