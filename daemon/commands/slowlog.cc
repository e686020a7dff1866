// slowlog.cc - SLOWLOG: the commands that took long (daemon/slow_log.h).
#include <array>

#include "daemon/command_table.h"
#include "daemon/commands/arguments.h"
#include "daemon/context.h"
#include "daemon/operations.h"

namespace kvs::daemon {

namespace {

using resp::ReplyWriter;

// SLOWLOG GET [count]: the newest, ten unless told; -1: all.
void slowlog_get(Context& context, Args args, ReplyWriter& reply) {
  constexpr std::string_view out_of_range = "ERR count should be greater than or equal to -1";
  std::int64_t count = 10;
  if (args.size() > 3) return reply_wrong_subcommand(reply, args);
  if (args.size() == 3) {
    const auto asked = integer_argument(args[2], reply, out_of_range);
    if (!asked) return;
    if (*asked < -1) return reply.error(out_of_range);
    count = *asked;
  }
  const auto calls = context.services.operations.slow_log.newest(count);
  reply.array(calls.size());
  for (const SlowCall& call : calls) {
    reply.array(6);
    reply.integer(static_cast<std::int64_t>(call.id));
    reply.integer(call.unix_seconds);
    reply.integer(call.microseconds);
    reply.array(call.words.size());
    for (const std::string& word : call.words) reply.bulk(word);
    reply.bulk(call.address);
    reply.bulk(call.name);
  }
}

void slowlog_len(Context& context, Args, ReplyWriter& reply) {
  reply.integer(static_cast<std::int64_t>(context.services.operations.slow_log.size()));
}

void slowlog_reset(Context& context, Args, ReplyWriter& reply) {
  context.services.operations.slow_log.clear();
  reply.ok();
}

void slowlog_help(Context&, Args, ReplyWriter& reply) {
  constexpr std::array<std::string_view, 7> lines = {
      "GET [<count>]",
      "    Return the newest <count> entries (default: 10, -1 means all). An entry is made of",
      "    id, timestamp, time in microseconds, arguments, address and name of the client.",
      "LEN",
      "    Return the number of entries.",
      "RESET",
      "    Forget all entries.",
  };
  reply_help(reply, "SLOWLOG", lines);
}

constexpr KeyRange no_keys{};
constexpr std::uint32_t operation = admin | dangerous | loading | stale;

constexpr std::array subcommand_rows{
    Command{"slowlog|get",
            -2,
            operation,
            no_keys,
            slowlog_get,
            {"Returns the newest entries of the slow log.", "2.2.12", "server",
             "O(N) with N the number of entries returned", "[count]", "",
             "request_policy:all_nodes nondeterministic_output"}},
    Command{"slowlog|help",
            2,
            loading | stale,
            no_keys,
            slowlog_help,
            {"Lists the subcommands.", "6.2.0", "server", "O(1)", ""}},
    Command{"slowlog|len",
            2,
            operation,
            no_keys,
            slowlog_len,
            {"Returns the number of entries of the slow log.", "2.2.12", "server", "O(1)", "", "",
             "request_policy:all_nodes response_policy:agg_sum nondeterministic_output"}},
    Command{"slowlog|reset",
            2,
            operation,
            no_keys,
            slowlog_reset,
            {"Forgets the slow log.", "2.2.12", "server", "O(N) with N the number of entries", "",
             "", "request_policy:all_nodes response_policy:all_succeeded"}},
};

constexpr std::array rows{
    Command{"slowlog",
            -2,
            0,
            no_keys,
            nullptr,
            {"A container for commands about the slow log.", "2.2.12", "server",
             "Depends on subcommand.", ""},
            subcommand_rows},
};

}  // namespace

std::span<const Command> slowlog_commands() {
  return rows;
}

}  // namespace kvs::daemon
