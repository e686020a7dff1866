#include "daemon/client_pause.h"

#include <algorithm>

namespace kvs::daemon {

void ClientPause::begin(Kind wanted, UnixMs until, UnixMs now) {
  std::scoped_lock lock(mutex_);
  const Kind current = kind(now);
  if (current != Kind::none) until = std::max(until, until_.load(std::memory_order_relaxed));
  until_.store(until, std::memory_order_relaxed);
  kind_.store(std::max(current, wanted), std::memory_order_relaxed);
}

void ClientPause::end() {
  {
    std::scoped_lock lock(mutex_);
    kind_.store(Kind::none, std::memory_order_relaxed);
    until_.store(0, std::memory_order_relaxed);
  }
  for (const auto& wake : wakes_) wake();
}

}  // namespace kvs::daemon
