#include "daemon/client_registry.h"

#include <cassert>
#include <utility>

namespace kvs::daemon {

void ClientRegistry::add(std::shared_ptr<ClientShared> client, std::function<void()> wake) {
  const std::uint64_t id = client->id;
  std::scoped_lock lock(mutex_);
  const bool is_new = entries_.try_emplace(id, Entry{std::move(client), std::move(wake)}).second;
  assert(is_new);
  count_.store(entries_.size(), std::memory_order_relaxed);
}

void ClientRegistry::remove(std::uint64_t id) {
  std::scoped_lock lock(mutex_);
  entries_.erase(id);
  count_.store(entries_.size(), std::memory_order_relaxed);
}

std::shared_ptr<ClientShared> ClientRegistry::find(std::uint64_t id) const {
  std::scoped_lock lock(mutex_);
  const auto entry = entries_.find(id);
  return entry == entries_.end() ? nullptr : entry->second.client;
}

std::vector<std::shared_ptr<ClientShared>> ClientRegistry::list() const {
  std::vector<std::shared_ptr<ClientShared>> clients;
  std::scoped_lock lock(mutex_);
  clients.reserve(entries_.size());
  for (const auto& [id, entry] : entries_) clients.push_back(entry.client);
  return clients;
}

bool ClientRegistry::kill(std::uint64_t id) {
  std::function<void()> wake;
  {
    std::scoped_lock lock(mutex_);
    const auto entry = entries_.find(id);
    if (entry == entries_.end()) return false;
    entry->second.client->kill.store(true, std::memory_order_release);
    wake = entry->second.wake;
  }
  // Outside the lock: what it wakes may come here at once to remove the client.
  if (wake) wake();
  return true;
}

}  // namespace kvs::daemon
