#include "daemon/context.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "daemon/context_keys.h"
#include "daemon/notifications.h"
#include "daemon/pending_view.h"
#include "daemon/settings.h"
#include "daemon/watches.h"

namespace kvs::daemon {

namespace {

// Keeps what a read learned: whether it must be repeated on the pool, and what it depends on. An
// absent key depends on everything committed, since its removal may be the newest of it.
void note(Context::Keys& keys, const Engine& engine, const Result<std::optional<KeyInfo>>& found) {
  if (!found) {
    if (found.error().code() == Code::would_block) keys.would_block = true;
    return;
  }
  if (*found) {
    ++keys.hits;
    keys.position = std::max(keys.position, (*found)->lsn);
  } else {
    ++keys.misses;
    keys.position = std::max(keys.position, engine.committed());
  }
}

}  // namespace

Result<std::optional<KeyInfo>> Context::find(std::string_view key) {
  return find(client.database, key);
}

Result<std::optional<KeyInfo>> Context::find(Database database, std::string_view key) {
  auto found = keys_.session != nullptr ? keys_.session->find({database, key}, keys_.access)
                                        : services.engine.find({database, key}, keys_.access);
  note(keys_, services.engine, found);
  notify_of_miss(found, {database, key});
  return found;
}

Result<std::optional<KeyInfo>> Context::get(std::string_view key, std::string& value) {
  return get(client.database, key, value);
}

Result<std::optional<KeyInfo>> Context::get(Database database, std::string_view name,
                                            std::string& value) {
  const Key key{database, name};
  if (reply_too_long()) return fail(Code::too_large, "the reply exceeds its limit");
  Reader& reader = keys_.session != nullptr ? static_cast<Reader&>(*keys_.session)
                                            : static_cast<Reader&>(services.engine);
  if (keys_.read_ahead != nullptr && !keys_.read_ahead->empty()) {
    auto found = reader.find(key, keys_.access);
    if (!found || !*found || keys_.read_ahead->lookup((*found)->lsn, value)) {
      note(keys_, services.engine, found);
      notify_of_miss(found, key);
      return found;
    }
  }
  auto found = reader.get(key, keys_.access, value);
  note(keys_, services.engine, found);
  notify_of_miss(found, key);
  return found;
}

// One command may ask for the same large value a million times: its reply is given up, and the
// connection with it, where the output limit would end the connection anyhow.
bool Context::reply_too_long() {
  const auto limit = services.settings.client_output_buffer_hard.load(std::memory_order_relaxed);
  if (limit != 0 && client.output.size() > limit) client.output_overflowed = true;
  return client.output_overflowed;
}

void Context::put(std::string_view key, std::string_view value, UnixMs expire_at) {
  put(client.database, key, value, expire_at);
}

void Context::put(Database database, std::string_view key, std::string_view value,
                  UnixMs expire_at) {
  assert(keys_.session != nullptr);
  notify_if_new({database, key});
  keys_.session->put({database, key}, value, expire_at);
  services.watches.touch({database, key});
}

void Context::remove(std::string_view key) {
  remove(client.database, key);
}

void Context::remove(Database database, std::string_view key) {
  assert(keys_.session != nullptr);
  keys_.session->remove({database, key});
  services.watches.touch({database, key});
}

void Context::clear(Database database) {
  assert(keys_.session != nullptr);
  keys_.session->clear(database);
  services.watches.touch_database(database);
}

bool Context::may_look_at_all_keys() {
  keys_.would_block = keys_.would_block || keys_.access == Access::resident_only;
  return keys_.access != Access::resident_only;
}

// What commands on all keys answer depends on everything that was committed when they had looked.
void Context::depends_on_everything() {
  keys_.position = std::max(keys_.position, services.engine.committed());
}

bool Context::has_pending_writes() const {
  return keys_.session != nullptr && keys_.session->pending_bytes() > 0;
}

Result<std::uint64_t> Context::scan(std::uint64_t cursor, std::size_t count,
                                    const ScanVisitor& visit) {
  if (!may_look_at_all_keys()) return fail(Code::would_block, "scan");
  auto next =
      has_pending_writes()
          ? PendingView(services.engine, *keys_.session).scan(client.database, cursor, count, visit)
          : services.engine.scan(client.database, cursor, count, visit);
  depends_on_everything();
  return next;
}

Result<std::optional<std::string>> Context::random_key() {
  if (!may_look_at_all_keys()) return fail(Code::would_block, "random key");
  auto key = has_pending_writes()
                 ? PendingView(services.engine, *keys_.session).random_key(client.database)
                 : services.engine.random_key(client.database);
  depends_on_everything();
  return key;
}

DatabaseStats Context::database_stats(Database database) {
  const DatabaseStats stats = figures_of(database);
  depends_on_everything();
  return stats;
}

DatabaseStats Context::figures_of(Database database) const {
  if (has_pending_writes()) return PendingView(services.engine, *keys_.session).stats(database);
  return services.engine.database_stats(database);
}

std::size_t Context::publish(Message message) {
  const std::size_t receivers = services.pubsub.receivers(message.kind, message.channel);
  keys_.outbox->push_back({std::move(message), keys_.in_transaction});
  return receivers;
}

void Context::notify(std::uint32_t event_class, std::string_view event, std::string_view key) {
  notify(event_class, event, client.database, key);
}

void Context::notify(std::uint32_t event_class, std::string_view event, Database database,
                     std::string_view key) {
  const std::uint32_t flags = services.settings.notify_flags.load(std::memory_order_relaxed);
  if ((flags & event_class) == 0) return;
  std::vector<Message> messages;
  append_notification(flags, event_class, event, {database, key}, messages);
  for (Message& message : messages) keys_.outbox->push_back({std::move(message), true});
}

// Events of looking and of putting, which no handler tells of.
void Context::notify_of_miss(const Result<std::optional<KeyInfo>>& found, Key key) {
  if (!found || *found || keys_.running == nullptr || keys_.running->has(writes)) return;
  notify(notify_key_miss, "keymiss", key.database, key.name);
}

void Context::notify_if_new(Key key) {
  if ((services.settings.notify_flags.load(std::memory_order_relaxed) & notify_new) == 0) return;
  const auto found = keys_.session->find(key, Access::resident_only);
  if (found && !*found) notify(notify_new, "new", key.database, key.name);
}

void Context::run_transaction(resp::ReplyWriter& reply) {
  assert(!client.in_transaction);
  keys_.in_transaction = true;
  const std::vector<StoredRequest> queued = std::exchange(client.transaction, {});
  client.transaction_bytes = 0;
  reply.array(queued.size());
  std::vector<std::string_view> words;
  for (const StoredRequest& request : queued) {
    words.assign(request.args.begin(), request.args.end());
    resp::ReplyWriter inner(client.output, client.version);
    keys_.running = request.command;
    request.command->handler(*this, words, inner);
  }
}

}  // namespace kvs::daemon
