#include "daemon/settings.h"

#include <algorithm>
#include <cassert>
#include <unistd.h>
#include <utility>

#include "daemon/notifications.h"

namespace kvs::daemon {

std::uint64_t physical_memory_bytes() {
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page_bytes = sysconf(_SC_PAGESIZE);
  if (pages <= 0 || page_bytes <= 0) return std::uint64_t{1} << 30;
  return static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_bytes);
}

Settings::Settings(const Config& config)
    : sync(config.sync),
      maxclients(config.maxclients),
      timeout_seconds(config.timeout.count()),
      request_timeout_seconds(config.request_timeout.count()),
      protected_mode(config.protected_mode),
      proto_max_bulk_len(config.proto_max_bulk_len),
      client_query_buffer_limit(config.client_query_buffer_limit),
      client_output_buffer_hard(config.client_output_buffer_hard),
      client_output_buffer_soft(config.client_output_buffer_soft),
      client_output_buffer_soft_seconds(config.client_output_buffer_soft_seconds.count()),
      maxmemory_clients(config.maxmemory_clients != 0 ? config.maxmemory_clients
                                                      : physical_memory_bytes() / 4),
      maxmemory(config.maxmemory),
      compact_rate_limit(config.compact_rate_limit),
      slowlog_log_slower_than_us(config.slowlog_log_slower_than),
      slowlog_max_len(config.slowlog_max_len),
      latency_monitor_threshold_ms(config.latency_monitor_threshold),
      latency_tracking(config.latency_tracking),
      tracking_table_max_keys(config.tracking_table_max_keys),
      tls(config) {
  set_password(config.requirepass);
  set_notify_letters(config.notify_keyspace_events);
  auto rules = PrefixRules::parse(config.durability_prefix);
  assert(rules);
  set_prefix_rules(std::move(*rules));
}

void Settings::set_prefix_rules(PrefixRules rules) {
  std::unique_lock lock(rules_mutex_);
  rules_ = std::move(rules);
  has_rules_.store(!rules_.empty(), std::memory_order_relaxed);
}

std::string Settings::prefix_rules_text() const {
  std::shared_lock lock(rules_mutex_);
  return rules_.text();
}

Durability Settings::durability_of_key(Durability asked, std::string_view name) const {
  if (!has_rules_.load(std::memory_order_relaxed)) return or_policy(asked);
  std::shared_lock lock(rules_mutex_);
  return or_policy(std::max(asked, rules_.of(name)));
}

Durability Settings::durability_of_all_keys(Durability asked) const {
  if (!has_rules_.load(std::memory_order_relaxed)) return or_policy(asked);
  std::shared_lock lock(rules_mutex_);
  return std::max(or_policy(asked), rules_.strongest());
}

void Settings::set_notify_letters(std::string_view letters) {
  const auto flags = parse_notify_flags(letters);
  assert(flags.has_value());
  std::scoped_lock lock(mutex_);
  notify_letters_ = canonical_notify_letters(letters);
  notify_flags.store(*flags, std::memory_order_relaxed);
}

std::string Settings::notify_letters() const {
  std::scoped_lock lock(mutex_);
  return notify_letters_;
}

std::string Settings::password() const {
  std::scoped_lock lock(mutex_);
  return password_;
}

void Settings::set_password(std::string password) {
  std::scoped_lock lock(mutex_);
  password_ = std::move(password);
}

}  // namespace kvs::daemon
