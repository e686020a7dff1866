#include "daemon/pubsub.h"

#include <algorithm>
#include <array>
#include <cassert>

#include "daemon/client.h"
#include "daemon/glob.h"
#include "daemon/settings.h"
#include "protocol/resp/reply_writer.h"

namespace kvs::daemon {

namespace {

resp::Version version_of(const Mailbox& mailbox) {
  return mailbox.client().protocol.load(std::memory_order_relaxed) == 3 ? resp::Version::resp3
                                                                        : resp::Version::resp2;
}

std::string encode(const Message& message, const std::string* pattern, resp::Version version) {
  std::string bytes;
  resp::ReplyWriter writer(bytes, version);
  writer.push(pattern != nullptr ? 4 : 3);
  if (pattern != nullptr) {
    writer.bulk("pmessage");
    writer.bulk(*pattern);
  } else {
    writer.bulk(message.kind == Subscription::shard ? "smessage" : "message");
  }
  writer.bulk(message.channel);
  writer.bulk(message.text);
  return bytes;
}

// A message in the forms that its receivers speak, each encoded when first asked for.
class Encoded {
 public:
  explicit Encoded(const Message& message) : message_(message) {}
  std::string_view get(const std::string* pattern, resp::Version version) {
    std::string& bytes = forms_[version == resp::Version::resp3 ? 1 : 0];
    if (pattern != pattern_) {
      for (std::string& form : forms_) form.clear();
      pattern_ = pattern;
    }
    if (bytes.empty()) bytes = encode(message_, pattern, version);
    return bytes;
  }

 private:
  const Message& message_;
  const std::string* pattern_ = nullptr;
  std::array<std::string, 2> forms_;
};

}  // namespace

void PubSub::subscribe(Subscription kind, std::string_view name, std::shared_ptr<Mailbox> mailbox) {
  std::scoped_lock lock(mutex_);
  Table& names = tables_[static_cast<std::size_t>(kind)];
  auto at = names.find(name);
  if (at == names.end()) at = names.emplace(std::string(name), Boxes()).first;
  at->second.push_back(std::move(mailbox));
  entries_.fetch_add(1, std::memory_order_relaxed);
}

void PubSub::unsubscribe(Subscription kind, std::string_view name, const Mailbox& mailbox) {
  std::scoped_lock lock(mutex_);
  Table& names = tables_[static_cast<std::size_t>(kind)];
  const auto at = names.find(name);
  assert(at != names.end());
  const std::size_t removed =
      std::erase_if(at->second, [&](const auto& box) { return box.get() == &mailbox; });
  assert(removed == 1);
  entries_.fetch_sub(removed, std::memory_order_relaxed);
  if (at->second.empty()) names.erase(at);
}

template <class Use>
void PubSub::for_each_receiver(Subscription kind, std::string_view channel, Use&& use) const {
  assert(kind != Subscription::pattern);
  const Table& channels = table(kind);
  if (const auto at = channels.find(channel); at != channels.end()) {
    for (const auto& mailbox : at->second) use(nullptr, *mailbox);
  }
  if (kind == Subscription::shard) return;
  for (const auto& [pattern, boxes] : table(Subscription::pattern)) {
    if (!glob_matches(pattern, channel)) continue;
    for (const auto& mailbox : boxes) use(&pattern, *mailbox);
  }
}

std::size_t PubSub::publish(const Message& message) {
  if (!anyone()) return 0;
  const std::size_t bytes_max = settings_.client_output_buffer_hard.load(std::memory_order_relaxed);
  Encoded encoded(message);
  std::size_t delivered = 0;
  std::scoped_lock lock(mutex_);
  for_each_receiver(message.kind, message.channel, [&](const std::string* pattern, Mailbox& box) {
    box.put(encoded.get(pattern, version_of(box)), bytes_max);
    ++delivered;
  });
  return delivered;
}

std::size_t PubSub::receivers(Subscription kind, std::string_view channel) const {
  if (!anyone()) return 0;
  std::size_t count = 0;
  std::scoped_lock lock(mutex_);
  for_each_receiver(kind, channel, [&](const std::string*, Mailbox&) { ++count; });
  return count;
}

std::vector<std::string> PubSub::names(Subscription kind,
                                       std::optional<std::string_view> glob) const {
  std::vector<std::string> found;
  std::scoped_lock lock(mutex_);
  for (const auto& [name, boxes] : table(kind)) {
    if (!glob || glob_matches(*glob, name)) found.push_back(name);
  }
  return found;
}

std::size_t PubSub::subscribers(Subscription kind, std::string_view name) const {
  std::scoped_lock lock(mutex_);
  const Table& names = table(kind);
  const auto at = names.find(name);
  return at == names.end() ? 0 : at->second.size();
}

std::size_t PubSub::count(Subscription kind) const {
  std::scoped_lock lock(mutex_);
  return table(kind).size();
}

void drop_subscriptions(Client& client, PubSub& pubsub) {
  for (const Subscription kind :
       {Subscription::channel, Subscription::pattern, Subscription::shard}) {
    for (const std::string& name : client.subscriptions.of(kind)) {
      pubsub.unsubscribe(kind, name, *client.mailbox);
    }
    client.subscriptions.of(kind).clear();
    client.shared->subscriptions[static_cast<std::size_t>(kind)].store(0,
                                                                       std::memory_order_relaxed);
  }
  client.subscriptions.bytes = 0;
}

}  // namespace kvs::daemon
