// settings.h - what CONFIG SET may change while the server runs. Thread: any.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>

#include "daemon/config.h"
#include "daemon/durability_level.h"
#include "daemon/tls_settings.h"

namespace kvs::daemon {

// Memory of this machine in bytes; what percentages and automatic sizes are taken of.
std::uint64_t physical_memory_bytes();

class Settings {
 public:
  explicit Settings(const Config& config);

  std::atomic<SyncPolicy> sync;
  std::atomic<unsigned> maxclients;
  std::atomic<std::int64_t> timeout_seconds;
  std::atomic<std::int64_t> request_timeout_seconds;
  std::atomic<bool> protected_mode;
  std::atomic<std::uint64_t> proto_max_bulk_len;
  std::atomic<std::uint64_t> client_query_buffer_limit;
  std::atomic<std::uint64_t> client_output_buffer_hard;
  std::atomic<std::uint64_t> client_output_buffer_soft;
  std::atomic<std::int64_t> client_output_buffer_soft_seconds;
  std::atomic<std::uint64_t> maxmemory_clients;  // resolved: never 0
  std::atomic<std::uint64_t> maxmemory;          // 0: no limit
  // Bytes per second; 0: none. Whoever changes it tells the engine.
  std::atomic<std::uint64_t> compact_rate_limit;
  std::atomic<std::int64_t> slowlog_log_slower_than_us;  // negative: nothing
  std::atomic<std::uint64_t> slowlog_max_len;
  std::atomic<std::uint64_t> latency_monitor_threshold_ms;
  std::atomic<bool> latency_tracking;                  // INFO's latencystats
  std::atomic<std::uint64_t> tracking_table_max_keys;  // 0: no limit
  std::atomic<std::uint32_t> notify_flags{0};          // NotifyFlags
  TlsSettings tls;

  // The letters of notify-keyspace-events, in Redis' order; they must be known ones.
  void set_notify_letters(std::string_view letters);
  std::string notify_letters() const;

  // What durability-prefix says; replaces all rules.
  void set_prefix_rules(PrefixRules rules);
  std::string prefix_rules_text() const;
  // `asked`, or what the policy promises where nobody has asked.
  Durability or_policy(Durability asked) const noexcept {
    if (asked != Durability::unsaid) return asked;
    return sync.load(std::memory_order_relaxed) == SyncPolicy::always ? Durability::sync
                                                                      : Durability::kernel;
  }
  // How safe what a command shows or changes of key `name`, or of any key, must be before its reply
  // leaves, when its connection or itself has asked for `asked`. Never unsaid.
  Durability durability_of_key(Durability asked, std::string_view name) const;
  Durability durability_of_all_keys(Durability asked) const;
  // The least that this can be, for whatever key.
  Durability durability_at_least(Durability asked) const noexcept {
    const bool rules_decide = asked == Durability::unsaid && has_rules_.load();
    return rules_decide ? Durability::kernel : or_policy(asked);
  }

  // What requirepass says. Who may log in is decided by acl::Accounts.
  std::string password() const;
  void set_password(std::string password);

 private:
  mutable std::shared_mutex rules_mutex_;
  PrefixRules rules_;                   // guarded by rules_mutex_
  std::atomic<bool> has_rules_{false};  // so that without rules no lock is taken
  mutable std::mutex mutex_;
  std::string password_;        // guarded by mutex_
  std::string notify_letters_;  // guarded by mutex_
};

}  // namespace kvs::daemon
