// client.h - what the server remembers of one connection: the state that commands see and change.
//
// Owned by the connection's loop thread, or by the pool thread while a batch that holds one of its
// requests is in flight, never both. What CLIENT LIST and CLIENT KILL of other threads need is in
// `shared`, which has its own rules.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "daemon/durability_level.h"
#include "daemon/pubsub.h"
#include "daemon/tracking.h"
#include "protocol/resp/reply_writer.h"
#include "storage/engine.h"

namespace kvs::daemon {

struct Command;

namespace acl {
class Account;
struct User;
}  // namespace acl

// The part of a client that other threads read. Any thread.
struct ClientShared {
  const std::uint64_t id;
  const std::string address;        // "ip:port" of the peer; "path:0" of a unix socket
  const std::string local_address;  // the same of our end
  const int fd;
  const std::int64_t connected_at_ms;

  std::atomic<std::int64_t> last_active_ms{0};
  std::atomic<const Command*> last_command{nullptr};
  std::atomic<unsigned> database{0};
  std::atomic<int> queued{-1};  // commands queued by MULTI; -1 outside
  std::atomic<unsigned> watched{0};
  std::atomic<unsigned> subscriptions[subscription_kinds] = {};
  std::atomic<unsigned> protocol{2};
  std::atomic<std::uint64_t> input_bytes{0};
  std::atomic<std::uint64_t> output_bytes{0};
  std::atomic<std::uint64_t> commands{0};
  std::atomic<Durability> durability{Durability::unsaid};  // CLIENT DURABILITY
  std::atomic<bool> kill{false};  // set by CLIENT KILL; the connection closes itself
  std::atomic<std::int64_t> redirect{
      -1};  // of CLIENT TRACKING; 0: to itself, -1: it does not track

  // Bits of `flags`, for CLIENT LIST.
  static constexpr unsigned monitor_flag = 1u << 0;
  static constexpr unsigned tracking_flag = 1u << 1;
  static constexpr unsigned broadcast_flag = 1u << 2;
  static constexpr unsigned no_evict_flag = 1u << 3;
  static constexpr unsigned no_touch_flag = 1u << 4;
  static constexpr unsigned unix_socket_flag = 1u << 5;
  std::atomic<unsigned> flags{0};
  bool has(unsigned flag) const noexcept {
    return (flags.load(std::memory_order_relaxed) & flag) != 0;
  }
  void set(unsigned flag) noexcept { flags.fetch_or(flag, std::memory_order_relaxed); }
  void clear(unsigned flag) noexcept { flags.fetch_and(~flag, std::memory_order_relaxed); }

  // The connection's mailbox, for as long as it lives. Set before other threads see this.
  std::weak_ptr<Mailbox> mailbox;

  std::mutex mutex;  // guards:
  std::string name;
  std::string user = "default";  // who it has logged in as
  std::string library_name;
  std::string library_version;
};

// A request kept for later: its words in memory of its own.
struct StoredRequest {
  const Command* command = nullptr;
  std::vector<std::string> args;
};

struct Client {
  explicit Client(std::shared_ptr<ClientShared> client_shared) : shared(std::move(client_shared)) {}

  const std::shared_ptr<ClientShared> shared;

  resp::Version version = resp::Version::resp2;
  Database database = 0;
  bool authenticated = false;
  std::shared_ptr<acl::Account> account;  // never null once the connection is there
  // What was last seen of it (acl/gate.h).
  std::shared_ptr<const acl::User> user;
  std::uint64_t user_version = 0;
  std::uint32_t lane_window = 0;  // in which the lane has last met it (patience.h)
  unsigned auth_failures = 0;     // since the last success; the connection slows down on it
  bool close_after_reply = false;
  std::string output;              // replies not yet handed to the socket
  bool output_overflowed = false;  // a reply outgrew its limit: the connection closes unanswered

  // MULTI
  bool in_transaction = false;
  bool transaction_broken = false;  // a queued command was refused: EXEC answers EXECABORT
  std::vector<StoredRequest> transaction;
  std::size_t transaction_bytes = 0;

  // WATCH: set by writers of other connections through Watches; any thread.
  std::shared_ptr<std::atomic<bool>> watch_touched = std::make_shared<std::atomic<bool>>(false);
  struct Watched {
    Database database;
    std::string key;
    // What WATCH saw; nullopt when there was nothing to see. EXEC compares.
    std::optional<KeyInfo> seen = std::nullopt;
  };
  std::vector<Watched> watched;

  // What the connection has asked for; ClientShared has the same.
  Durability durability = Durability::unsaid;

  // WAITAOF: requests behind it wait until what is committed is synced. The connection answers.
  struct SyncWait {
    std::chrono::milliseconds timeout{0};  // 0: none
    bool answered = true;                  // false: CLIENT REPLY says no
  };
  std::optional<SyncWait> sync_wait;

  // CLIENT REPLY
  enum class Replies : std::uint8_t { on, off, skip_next, skip_this };
  Replies replies = Replies::on;

  TrackingOptions tracking;

  // Publish/subscribe. The mailbox is there from the connection's first moment to its last.
  Subscriptions subscriptions;
  std::shared_ptr<Mailbox> mailbox;
};

}  // namespace kvs::daemon
