// client_pause.h - CLIENT PAUSE: until when which commands wait. Thread: any.
//
// Connections ask before each request, and wait on their own loops; end() and time wake them. What
// is being executed at the moment of the pause is still finished.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include "storage/engine.h"

namespace kvs::daemon {

class ClientPause {
 public:
  enum class Kind : std::uint8_t { none, writes, all };

  // A pause that is under way is never shortened nor weakened by another.
  void begin(Kind kind, UnixMs until, UnixMs now);
  void end();

  // What waits at `now`, and until when.
  Kind kind(UnixMs now) const noexcept {
    const Kind paused = kind_.load(std::memory_order_relaxed);
    return paused != Kind::none && now < until() ? paused : Kind::none;
  }
  bool any() const noexcept { return kind_.load(std::memory_order_relaxed) != Kind::none; }
  UnixMs until() const noexcept { return until_.load(std::memory_order_relaxed); }

  // `wake` is called by end(), from any thread, for as long as this lives. Before the workers
  // start.
  void tell(std::function<void()> wake) { wakes_.push_back(std::move(wake)); }

 private:
  std::atomic<Kind> kind_{Kind::none};
  std::atomic<UnixMs> until_{0};
  std::mutex mutex_;  // of begin() and end()
  std::vector<std::function<void()>> wakes_;
};

}  // namespace kvs::daemon
