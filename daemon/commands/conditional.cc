// conditional.cc - writes that depend on what a key holds, and writes of several keys with one
// deadline, as newer servers have them: DELEX, DIGEST and MSETEX (Redis 8.4), DELIFEQ (Valkey 9).
// SET's own conditions are in strings.cc.
#include <array>
#include <limits>
#include <string>

#include "daemon/command_table.h"
#include "daemon/commands/arguments.h"
#include "daemon/commands/string_writes.h"
#include "daemon/commands/value_condition.h"
#include "daemon/context.h"
#include "daemon/notifications.h"

namespace kvs::daemon {

namespace {

using resp::ReplyWriter;

void remove_and_count(Context& context, std::string_view key, ReplyWriter& reply) {
  context.remove(key);
  context.notify(notify_generic, "del", key);
  reply.integer(1);
}

// DELEX key [IFEQ value | IFNE value | IFDEQ digest | IFDNE digest]: 1 when it was removed, else 0.
void delex_command(Context& context, Args args, ReplyWriter& reply) {
  if (args.size() != 2 && args.size() != 4) return reply_wrong_arguments(reply, "delex");
  std::string value;
  const auto found = args.size() == 2 ? context.find(args[1]) : context.get(args[1], value);
  if (!found) return reply_error(reply, found.error());
  if (!*found) return reply.integer(0);
  if (args.size() == 4) {
    const auto kind = condition_kind(args[2]);
    if (!kind) return reply.error("ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE");
    const ValueCondition condition{*kind, args[3]};
    if (!is_valid(condition, reply)) return;
    if (!holds(condition, value)) return reply.integer(0);
  }
  remove_and_count(context, args[1], reply);
}

// DELIFEQ key value: 1 when the key had that value and was removed, else 0.
void delifeq_command(Context& context, Args args, ReplyWriter& reply) {
  std::string value;
  const auto found = context.get(args[1], value);
  if (!found) return reply_error(reply, found.error());
  if (!*found || value != args[2]) return reply.integer(0);
  remove_and_count(context, args[1], reply);
}

// DIGEST key: the digest of its value, or null.
void digest_command(Context& context, Args args, ReplyWriter& reply) {
  std::string value;
  const auto found = context.get(args[1], value);
  if (!found) return reply_error(reply, found.error());
  if (!*found) return reply.null();
  reply.bulk(value_digest(value));
}

// MSETEX numkeys key value [key value ...] [NX | XX] [EX ... | KEEPTTL]: 1 when all were set, 0
// when none was.
void msetex_command(Context& context, Args args, ReplyWriter& reply) {
  constexpr std::size_t first_key = 2;
  const auto pairs = parse_integer(args[1]);
  if (!pairs || *pairs <= 0 || *pairs > std::numeric_limits<std::int32_t>::max()) {
    return reply.error("ERR invalid numkeys value");
  }
  const std::size_t end = first_key + 2 * static_cast<std::size_t>(*pairs);
  if (end > args.size()) return reply.error("ERR wrong number of key-value pairs");
  const auto options = string_options(args, end, OptionsOf::msetex, reply);
  if (!options) return;
  UnixMs expire_at = never;
  if (options->expiry) {
    const auto deadline = deadline_argument(*options->expiry, context.now(), "msetex", reply);
    if (!deadline) return;
    expire_at = *deadline;
  }

  const bool conditional = options->only_if_absent || options->only_if_present;
  std::vector<UnixMs> deadlines(static_cast<std::size_t>(*pairs), expire_at);
  for (std::size_t i = first_key; (conditional || options->keep_ttl) && i < end; i += 2) {
    const auto found = context.find(args[i]);
    if (!found) return reply_error(reply, found.error());
    const bool present = found->has_value();
    if (conditional && present != options->only_if_present) return reply.integer(0);
    if (options->keep_ttl && present) deadlines[(i - first_key) / 2] = (*found)->expire_at;
  }
  for (std::size_t i = first_key; i < end; i += 2) {
    put_until(context, args[i], args[i + 1], deadlines[(i - first_key) / 2]);
    notify_set(context, args[i], expire_at);
  }
  reply.integer(1);
}

constexpr KeyRange one_key{1, 1, 1};
constexpr KeyRange counted_pairs{2, 0, 2, 1};

constexpr std::array rows{
    Command{"delex",
            -2,
            writes | reads_values | fast,
            one_key,
            delex_command,
            {"Removes a key if its value, or the digest of it, is or is not the given one.",
             "8.4.0", "string", "O(N) with N the length of the value",
             "key [IFEQ ifeq-value | IFNE ifne-value | IFDEQ ifdeq-digest | IFDNE ifdne-digest]",
             "RW access delete variable_flags"}},
    Command{"delifeq",
            3,
            writes | reads_values | fast,
            one_key,
            delifeq_command,
            {"Removes a key if it has the given value.", "9.0.0", "string",
             "O(N) with N the length of the value", "key value", "RW access delete"}},
    Command{"digest",
            2,
            reads | fast,
            one_key,
            digest_command,
            {"Returns the digest (XXH3) of a value.", "8.4.0", "string",
             "O(N) with N the length of the value", "key", "RO access"}},
    Command{"msetex",
            -4,
            writes | deny_oom,
            counted_pairs,
            msetex_command,
            {"Sets several keys at once, with one expiration time, if all or none of them are "
             "present.",
             "8.4.0", "string", "O(N) with N the number of keys",
             "numkeys key value [key value ...] [NX | XX] [EX seconds | PX milliseconds | "
             "EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
             "OW update", "request_policy:multi_shard response_policy:all_succeeded"}},
};

}  // namespace

std::span<const Command> conditional_commands() {
  return rows;
}

}  // namespace kvs::daemon
