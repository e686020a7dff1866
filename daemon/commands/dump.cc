// dump.cc - DUMP and RESTORE: values in Redis' own serialisation, so that they move between
// servers.
#include <algorithm>
#include <array>
#include <limits>
#include <string>

#include "daemon/command_table.h"
#include "daemon/commands/arguments.h"
#include "daemon/commands/string_writes.h"
#include "daemon/context.h"
#include "daemon/notifications.h"
#include "daemon/rdb_string.h"
#include "daemon/settings.h"
#include "storage/limits.h"

namespace kvs::daemon {

namespace {

using resp::ReplyWriter;

// DUMP key: its serialised value, or null.
void dump_command(Context& context, Args args, ReplyWriter& reply) {
  std::string value;
  const auto found = context.get(args[1], value);
  if (!found) return reply_error(reply, found.error());
  if (!*found) return reply.null();
  reply.bulk(rdb::dump_string(value));
}

struct RestoreOptions {
  bool replace = false;
  bool absolute = false;
};

// IDLETIME and FREQ are checked, and say nothing here: kvs evicts nothing.
std::optional<RestoreOptions> restore_options(Args args, ReplyWriter& reply) {
  RestoreOptions options;
  bool idle = false;
  bool frequency = false;
  for (std::size_t i = 4; i < args.size(); ++i) {
    const bool has_value = i + 1 < args.size();
    if (is_word(args[i], "REPLACE")) {
      options.replace = true;
    } else if (is_word(args[i], "ABSTTL")) {
      options.absolute = true;
    } else if (is_word(args[i], "IDLETIME") && has_value && !frequency) {
      const auto seconds = integer_argument(args[++i], reply);
      if (!seconds) return std::nullopt;
      if (*seconds < 0) {
        reply.error("ERR Invalid IDLETIME value, must be >= 0");
        return std::nullopt;
      }
      idle = true;
    } else if (is_word(args[i], "FREQ") && has_value && !idle) {
      const auto count = integer_argument(args[++i], reply);
      if (!count) return std::nullopt;
      if (*count < 0 || *count > 255) {
        reply.error("ERR Invalid FREQ value, must be >= 0 and <= 255");
        return std::nullopt;
      }
      frequency = true;
    } else {
      reply.error(texts::syntax_error);
      return std::nullopt;
    }
  }
  return options;
}

void reply_problem(rdb::Problem problem, ReplyWriter& reply) {
  switch (problem) {
    case rdb::Problem::bad_format:
      return reply.error("ERR Bad data format");
    case rdb::Problem::other_type:
      return reply.error(
          "ERR this server has only strings: a value of another type is not restored");
    case rdb::Problem::too_long:
      return reply.error(texts::value_too_long);
  }
}

// RESTORE key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]: OK.
void restore_command(Context& context, Args args, ReplyWriter& reply) {
  const auto options = restore_options(args, reply);
  if (!options) return;
  const auto present = context.find(args[1]);
  if (!present) return reply_error(reply, present.error());
  if (*present && !options->replace) return reply.error("BUSYKEY Target key name already exists.");
  const auto ttl = integer_argument(args[2], reply);
  if (!ttl) return;
  if (*ttl < 0) return reply.error("ERR Invalid TTL value, must be >= 0");
  if (!rdb::is_intact(args[3])) {
    return reply.error("ERR DUMP payload version or checksum are wrong");
  }
  const auto bytes_max = std::min<std::uint64_t>(
      context.services.settings.proto_max_bulk_len.load(std::memory_order_relaxed),
      limits::value_bytes_max);
  const rdb::Loaded loaded = rdb::load_string(args[3], bytes_max);
  if (loaded.problem) return reply_problem(*loaded.problem, reply);

  UnixMs expire_at = *ttl;
  if (*ttl != 0 && !options->absolute && __builtin_add_overflow(*ttl, context.now(), &expire_at)) {
    expire_at = std::numeric_limits<UnixMs>::max();
  }
  reply.ok();
  if (expire_at != never && expire_at <= context.now()) {
    if (!*present) return;
    context.remove(args[1]);
    return context.notify(notify_generic, "del", args[1]);
  }
  context.put_as_new(context.client.database, args[1], loaded.value, expire_at);
  context.notify(notify_generic, "restore", args[1]);
}

constexpr KeyRange one_key{1, 1, 1};

constexpr std::array rows{
    Command{"dump",
            2,
            reads | keyspace_family,
            one_key,
            dump_command,
            {"Returns a serialised value, for RESTORE.", "2.6.0", "generic",
             "O(N) with N the length of the value", "key", "RO access", "nondeterministic_output"}},
    Command{"restore",
            -4,
            writes | deny_oom | dangerous | keyspace_family,
            one_key,
            restore_command,
            {"Sets a key to a value that DUMP has serialised.", "2.6.0", "generic",
             "O(N) with N the length of the value",
             "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]",
             "OW update"}},
};

}  // namespace

std::span<const Command> dump_commands() {
  return rows;
}

}  // namespace kvs::daemon
