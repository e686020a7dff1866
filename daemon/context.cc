#include "daemon/context.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <utility>

#include "daemon/acl/gate.h"
#include "daemon/context_keys.h"
#include "daemon/notifications.h"
#include "daemon/operations.h"
#include "daemon/pending_view.h"
#include "daemon/settings.h"
#include "daemon/wanted_values.h"
#include "daemon/watches.h"

namespace kvs::daemon {

namespace {

// Does `command` look at the keys several times, at each of which it should find them as at the
// others? Those that name one key look once.
bool looks_often(const Command& command) {
  return command.has(reads) && (command.keys.first == 0 || command.keys.first != command.keys.last);
}

}  // namespace

Result<std::optional<KeyInfo>> Context::find(std::string_view key, Lookup lookup) {
  return find(client.database, key, lookup);
}

Result<std::optional<KeyInfo>> Context::find(Database database, std::string_view key,
                                             Lookup lookup) {
  depends_on(key);
  auto found = keys_.session != nullptr ? keys_.session->find({database, key}, keys_.access)
                                        : services.engine.find({database, key}, keys_.access);
  note(found, {database, key}, lookup);
  return found;
}

Result<std::optional<KeyInfo>> Context::get(std::string_view key, std::string& value,
                                            Lookup lookup) {
  return get(client.database, key, value, lookup);
}

Result<std::optional<KeyInfo>> Context::get(Database database, std::string_view name,
                                            std::string& value, Lookup lookup) {
  const Key key{database, name};
  depends_on(name);
  if (reply_too_long()) return fail(Code::too_large, "the reply exceeds its limit");
  Reader& reader = keys_.session != nullptr ? static_cast<Reader&>(*keys_.session)
                                            : static_cast<Reader&>(services.engine);
  if (keys_.read_ahead != nullptr && !keys_.read_ahead->empty()) {
    auto found = reader.find(key, keys_.access);
    if (!found || !*found || keys_.read_ahead->lookup((*found)->lsn, value)) {
      note(found, key, lookup);
      return found;
    }
  }
  auto found = reader.get(key, keys_.access, value);
  note(found, key, lookup);
  return found;
}

// Keeps what a lookup learned: whether it must be repeated on the pool, and what it depends on. An
// absent key depends on everything committed, since its removal may be the newest of it.
void Context::note(const Result<std::optional<KeyInfo>>& found, Key key, Lookup lookup) {
  if (!found) {
    keys_.would_block = keys_.would_block || found.error().code() == Code::would_block;
    return;
  }
  keys_.position = std::max(keys_.position, *found ? (*found)->lsn : services.engine.committed());
  if (lookup == Lookup::unseen) return;
  const bool flagged = keys_.running != nullptr && !keys_.running->has(writes);
  if (lookup != Lookup::read && !flagged) return;
  if (*found) {
    ++keys_.hits;
  } else {
    ++keys_.misses;
    if (lookup != Lookup::untold) notify(notify_key_miss, "keymiss", key.database, key.name);
  }
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
  notify_if_new({database, key});
  note_put({database, key});
  keys_.session->put({database, key}, value, expire_at);
}

void Context::put_argument(std::string_view key, std::string_view value, UnixMs expire_at) {
  // What EXEC runs does not live until the commit.
  if (keys_.in_transaction) return put(key, value, expire_at);
  notify_if_new({client.database, key});
  note_put({client.database, key});
  keys_.session->put_lasting({client.database, key}, value, expire_at);
}

void Context::put_as_new(Database database, std::string_view key, std::string_view value,
                         UnixMs expire_at) {
  notify(notify_new, "new", database, key);
  note_put({database, key});
  keys_.session->put({database, key}, value, expire_at);
}

void Context::note_put(Key key) {
  assert(keys_.session != nullptr);
  depends_on(key.name);
  services.watches.touch(key);
  note_change(key.name);
}

void Context::remove(std::string_view key) {
  remove(client.database, key);
}

void Context::remove(Database database, std::string_view key) {
  assert(keys_.session != nullptr);
  depends_on(key);
  keys_.session->remove({database, key});
  services.watches.touch({database, key});
  note_change(key);
}

void Context::clear(Database database) {
  // What is absent stays as it was, for those who watch it.
  for (const std::string& name : services.watches.watched_in(database)) {
    const auto found = find(database, name);
    if (!found || *found) services.watches.touch({database, name});
  }
  assert(keys_.session != nullptr);
  depends_on_everything();
  keys_.session->clear(database);
  note_that_everything_changed();
}

void Context::swap(Database first, Database second) {
  // As Redis: a key that neither has stays as it was, and any other has changed.
  for (const Database database : {first, second}) {
    for (const std::string& name : services.watches.watched_in(database)) {
      const auto here = find(first, name);
      const auto there = find(second, name);
      if (!here || *here || !there || *there) services.watches.touch({database, name});
    }
  }
  assert(keys_.session != nullptr);
  depends_on_everything();
  keys_.session->swap(first, second);
  note_that_everything_changed();
}

void Context::note_that_everything_changed() {
  if (keys_.changed == nullptr || !services.operations.tracking.anyone()) return;
  keys_.changed->push_back({{}, client.shared->id, true});
}

bool Context::can_write() const {
  return keys_.session != nullptr && !services.engine.disk_full();
}

void Context::publish_together() {
  assert(keys_.session != nullptr);
  keys_.session->publish_together();
}

// What trackers are told of leaves after the commit.
void Context::note_change(std::string_view name) {
  if (keys_.changed == nullptr || !services.operations.tracking.anyone()) return;
  keys_.changed->push_back({std::string(name), client.shared->id, false});
}

// Before the read: a change that it does not see yet will find the key remembered.
void Context::remember_keys(const Command& command, Args args) {
  const TrackingOptions& options = client.tracking;
  if (options.broadcast || !command.has(reads) || command.has(writes)) return;
  using Caching = TrackingOptions::Caching;
  if (options.opt_in && options.caching != Caching::yes) return;
  if (options.opt_out && options.caching == Caching::no) return;
  visit_keys(command, args, [this](std::string_view key) {
    services.operations.tracking.remember(client.shared->id, key);
  });
}

void Context::run_handler(const Command& command, Args args, resp::ReplyWriter& reply) {
  if (client.tracking.on) remember_keys(command, args);
  keys_.asked = client.durability;
  const auto began = std::chrono::steady_clock::now();
  if (keys_.session == nullptr && looks_often(command)) {
    const Position swapped = services.engine.swapped();
    command.handler(*this, args, reply);
    if (services.engine.swapped() != swapped) keys_.would_block = true;
  } else {
    command.handler(*this, args, reply);
  }
  if (keys_.would_block) return;  // it will run again
  const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - began;
  keys_.ran = true;
  keys_.took = took;
  Operations& operations = services.operations;
  const Settings& settings = services.settings;
  const auto slow_us = settings.slowlog_log_slower_than_us.load(std::memory_order_relaxed);
  if (slow_us >= 0 && took.count() >= slow_us * 1000 && !command.has(skip_slowlog)) {
    operations.slow_log.add(command, args, took, *client.shared, settings.slowlog_max_len.load());
  }
  if (settings.latency_monitor_threshold_ms.load(std::memory_order_relaxed) != 0) {
    operations.latency.note(command.has(fast) ? "fast-command" : "command", took);
  }
  if (operations.monitors.anyone()) {
    operations.monitors.show(client, command, args, settings.client_output_buffer_hard.load());
  }
}

void Context::run_part(const Command& command, Args args, resp::ReplyWriter& reply) {
  if (client.tracking.on) remember_keys(command, args);
  const Command* const whole = std::exchange(keys_.running, &command);
  command.handler(*this, args, reply);
  keys_.running = whole;
}

bool Context::may_look_at_all_keys() {
  keys_.would_block = keys_.would_block || keys_.access == Access::resident_only;
  return keys_.access != Access::resident_only;
}

// What commands on all keys answer depends on everything that was committed when they had looked.
void Context::depends_on_everything() {
  keys_.position = std::max(keys_.position, services.engine.committed());
  keys_.durability =
      std::max(keys_.durability, services.settings.durability_of_all_keys(keys_.asked));
}

// The strongest of the keys decides for the whole reply.
void Context::depends_on(std::string_view name) {
  if (keys_.durability == Durability::sync) return;
  keys_.durability = services.settings.durability_of_key(keys_.asked, name);
}

void Context::ask_for(Durability durability) {
  keys_.asked = std::max(keys_.asked, durability);
}

bool Context::all_synced() const {
  return !has_pending_writes() && services.engine.synced() >= services.engine.committed();
}

bool Context::in_transaction() const {
  return keys_.in_transaction;
}

bool Context::has_pending_writes() const {
  return keys_.session != nullptr && keys_.session->pending_bytes() > 0;
}

Result<std::uint64_t> Context::scan(std::uint64_t cursor, std::size_t count,
                                    const ScanVisitor& visit) {
  return scan(client.database, cursor, count, visit);
}

Result<std::uint64_t> Context::scan(Database database, std::uint64_t cursor, std::size_t count,
                                    const ScanVisitor& visit) {
  if (!may_look_at_all_keys()) return fail(Code::would_block, "scan");
  auto next =
      has_pending_writes()
          ? PendingView(services.engine, *keys_.session).scan(database, cursor, count, visit)
          : services.engine.scan(database, cursor, count, visit);
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

// Of putting, which no handler tells of.
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
    const std::size_t before = client.output.size();
    const bool refused = acl::refuses_queued(services, client, *request.command, words);
    if (!refused) run_handler(*request.command, words, inner);
    if (keys_.metrics == nullptr || keys_.would_block) continue;
    const bool is_error = client.output.size() > before && client.output[before] == '-';
    keys_.metrics->by_command.note_call(
        *request.command, keys_.took,
        is_error ? CommandStats::End::failed : CommandStats::End::answered);
    if (!is_error) continue;
    keys_.metrics->error_replies.fetch_add(1, std::memory_order_relaxed);
    keys_.metrics->by_command.note_error(std::string_view(client.output).substr(before + 1));
  }
}

}  // namespace kvs::daemon
