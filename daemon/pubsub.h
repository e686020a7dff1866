// pubsub.h - who is subscribed to what, and the delivery of messages. Thread: any.
//
// One mutex holds a message's delivery together, so that all subscribers of a channel see its
// messages in one order. Delivery only copies into mailboxes (mailbox.h); nothing is kept for those
// who subscribe later, and nothing is written to the log.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "daemon/mailbox.h"

namespace kvs::daemon {

class Settings;
struct Client;

// The three name spaces of subscriptions. "Shard" channels are channels of a space of their own: a
// server that is not a cluster is one shard.
enum class Subscription : std::uint8_t { channel, pattern, shard };
inline constexpr std::size_t subscription_kinds = 3;

// What one connection is subscribed to. Owned by its Client.
struct Subscriptions {
  using Names = std::set<std::string, std::less<>>;
  Names names[subscription_kinds];
  std::size_t bytes = 0;  // of the names, for the client's share of memory

  Names& of(Subscription kind) { return names[static_cast<std::size_t>(kind)]; }
  const Names& of(Subscription kind) const { return names[static_cast<std::size_t>(kind)]; }
  bool any() const { return !names[0].empty() || !names[1].empty() || !names[2].empty(); }
};

// A message on its way.
struct Message {
  Subscription kind = Subscription::channel;  // channel or shard
  std::string channel;
  std::string text;
};

class PubSub {
 public:
  explicit PubSub(const Settings& settings) : settings_(settings) {}

  // Each (kind, name) at most once per mailbox: the caller keeps track (Subscriptions).
  void subscribe(Subscription kind, std::string_view name, std::shared_ptr<Mailbox> mailbox);
  void unsubscribe(Subscription kind, std::string_view name, const Mailbox& mailbox);

  // Delivers to everyone subscribed, to patterns too unless it is a shard channel's. Returns how
  // many copies were delivered.
  std::size_t publish(const Message& message);
  // How many copies publish() would deliver now.
  std::size_t receivers(Subscription kind, std::string_view channel) const;

  bool anyone() const noexcept { return entries_.load(std::memory_order_relaxed) != 0; }
  // Names that have subscribers and match `glob`, if there is one; sorted.
  std::vector<std::string> names(Subscription kind, std::optional<std::string_view> glob) const;
  std::size_t subscribers(Subscription kind, std::string_view name) const;
  // Calls `use(name, mailbox)` for every subscription of that kind, with the lock held.
  template <class Use>
  void visit(Subscription kind, Use&& use) const {
    std::scoped_lock lock(mutex_);
    for (const auto& [name, boxes] : table(kind)) {
      for (const auto& mailbox : boxes) use(std::string_view(name), *mailbox);
    }
  }
  std::size_t count(Subscription kind) const;  // names with subscribers

 private:
  using Boxes = std::vector<std::shared_ptr<Mailbox>>;
  using Table = std::map<std::string, Boxes, std::less<>>;

  const Table& table(Subscription kind) const { return tables_[static_cast<std::size_t>(kind)]; }
  // Calls `use(pattern or nullptr, mailbox)` for every delivery of a message.
  template <class Use>
  void for_each_receiver(Subscription kind, std::string_view channel, Use&& use) const;

  const Settings& settings_;
  std::atomic<std::size_t> entries_{0};
  mutable std::mutex mutex_;
  Table tables_[subscription_kinds];  // guarded by mutex_
};

// Ends all subscriptions of `client` (RESET, and when its connection closes).
void drop_subscriptions(Client& client, PubSub& pubsub);

}  // namespace kvs::daemon
