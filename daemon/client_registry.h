// client_registry.h - all connected clients, for CLIENT LIST and CLIENT KILL. Thread: any.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "daemon/client.h"

namespace kvs::daemon {

class ClientRegistry {
 public:
  std::uint64_t next_id() noexcept { return next_id_.fetch_add(1, std::memory_order_relaxed); }

  // `wake` makes the client's loop look at ClientShared::kill; called from any thread, once at most
  // after remove() has begun on another thread.
  void add(std::shared_ptr<ClientShared> client, std::function<void()> wake);
  void remove(std::uint64_t id);

  // The client of that id, or null.
  std::shared_ptr<ClientShared> find(std::uint64_t id) const;

  // In order of id.
  std::vector<std::shared_ptr<ClientShared>> list() const;
  std::size_t count() const noexcept { return count_.load(std::memory_order_relaxed); }

  // Marks the client and wakes its loop; false when there is none of that id.
  bool kill(std::uint64_t id);

 private:
  struct Entry {
    std::shared_ptr<ClientShared> client;
    std::function<void()> wake;
  };
  std::atomic<std::uint64_t> next_id_{1};
  std::atomic<std::size_t> count_{0};
  mutable std::mutex mutex_;
  std::map<std::uint64_t, Entry> entries_;  // guarded by mutex_
};

}  // namespace kvs::daemon
