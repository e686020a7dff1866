#include "daemon/tracking.h"

#include <algorithm>
#include <set>
#include <utility>

#include "daemon/client.h"
#include "daemon/settings.h"
#include "protocol/resp/reply_writer.h"

namespace kvs::daemon {

namespace {

constexpr std::string_view channel = "__redis__:invalidate";

bool speaks_resp3(const ClientShared& client) {
  return client.protocol.load(std::memory_order_relaxed) == 3;
}

void write_keys(resp::ReplyWriter& writer, std::span<const std::string_view> keys) {
  if (keys.empty()) return writer.null();  // everything
  writer.array(keys.size());
  for (const std::string_view key : keys) writer.bulk(key);
}

// In the form that its receiver understands; empty when it understands none: a RESP2 connection
// reads nothing that it has not asked for, but for messages.
std::string encoded(const ClientShared& receiver, std::span<const std::string_view> keys,
                    bool redirected) {
  std::string bytes;
  if (speaks_resp3(receiver)) {
    resp::ReplyWriter writer(bytes, resp::Version::resp3);
    writer.push(2);
    writer.bulk("invalidate");
    write_keys(writer, keys);
  } else if (redirected &&
             std::any_of(std::begin(receiver.subscriptions), std::end(receiver.subscriptions),
                         [](const auto& count) { return count.load() != 0; })) {
    resp::ReplyWriter writer(bytes, resp::Version::resp2);
    writer.array(3);
    writer.bulk("message");
    writer.bulk(channel);
    write_keys(writer, keys);
  }
  return bytes;
}

}  // namespace

void Tracking::start(std::uint64_t client, const TrackingOptions& options,
                     std::shared_ptr<Mailbox> own, std::weak_ptr<Mailbox> target) {
  std::scoped_lock lock(mutex_);
  Follower& follower = followers_[client];
  follower.options = options;
  follower.own = std::move(own);
  follower.target = std::move(target);
  follower.broken = false;
  clients_count_.store(followers_.size(), std::memory_order_release);
}

void Tracking::stop(std::uint64_t client) {
  std::scoped_lock lock(mutex_);
  const auto found = followers_.find(client);
  if (found == followers_.end()) return;
  const bool remembered = !found->second.options.broadcast;
  followers_.erase(found);
  clients_count_.store(followers_.size(), std::memory_order_release);
  if (followers_.empty()) {
    table_.clear();
    items_ = 0;
  } else if (remembered) {
    forget_client_keys(client);
  }
}

void Tracking::forget_client_keys(std::uint64_t client) {
  for (auto entry = table_.begin(); entry != table_.end();) {
    items_ -= std::erase(entry->second, client);
    entry = entry->second.empty() ? table_.erase(entry) : std::next(entry);
  }
}

void Tracking::remember(std::uint64_t client, std::string_view key) {
  std::scoped_lock lock(mutex_);
  Ids& ids = table_[std::string(key)];
  if (std::find(ids.begin(), ids.end(), client) != ids.end()) return;
  ids.push_back(client);
  ++items_;
  keep_bounded();
}

// Any key will do: which ones clients will read again is not known.
void Tracking::keep_bounded() {
  const std::size_t keys_max = settings_.tracking_table_max_keys.load(std::memory_order_relaxed);
  while (keys_max != 0 && table_.size() > keys_max) {
    const std::string key = table_.begin()->first;
    invalidate(key, 0);
  }
}

void Tracking::tell(std::span<const ChangedKey> changes) {
  if (!anyone() || changes.empty()) return;
  std::scoped_lock lock(mutex_);
  if (std::any_of(changes.begin(), changes.end(),
                  [](const ChangedKey& change) { return change.everything; })) {
    return tell_everything();
  }
  for (const ChangedKey& change : changes) invalidate(change.name, change.writer);
  broadcast(changes);
}

void Tracking::invalidate(const std::string& key, std::uint64_t writer) {
  const auto entry = table_.find(key);
  if (entry == table_.end()) return;
  const Ids ids = std::exchange(entry->second, {});
  const std::string_view keys[] = {key};
  items_ -= ids.size();
  for (const std::uint64_t id : ids) {
    const auto follower = followers_.find(id);
    if (follower == followers_.end()) continue;
    if (!follower->second.options.no_loop || id != writer) {
      send(follower->second, keys);
      continue;
    }
    // It may have read the key again behind its own change, before this was told.
    entry->second.push_back(id);
    ++items_;
  }
  if (entry->second.empty()) table_.erase(entry);
}

// What one commit has changed is told in one message to each follower and prefix.
void Tracking::broadcast(std::span<const ChangedKey> changes) {
  for (auto& [id, follower] : followers_) {
    if (!follower.options.broadcast) continue;
    for (const std::string& prefix : follower.options.prefixes) {
      std::set<std::string_view> keys;
      for (const ChangedKey& change : changes) {
        if (follower.options.no_loop && change.writer == id) continue;
        if (std::string_view(change.name).starts_with(prefix)) keys.insert(change.name);
      }
      if (keys.empty()) continue;
      const std::vector<std::string_view> sorted(keys.begin(), keys.end());
      send(follower, sorted);
    }
  }
}

void Tracking::tell_everything() {
  table_.clear();
  items_ = 0;
  for (auto& [id, follower] : followers_) send(follower, {});
}

void Tracking::send(Follower& follower, std::span<const std::string_view> keys) {
  const std::size_t bytes_max = settings_.client_output_buffer_hard.load(std::memory_order_relaxed);
  const std::uint64_t redirect = follower.options.redirect;
  if (redirect == 0) {
    const std::string message = encoded(follower.own->client(), keys, false);
    if (!message.empty()) follower.own->put(message, bytes_max);
    return;
  }
  if (const auto target = follower.target.lock()) {
    const std::string message = encoded(target->client(), keys, true);
    if (!message.empty()) target->put(message, bytes_max);
    return;
  }
  follower.broken = true;
  if (!speaks_resp3(follower.own->client())) return;
  std::string message;
  resp::ReplyWriter writer(message, resp::Version::resp3);
  writer.push(2);
  writer.bulk("tracking-redir-broken");
  writer.integer(static_cast<std::int64_t>(redirect));
  follower.own->put(message, bytes_max);
}

Tracking::Figures Tracking::figures() const {
  std::scoped_lock lock(mutex_);
  std::set<std::string_view> prefixes;
  for (const auto& [id, follower] : followers_) {
    prefixes.insert(follower.options.prefixes.begin(), follower.options.prefixes.end());
  }
  return {followers_.size(), table_.size(), items_, prefixes.size()};
}

bool Tracking::broken(std::uint64_t client) const {
  std::scoped_lock lock(mutex_);
  const auto found = followers_.find(client);
  return found != followers_.end() && found->second.broken;
}

void stop_tracking(Client& client, Tracking& tracking) {
  if (!client.tracking.on) return;
  tracking.stop(client.shared->id);
  client.tracking = {};
  client.shared->redirect.store(-1, std::memory_order_relaxed);
  client.shared->clear(ClientShared::tracking_flag | ClientShared::broadcast_flag);
}

}  // namespace kvs::daemon
