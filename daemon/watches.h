// watches.h - which keys are watched by WATCH, and by whom. Thread: any.
//
// Writers call `touch` for every key they change, inside their write session, so that an EXEC,
// which runs in a session of its own, sees every change that came before it. Nobody watching costs
// one relaxed load per key.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "storage/engine.h"

namespace kvs::daemon {

struct Client;

class Watches {
 public:
  using Touched = std::shared_ptr<std::atomic<bool>>;

  void watch(Key key, Touched touched);
  void unwatch(Key key, const Touched& touched);
  void touch(Key key);
  // The names of the keys of `database` that somebody watches.
  std::vector<std::string> watched_in(Database database) const;
  bool anyone() const noexcept { return count_.load(std::memory_order_acquire) != 0; }
  std::size_t count() const noexcept { return count_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::size_t> count_{0};
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::vector<Touched>> watchers_;  // guarded; key: db byte + name
};

// Ends all watches of `client` (EXEC, DISCARD, UNWATCH, RESET, and when its connection closes).
void drop_watches(Client& client, Watches& watches);

}  // namespace kvs::daemon
