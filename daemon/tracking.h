// tracking.h - who remembers which keys, so that clients' own caches can be kept true (CLIENT
// TRACKING). Thread: any.
//
// By default the server remembers which keys a tracking connection has read, and tells it once when
// one of them changes. A broadcasting connection is told of every change to keys with its prefixes.
// Two orders make that sound over several loops: a read is remembered before it looks, and a change
// is told after its commit. So whoever could have seen the old value is told. Keys are known by
// name alone, whatever their database, as in Redis.
//
// The table is bounded (tracking-table-max-keys): beyond that keys are invalidated to be forgotten.
// Nobody tracking costs one relaxed load per written key.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "daemon/mailbox.h"

namespace kvs::daemon {

class Settings;

// What one connection asked for. Its Client has a copy, and so has Tracking.
struct TrackingOptions {
  enum class Caching : std::uint8_t { unsaid, yes, no };

  bool on = false;
  bool broadcast = false;
  bool opt_in = false;
  bool opt_out = false;
  bool no_loop = false;
  std::uint64_t redirect = 0;         // the client that is told instead; 0: itself
  std::vector<std::string> prefixes;  // of broadcast

  // CLIENT CACHING, for the command that follows it (or the transaction).
  Caching caching = Caching::unsaid;
};

// A key that was changed by client `writer`, or, without a name, everything.
struct ChangedKey {
  std::string name;
  std::uint64_t writer = 0;
  bool everything = false;
};

class Tracking {
 public:
  explicit Tracking(const Settings& settings) : settings_(settings) {}

  bool anyone() const noexcept { return clients_count_.load(std::memory_order_relaxed) != 0; }

  // Begins, or goes on with other options. `own` is the client's mailbox, `target` that of
  // options.redirect (null without).
  void start(std::uint64_t client, const TrackingOptions& options, std::shared_ptr<Mailbox> own,
             std::weak_ptr<Mailbox> target);
  void stop(std::uint64_t client);

  // The client is about to read `key`.
  void remember(std::uint64_t client, std::string_view key);
  // These changes can be seen from now on.
  void tell(std::span<const ChangedKey> changes);

  struct Figures {
    std::size_t clients = 0;
    std::size_t keys = 0;      // remembered
    std::size_t items = 0;     // pairs of key and client
    std::size_t prefixes = 0;  // broadcast to somebody
  };
  Figures figures() const;
  // Can the client's redirection still be followed?
  bool broken(std::uint64_t client) const;

 private:
  struct Follower {
    TrackingOptions options;
    std::shared_ptr<Mailbox> own;
    std::weak_ptr<Mailbox> target;
    bool broken = false;
  };
  using Ids = std::vector<std::uint64_t>;

  void forget_client_keys(std::uint64_t client);
  void invalidate(const std::string& key, std::uint64_t writer);
  void broadcast(std::span<const ChangedKey> changes);
  void tell_everything();
  void send(Follower& follower, std::span<const std::string_view> keys);
  void keep_bounded();

  const Settings& settings_;
  std::atomic<std::size_t> clients_count_{0};
  mutable std::mutex mutex_;
  std::map<std::uint64_t, Follower> followers_;  // guarded by mutex_, as what follows
  std::unordered_map<std::string, Ids> table_;
  std::size_t items_ = 0;
};

struct Client;
// Ends the client's tracking (CLIENT TRACKING OFF, RESET, and when its connection closes).
void stop_tracking(Client& client, Tracking& tracking);

}  // namespace kvs::daemon
