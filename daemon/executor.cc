#include "daemon/executor.h"

#include <algorithm>
#include <cassert>
#include <memory>
#include <utility>
#include <vector>

#include "daemon/acl/gate.h"
#include "daemon/commands/arguments.h"
#include "daemon/commands/session_state.h"
#include "daemon/config.h"
#include "daemon/context_keys.h"
#include "daemon/durability.h"
#include "daemon/limits.h"
#include "daemon/memory_limit.h"
#include "daemon/operations.h"
#include "daemon/read_ahead.h"
#include "daemon/settings.h"
#include "daemon/wall_clock.h"
#include "daemon/wanted_values.h"

namespace kvs::daemon {

namespace {

bool is_local(const ClientShared& client) {
  return client.has(ClientShared::unix_socket_flag) || client.address.starts_with("127.") ||
         client.address.starts_with("[::1]") || client.address.starts_with("::1");
}

bool may_run(const Client& client, const Command& command) {
  return client.authenticated || command.has(no_auth);
}

bool is_queued(const Client& client, const Command& command) {
  return client.in_transaction && !command.has(not_queued);
}

// While the data is being read, answers what cannot wait for it to be there, and returns true.
// Asked once per request, before anything else about it is decided: the reading may end meanwhile.
bool refused_while_loading(const Services& services, Client& client, const Request& request) {
  if (!services.load_status.loading() || request.command == nullptr) return false;
  if (request.command->has(loading) || !may_run(client, *request.command)) return false;
  refuse_request(client, services.watches, request.args[0],
                 "LOADING Redis is loading the dataset in memory");
  return true;
}

// True when running `request` now needs a write session (rather than being refused or queued).
bool needs_session(const Client& client, const Request& request) {
  return request.command != nullptr &&
         (request.command->has(writes) || request.command->has(in_session)) &&
         may_run(client, *request.command) && !is_queued(client, *request.command);
}

bool changes_subscriptions(const Request& request) {
  return request.command != nullptr && request.command->has(while_subscribed) &&
         request.command->name != "ping";
}

bool touches_keys(const Client& client, const Request& request) {
  return request.command != nullptr &&
         (request.command->flags & (reads | writes | in_session)) != 0 &&
         may_run(client, *request.command) && !is_queued(client, *request.command);
}

void queue(Client& client, const Request& request, resp::ReplyWriter& reply) {
  // EXEC will run nothing of it.
  if (client.transaction_broken) return reply.simple("QUEUED");
  std::size_t bytes = 0;
  for (const std::string_view word : request.args) bytes += word.size() + sizeof(std::string);
  if (client.transaction_bytes + bytes > limits::transaction_bytes_max) {
    client.transaction_broken = true;
    return reply.error("ERR transaction exceeds the limit on queued commands");
  }
  client.transaction_bytes += bytes;
  client.transaction.push_back(
      {request.command, std::vector<std::string>(request.args.begin(), request.args.end())});
  reply.simple("QUEUED");
}

// One request, from the checks that Redis makes in this order to its single reply.
void execute(Services& services, Client& client, const Request& request, Context::Keys& keys,
             UnixMs now) {
  resp::ReplyWriter reply(client.output, client.version);
  const auto refuse = [&](std::string_view error) {
    refuse_request(client, services.watches, request.args[0], error);
  };
  if (request.command == nullptr) {
    keys.misused = services.commands.named(request.args);
    client.shared->last_command.store(keys.misused, std::memory_order_relaxed);
    return refuse(request.error);
  }
  const Command& command = *request.command;
  client.shared->last_command.store(&command, std::memory_order_relaxed);
  if (!may_run(client, command)) return refuse("NOAUTH Authentication required.");
  if (client.version == resp::Version::resp2 && client.subscriptions.any() &&
      !command.has(while_subscribed)) {
    return refuse("ERR Can't execute '" + std::string(command.name) +
                  "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in "
                  "this context");
  }
  if (client.in_transaction) {
    if (command.has(no_multi)) {
      client.transaction_broken = true;
      return reply.error("ERR Command not allowed inside a transaction");
    }
    if (!command.has(not_queued)) {
      queue(client, request, reply);
      client.shared->queued.store(static_cast<int>(client.transaction.size()),
                                  std::memory_order_relaxed);
      return;
    }
  }
  keys.running = &command;
  Context context(client, services, keys, now);
  context.run_handler(command, request.args, reply);
}

// CLIENT REPLY: does the client want to read what its last command was answered? Asked once per
// command.
bool wants_reply(Client& client) {
  using Replies = Client::Replies;
  if (client.replies == Replies::on) return true;
  if (client.replies == Replies::skip_next) {
    client.replies = Replies::skip_this;
  } else if (client.replies == Replies::skip_this) {
    client.replies = Replies::on;
  }
  return false;
}

// CLIENT CACHING is about the one command, or transaction, that follows it.
void forget_caching(Client& client, const Request& request) {
  if (client.tracking.caching == TrackingOptions::Caching::unsaid || client.in_transaction) return;
  if (request.command != nullptr && request.command->name.starts_with("client|")) return;
  client.tracking.caching = TrackingOptions::Caching::unsaid;
}

void count(WorkerMetrics& metrics, const Request& request, const Context::Keys& keys,
           const Client& client, std::size_t output_before) {
  metrics.commands.fetch_add(1, std::memory_order_relaxed);
  client.shared->commands.fetch_add(1, std::memory_order_relaxed);
  if (keys.hits != 0) metrics.keyspace_hits.fetch_add(keys.hits, std::memory_order_relaxed);
  if (keys.misses != 0) metrics.keyspace_misses.fetch_add(keys.misses, std::memory_order_relaxed);
  const bool is_error = client.output.size() > output_before && client.output[output_before] == '-';
  if (request.command != nullptr && keys.ran) {
    metrics.by_command.note_call(
        *request.command, keys.took,
        is_error ? CommandStats::End::failed : CommandStats::End::answered);
  }
  if (is_error) {
    metrics.error_replies.fetch_add(1, std::memory_order_relaxed);
    metrics.by_command.note_error(std::string_view(client.output).substr(output_before + 1));
    const Command* const meant = request.command != nullptr ? request.command : keys.misused;
    if (meant != nullptr && !keys.ran) metrics.by_command.note_rejected(*meant);
  }
}

bool has_several_keys(const Request& request) {
  const KeyRange keys = request.command->keys_in(request.args);
  return keys.first < keys.last;
}

// Can it not do without a session? PFCOUNT can: it only keeps what it has counted.
bool must_write(const Command& command) {
  return command.has(writes) || (command.has(in_session) && !command.has(reads));
}

bool has_queued_writes(const Client& client) {
  return std::any_of(client.transaction.begin(), client.transaction.end(),
                     [](const StoredRequest& queued) { return must_write(*queued.command); });
}

// Does `request`, which needs_session(), only answer what it finds if there is none?
bool can_do_without_session(const Client& client, const Request& request) {
  // EXEC, with a transaction or without one, is what its queue is.
  return request.command->has(not_queued) ? !has_queued_writes(client)
                                          : !must_write(*request.command);
}

// Raises `position` to what the reply in client.output from `begin` on must wait for. When a sync
// has failed that may never become safe; then the reply is an error, and reads of what is safe go
// on.
void vouch(const Services& services, Client& client, std::size_t begin, const Context::Keys& keys,
           Position& position) {
  if (keys.durability != Durability::sync) return;
  // Old keys may be seen where a swap of databases has only just brought them.
  const Position needed = std::max(keys.position, services.engine.swapped());
  if (services.sync_turn.failed() && needed > services.engine.synced()) {
    client.output.resize(begin);
    return resp::ReplyWriter(client.output, client.version).error(texts::sync_failed);
  }
  position = std::max(position, needed);
}

void forgo_reply(Client& client, std::size_t begin) {
  client.output.resize(begin);
  if (client.sync_wait) client.sync_wait->answered = false;
}

enum class Outcome : std::uint8_t { committed, failed };

// What was published meanwhile leaves now: whoever gets it sees the writes that came before it.
void deliver(Services& services, std::vector<Outgoing>& outbox, Outcome outcome) {
  for (const Outgoing& outgoing : outbox) {
    if (outcome == Outcome::failed && outgoing.rests_on_commit) continue;
    services.pubsub.publish(outgoing.message);
  }
  outbox.clear();
}

// A batch while it runs.
class BatchRun {
 public:
  explicit BatchRun(Services& services)
      : services_(services), now_(wall_clock_ms()), memory_limit_(services) {}

  void run(std::span<BatchEntry* const> entries) {
    read_ahead(entries);
    std::size_t output_bytes = 0;
    for (BatchEntry* entry : entries) {
      if (output_bytes >= limits::batch_output_bytes) break;
      const std::size_t before = entry->client->output.size();
      run_entry(*entry);
      output_bytes += entry->client->output.size() - before;
    }
    commit();
  }

 private:
  // Brings in what commands of the coming session need from the disk and the loop has not read.
  void read_ahead(std::span<BatchEntry* const> entries) {
    const auto any_session = [](const BatchEntry* entry) {
      return std::any_of(
          entry->requests.begin(), entry->requests.end(), [](const Request& request) {
            return request.command != nullptr &&
                   (request.command->has(writes) || request.command->has(in_session));
          });
    };
    if (!std::any_of(entries.begin(), entries.end(), any_session)) return;
    if (services_.load_status.loading()) return;
    for (BatchEntry* entry : entries) {
      if (entry->read_ahead.complete()) continue;
      const auto fetch = [this, entry](std::string_view name) {
        entry->read_ahead.fetch(services_.engine, {entry->client->database, name});
      };
      visit_wanted_values_of_transaction(*entry->client, fetch);
      for (const Request& request : entry->requests.subspan(entry->executed)) {
        if (request.command == nullptr) continue;
        visit_wanted_values(*request.command, request.args, fetch);
      }
    }
  }

  void run_entry(BatchEntry& entry) {
    Client& client = *entry.client;
    const std::size_t output_begin = client.output.size();
    for (const Request& request : entry.requests.subspan(entry.executed)) {
      if (client.close_after_reply || is_held(services_, client, request, wall_clock_ms())) break;
      if (client.output.size() - output_begin >= limits::step_output_bytes) break;
      const unsigned failures = client.auth_failures;
      run_request(entry, request);
      ++entry.executed;
      // The connection makes the client wait first.
      if (client.auth_failures > failures || client.sync_wait) break;
    }
  }

  void run_request(BatchEntry& entry, const Request& request) {
    Client& client = *entry.client;
    const std::size_t before = client.output.size();
    Context::Keys keys;
    if (refused_while_loading(services_, client, request) ||
        acl::refuses(services_, client, request) || memory_limit_.refuses(client, request)) {
      return count(*entry.metrics, request, keys, client, before);
    }
    if (needs_session(client, request)) {
      // Not left to the commit, which would fail the removals of the batch too.
      if (request.command->has(deny_oom) && services_.engine.disk_full()) {
        resp::ReplyWriter(client.output, client.version).error(texts::disk_full);
        return count(*entry.metrics, request, keys, client, before);
      }
      const auto open = open_session();
      // An engine that refuses writes has no writers: a transaction of reads needs no session then.
      if (!open && !can_do_without_session(client, request)) {
        if (client.in_transaction) leave_transaction(client, services_.watches);
        resp::ReplyWriter(client.output, client.version).error(refusal(open.error()));
        return count(*entry.metrics, request, keys, client, before);
      }
      if (open && (has_several_keys(request) ||
                   (request.command->has(in_session) && must_write(*request.command)))) {
        session_->publish_together();
      }
    }
    // Who subscribes now is not to hear what was published before, and who leaves is.
    if (!outbox_.empty() && changes_subscriptions(request)) commit();
    const bool provisional = session_ != nullptr && touches_keys(client, request);
    keys.metrics = entry.metrics;
    keys.changed = &changed_;
    keys.session = session_.get();
    keys.read_ahead = &entry.read_ahead;
    keys.outbox = &outbox_;
    const std::size_t outgoing = outbox_.size();
    execute(services_, client, request, keys, now_);
    if (keys.would_block) {
      client.output.resize(before);
      outbox_.erase(outbox_.begin() + static_cast<std::ptrdiff_t>(outgoing), outbox_.end());
      // Beside a session nobody exchanges databases, and without one nobody else can write either.
      (void)open_session();
      return run_request(entry, request);
    }
    forget_caching(client, request);
    if (session_ == nullptr) deliver(services_, outbox_, Outcome::committed);
    if (!wants_reply(client)) {
      count(*entry.metrics, request, keys, client, before);
      forgo_reply(client, before);
      if (session_ != nullptr && session_->pending_bytes() >= limits::session_bytes_soft) commit();
      return;
    }
    if (!provisional) {
      vouch(services_, client, before, keys, entry.position);
      return count(*entry.metrics, request, keys, client, before);
    }
    count(*entry.metrics, request, keys, client, before);
    // Its position comes with the commit; those of pending records never come to be if that fails.
    provisional_.push_back({&entry, &request, before, client.output.size(), keys.durability});
    if (session_->pending_bytes() >= limits::session_bytes_soft) commit();
  }

  Result<void> open_session() {
    if (session_ != nullptr) return {};
    auto session = services_.engine.begin();
    if (!session) return std::unexpected(session.error());
    session_ = std::move(*session);
    now_ = wall_clock_ms();  // waiting for the writer's place may have taken a while
    return {};
  }

  // Makes the session's writes real; when that fails, every reply that was given on the strength of
  // them becomes the error.
  void commit() {
    if (session_ == nullptr) return;
    const Result<Position> committed = session_->commit();
    for (const Provisional& reply : provisional_) {
      if (!committed || reply.durability != Durability::sync) continue;
      reply.entry->position = std::max(reply.entry->position, *committed);
    }
    if (!committed) {
      session_.reset();
      replace_replies(refusal(committed.error()));
    }
    provisional_.clear();
    if (committed) services_.operations.tracking.tell(changed_);
    changed_.clear();
    deliver(services_, outbox_, committed ? Outcome::committed : Outcome::failed);
  }

  void replace_replies(const std::string& error) {
    std::string line;
    resp::ReplyWriter(line, resp::Version::resp2).error(error);
    // From the last to the first, so that earlier offsets stay true.
    for (auto reply = provisional_.rbegin(); reply != provisional_.rend(); ++reply) {
      const bool only_reads = !must_write(*reply->request->command);
      std::string& output = reply->entry->client->output;
      output.replace(reply->begin, reply->end - reply->begin,
                     only_reads ? read_again(*reply->entry, *reply->request) : line);
    }
  }

  // The reply to a read that had seen pending writes which did not come to be.
  std::string read_again(BatchEntry& entry, const Request& request) {
    Client& client = *entry.client;
    std::string replies = std::exchange(client.output, {});
    Context::Keys keys;
    std::vector<Outgoing> unused;  // its messages are in the outbox already
    keys.outbox = &unused;
    keys.metrics = entry.metrics;
    execute(services_, client, request, keys, now_);
    vouch(services_, client, 0, keys, entry.position);
    return std::exchange(client.output, std::move(replies));
  }

  static std::string refusal(const Error& error) {
    return "MISCONF Errors writing to the log: " + error.message();
  }

  struct Provisional {
    BatchEntry* entry;
    const Request* request;
    std::size_t begin;  // of the reply in the client's output
    std::size_t end;
    Durability durability;  // that it must have
  };

  Services& services_;
  UnixMs now_;
  MemoryLimit memory_limit_;
  std::unique_ptr<WriteSession> session_;
  std::vector<Provisional> provisional_;
  std::vector<Outgoing> outbox_;
  std::vector<ChangedKey> changed_;  // for those who track keys
};

}  // namespace

Request resolve_request(const Services& services, const ClientShared& client, Args words) {
  Request request;
  request.args = words;
  request.command = services.commands.resolve(words, request.error);
  if (request.command == nullptr || !request.command->has(guarded)) return request;
  const DebugCommand allowed = services.config.enable_debug_command;
  if (allowed == DebugCommand::yes || (allowed == DebugCommand::local && is_local(client))) {
    return request;
  }
  request.command = nullptr;
  request.error =
      "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you "
      "can run it from a local connection, otherwise you need to set this option in the "
      "configuration file, and then restart the server.";
  return request;
}

Inline answer_inline(Services& services, WorkerMetrics& metrics, Client& client,
                     const Request& request, Position& position, const ReadAhead* read_ahead) {
  const std::size_t before = client.output.size();
  Context::Keys keys;
  if (refused_while_loading(services, client, request) || acl::refuses(services, client, request)) {
    count(metrics, request, keys, client, before);
    return Inline::answered;
  }
  if (needs_session(client, request)) return Inline::needs_pool;
  if (client.in_transaction && MemoryLimit(services).refuses(client, request)) {
    count(metrics, request, keys, client, before);
    return Inline::answered;
  }
  if (request.command != nullptr && request.command->has(slow) &&
      may_run(client, *request.command) && !is_queued(client, *request.command)) {
    return Inline::needs_pool;
  }
  std::vector<Outgoing> outbox;
  keys.access = Access::resident_only;
  keys.read_ahead = read_ahead;
  keys.outbox = &outbox;
  keys.metrics = &metrics;
  execute(services, client, request, keys, wall_clock_ms());
  if (keys.would_block) {
    client.output.resize(before);
    return Inline::needs_pool;
  }
  deliver(services, outbox, Outcome::committed);
  forget_caching(client, request);
  vouch(services, client, before, keys, position);
  count(metrics, request, keys, client, before);
  if (!wants_reply(client)) forgo_reply(client, before);
  return Inline::answered;
}

bool is_held(const Services& services, const Client& client, const Request& request, UnixMs now) {
  const ClientPause& pause = services.operations.pause;
  if (!pause.any() || request.command == nullptr) return false;
  // Ending the pause is what waits for nothing; Redis would hold that too.
  if (request.command->name == "client|unpause") return false;
  switch (pause.kind(now)) {
    case ClientPause::Kind::none:
      return false;
    case ClientPause::Kind::all:
      return true;
    case ClientPause::Kind::writes:
      break;
  }
  if (is_queued(client, *request.command)) return false;
  if (client.in_transaction) return request.command->has(in_session) && has_queued_writes(client);
  return request.command->has(writes) || request.command->has(may_replicate);
}

bool will_wait_for_sync(const Services& services, const BatchEntry& entry) {
  const Durability asked = entry.client->durability;
  if (services.settings.durability_at_least(asked) != Durability::sync) return false;
  // SET can ask for less than the policy, though not for less than its connection.
  const auto asks = [](const Request& request) {
    const auto is_option = [](std::string_view word) { return is_word(word, "DURABILITY"); };
    return std::ranges::any_of(request.args, is_option);
  };
  return std::ranges::any_of(entry.requests, [&](const Request& request) {
    return request.command != nullptr && request.command->has(writes) &&
           (asked == Durability::sync || !asks(request));
  });
}

Inline answer_reads(Services& services, BatchEntry& entry) {
  Client& client = *entry.client;
  const std::size_t output_begin = client.output.size();
  const unsigned failures = client.auth_failures;
  for (const Request& request : entry.requests) {
    // As the pool puts requests off.
    if (client.close_after_reply || client.auth_failures > failures || client.sync_wait ||
        is_held(services, client, request, wall_clock_ms()) ||
        client.output.size() - output_begin >= limits::step_output_bytes) {
      break;
    }
    if (answer_inline(services, *entry.metrics, client, request, entry.position,
                      &entry.read_ahead) == Inline::needs_pool) {
      return Inline::needs_pool;
    }
    ++entry.executed;
  }
  return Inline::answered;
}

void run_batch(Services& services, std::span<BatchEntry* const> entries) {
  BatchRun(services).run(entries);
}

}  // namespace kvs::daemon
