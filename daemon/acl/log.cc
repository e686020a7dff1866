#include "daemon/acl/log.h"

#include <algorithm>

namespace kvs::daemon::acl {

namespace {

constexpr std::size_t entries_max = 128;
constexpr std::size_t looked_through = 10;  // for an equal one
constexpr UnixMs same_within_ms = 60'000;
// Keys may be as long as values; nobody reads that much of one here.
constexpr std::size_t object_bytes_max = 1024;

bool is_same(const LogEntry& a, const LogEntry& b) {
  return a.reason == b.reason && a.context == b.context && a.object == b.object &&
         a.username == b.username && b.at - a.at <= same_within_ms;
}

}  // namespace

void AccessLog::add(LogEntry entry) {
  if (entry.object.size() > object_bytes_max) entry.object.resize(object_bytes_max);
  if (entry.username.size() > object_bytes_max) entry.username.resize(object_bytes_max);
  std::scoped_lock lock(mutex_);
  const auto end =
      entries_.begin() + static_cast<std::ptrdiff_t>(std::min(entries_.size(), looked_through));
  const auto known =
      std::find_if(entries_.begin(), end, [&](const LogEntry& old) { return is_same(old, entry); });
  if (known != end) {
    entry.count += known->count;
    entries_.erase(known);
  }
  entries_.push_front(std::move(entry));
  if (entries_.size() > entries_max) entries_.pop_back();
}

std::vector<LogEntry> AccessLog::newest(std::size_t count) const {
  std::scoped_lock lock(mutex_);
  const auto end = entries_.begin() + static_cast<std::ptrdiff_t>(std::min(count, entries_.size()));
  return {entries_.begin(), end};
}

void AccessLog::clear() {
  std::scoped_lock lock(mutex_);
  entries_.clear();
}

}  // namespace kvs::daemon::acl
