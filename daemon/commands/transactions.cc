// transactions.cc - MULTI, EXEC, DISCARD, WATCH, UNWATCH.
//
// Queueing is the executor's: handlers here see only what runs at once. EXEC runs inside a write
// session, so nothing can change between its look at the watched keys and its commands.
//
// Two things tell it that a watched key has changed. The flag that writers set (watches.h) sees
// every change from WATCH on, but not one that a session still open elsewhere had made before; and
// no writer sees a deadline pass. So WATCH also notes what it saw, and EXEC looks again.
#include <algorithm>
#include <array>
#include <optional>

#include "daemon/command_table.h"
#include "daemon/commands/arguments.h"
#include "daemon/commands/session_state.h"
#include "daemon/context.h"
#include "daemon/watches.h"

namespace kvs::daemon {

namespace {

using resp::ReplyWriter;

// An engine need not know the LSN of a write that is pending in the session of this very batch. No
// other session can have been open then, so the flag suffices.
constexpr Lsn pending = 0;

void multi_command(Context& context, Args, ReplyWriter& reply) {
  Client& client = context.client;
  if (client.in_transaction) return reply.error("ERR MULTI calls can not be nested");
  client.in_transaction = true;
  client.shared->queued.store(0, std::memory_order_relaxed);
  reply.ok();
}

bool same(const std::optional<KeyInfo>& seen, const std::optional<KeyInfo>& now) {
  if (seen.has_value() != now.has_value()) return false;
  return !seen || seen->lsn == pending || seen->lsn == now->lsn;
}

// Has one of the watched keys changed since WATCH?
Result<bool> watches_touched(Context& context) {
  const Client& client = context.client;
  if (client.watched.empty()) return false;
  for (const Client::Watched& watched : client.watched) {
    const auto found = context.find(watched.database, watched.key, Lookup::unseen);
    if (!found) return std::unexpected(found.error());
    if (!same(watched.seen, *found)) return true;
  }
  return client.watch_touched->load(std::memory_order_acquire);
}

// EXEC: the replies of the queued commands, or null when a watched key has changed.
void exec_command(Context& context, Args, ReplyWriter& reply) {
  Client& client = context.client;
  if (!client.in_transaction) return reply.error("ERR EXEC without MULTI");
  if (client.transaction_broken) {
    leave_transaction(context.client, context.services.watches);
    return reply.error("EXECABORT Transaction discarded because of previous errors.");
  }
  const auto touched = watches_touched(context);
  if (!touched) {
    if (touched.error().code() != Code::would_block)
      leave_transaction(context.client, context.services.watches);
    return reply_error(reply, touched.error());
  }
  if (*touched) {
    leave_transaction(context.client, context.services.watches);
    return reply.null_array();
  }
  drop_watches(client, context.services.watches);
  client.in_transaction = false;
  context.run_transaction(reply);
  client.shared->queued.store(-1, std::memory_order_relaxed);
}

void discard_command(Context& context, Args, ReplyWriter& reply) {
  if (!context.client.in_transaction) return reply.error("ERR DISCARD without MULTI");
  leave_transaction(context.client, context.services.watches);
  reply.ok();
}

// WATCH key [key ...].
void watch_command(Context& context, Args args, ReplyWriter& reply) {
  Client& client = context.client;
  if (client.in_transaction) return reply.error("ERR WATCH inside MULTI is not allowed");
  for (const std::string_view key : args.subspan(1)) {
    const bool is_watched = std::any_of(
        client.watched.begin(), client.watched.end(), [&](const Client::Watched& watched) {
          return watched.database == client.database && watched.key == key;
        });
    if (is_watched) continue;
    // Registered first: a change between the two is noticed twice rather than never.
    context.services.watches.watch({client.database, key}, client.watch_touched);
    client.watched.push_back({client.database, std::string(key), std::nullopt});
    const auto found = context.find(key, Lookup::unseen);
    if (!found) {
      // Not watched then: the executor may run this command again.
      context.services.watches.unwatch({client.database, key}, client.watch_touched);
      client.watched.pop_back();
      return reply_error(reply, found.error());
    }
    client.watched.back().seen = *found;
  }
  client.shared->watched.store(static_cast<unsigned>(client.watched.size()),
                               std::memory_order_relaxed);
  reply.ok();
}

void unwatch_command(Context& context, Args, ReplyWriter& reply) {
  drop_watches(context.client, context.services.watches);
  reply.ok();
}

constexpr KeyRange no_keys{};
constexpr KeyRange all_keys{1, -1, 1};
constexpr std::uint32_t anytime = no_script | loading | stale | transaction_family;
constexpr std::uint32_t at_once = anytime | fast | allow_busy;

constexpr std::array rows{
    Command{"discard",
            1,
            at_once | not_queued,
            no_keys,
            discard_command,
            {"Leaves a transaction without running it.", "2.0.0", "transactions",
             "O(N) with N the number of queued commands", ""}},
    Command{"exec",
            1,
            anytime | not_queued | in_session | skip_slowlog,
            no_keys,
            exec_command,
            {"Runs the commands of a transaction.", "1.2.0", "transactions",
             "Depends on commands in the transaction", ""}},
    Command{"multi",
            1,
            at_once | not_queued,
            no_keys,
            multi_command,
            {"Begins a transaction.", "1.2.0", "transactions", "O(1)", ""}},
    Command{"unwatch",
            1,
            at_once,
            no_keys,
            unwatch_command,
            {"Ends all watches of the connection.", "2.2.0", "transactions", "O(1)", ""}},
    Command{"watch",
            -2,
            at_once | not_queued,
            all_keys,
            watch_command,
            {"Makes the next transaction depend on keys staying as they are.", "2.2.0",
             "transactions", "O(1) for every key", "key [key ...]", "RO"}},
};

}  // namespace

std::span<const Command> transaction_commands() {
  return rows;
}

}  // namespace kvs::daemon
