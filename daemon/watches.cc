#include "daemon/watches.h"

#include <algorithm>

#include "daemon/client.h"

namespace kvs::daemon {

namespace {

std::string name_of(Key key) {
  std::string name;
  name.reserve(1 + key.name.size());
  name += static_cast<char>(key.database);
  name += key.name;
  return name;
}

}  // namespace

void Watches::watch(Key key, Touched touched) {
  std::scoped_lock lock(mutex_);
  watchers_[name_of(key)].push_back(std::move(touched));
  count_.fetch_add(1, std::memory_order_release);
}

void Watches::unwatch(Key key, const Touched& touched) {
  std::scoped_lock lock(mutex_);
  const auto entry = watchers_.find(name_of(key));
  if (entry == watchers_.end()) return;
  const auto watcher = std::find(entry->second.begin(), entry->second.end(), touched);
  if (watcher == entry->second.end()) return;
  entry->second.erase(watcher);
  if (entry->second.empty()) watchers_.erase(entry);
  count_.fetch_sub(1, std::memory_order_release);
}

void Watches::touch(Key key) {
  if (!anyone()) return;
  std::scoped_lock lock(mutex_);
  const auto entry = watchers_.find(name_of(key));
  if (entry == watchers_.end()) return;
  for (const Touched& touched : entry->second) touched->store(true, std::memory_order_release);
}

std::vector<std::string> Watches::watched_in(Database database) const {
  std::vector<std::string> names;
  if (!anyone()) return names;
  std::scoped_lock lock(mutex_);
  for (const auto& [name, watchers] : watchers_) {
    if (name.front() == static_cast<char>(database)) names.push_back(name.substr(1));
  }
  return names;
}

void drop_watches(Client& client, Watches& watches) {
  for (const Client::Watched& watched : client.watched) {
    watches.unwatch({watched.database, watched.key}, client.watch_touched);
  }
  client.watched.clear();
  client.watch_touched->store(false, std::memory_order_release);
  client.shared->watched.store(0, std::memory_order_relaxed);
}

}  // namespace kvs::daemon
