// server.cc - commands about the server as a whole: INFO, CONFIG, TIME, ROLE ...
#include <array>
#include <string>
#include <sys/time.h>

#include "daemon/command_table.h"
#include "daemon/commands/arguments.h"
#include "daemon/commands/server_handlers.h"
#include "daemon/config.h"
#include "daemon/context.h"
#include "daemon/metrics.h"

namespace kvs::daemon {

namespace {

using resp::ReplyWriter;

// TIME: Unix time, as seconds and the microseconds within them.
void time_command(Context&, Args, ReplyWriter& reply) {
  timeval now{};
  gettimeofday(&now, nullptr);
  reply.array(2);
  reply.bulk(std::to_string(now.tv_sec));
  reply.bulk(std::to_string(now.tv_usec));
}

void bgrewriteaof_command(Context& context, Args, ReplyWriter& reply) {
  context.services.engine.request_compaction();
  reply.simple("Background append only file rewriting started");
}

// WAIT numreplicas timeout: there are no replicas to wait for.
void wait_command(Context&, Args args, ReplyWriter& reply) {
  if (!integer_argument(args[1], reply)) return;
  const auto timeout =
      integer_argument(args[2], reply, "ERR timeout is not an integer or out of range");
  if (!timeout) return;
  if (*timeout < 0) return reply.error("ERR timeout is negative");
  reply.integer(0);
}

// WAITAOF numlocal numreplicas timeout: is everything that was committed before, by anybody, on
// stable storage? With numlocal 1 it sees to that, and the connection waits for it. Replicas are
// not waited for, since there will be none.
void waitaof_command(Context& context, Args args, ReplyWriter& reply) {
  const auto local = integer_argument(args[1], reply);
  if (!local) return;
  if (*local < 0 || *local > 1) {
    return reply.error("ERR value is out of range, value must between 0 and 1");
  }
  constexpr std::string_view positive = "ERR value is out of range, must be positive";
  const auto replicas = integer_argument(args[2], reply, positive);
  if (!replicas) return;
  if (*replicas < 0) return reply.error(positive);
  const auto timeout =
      integer_argument(args[3], reply, "ERR timeout is not an integer or out of range");
  if (!timeout) return;
  if (*timeout < 0) return reply.error("ERR timeout is negative");
  UnixMs until = 0;
  if (__builtin_add_overflow(context.now(), *timeout, &until)) {
    return reply.error("ERR timeout is out of range");
  }
  if (*local == 1 && !context.in_transaction()) {
    context.client.sync_wait = Client::SyncWait{std::chrono::milliseconds(*timeout)};
    return;
  }
  reply.array(2);
  reply.integer(context.all_synced() ? 1 : 0);
  reply.integer(0);
}

void role_command(Context&, Args, ReplyWriter& reply) {
  reply.array(3);
  reply.bulk("master");
  reply.integer(0);
  reply.array(0);
}

void config_resetstat(Context& context, Args, ReplyWriter& reply) {
  context.services.metrics.reset();
  reply.ok();
}

void config_help(Context&, Args, ReplyWriter& reply) {
  constexpr std::array<std::string_view, 8> lines = {
      "GET <pattern> [<pattern> ...]",
      "    Return parameters matching the glob-like <pattern> and their values.",
      "SET <directive> <value> [<directive> <value> ...]",
      "    Set each configuration <directive> to <value>, all of them or none.",
      "RESETSTAT",
      "    Reset statistics reported by the INFO command.",
      "REWRITE",
      "    Write what CONFIG SET has changed into the configuration file.",
  };
  reply_help(reply, "CONFIG", lines);
}

constexpr KeyRange no_keys{};
constexpr std::uint32_t operation = admin | dangerous | no_script | loading | stale;

constexpr std::array config_rows{
    Command{"config|get",
            -3,
            operation,
            no_keys,
            config_get,
            {"Returns parameters and their values.", "2.0.0", "server",
             "O(N) with N the number of parameters", "parameter [parameter ...]"}},
    Command{"config|help",
            2,
            loading | stale,
            no_keys,
            config_help,
            {"Lists the subcommands.", "5.0.0", "server", "O(1)", ""}},
    Command{"config|resetstat",
            2,
            operation,
            no_keys,
            config_resetstat,
            {"Sets the counters of INFO back to zero.", "2.0.0", "server", "O(1)", ""}},
    Command{"config|rewrite",
            2,
            operation | slow,
            no_keys,
            config_rewrite,
            {"Writes changed parameters into the configuration file.", "2.8.0", "server",
             "O(N) with N the number of parameters", ""}},
    Command{"config|set",
            -4,
            operation,
            no_keys,
            config_set,
            {"Changes parameters, all of them or none.", "2.0.0", "server",
             "O(N) with N the number of parameters", "parameter value [parameter value ...]", "",
             "request_policy:all_nodes response_policy:all_succeeded"}},
};

constexpr std::array rows{
    Command{"bgrewriteaof",
            1,
            admin | dangerous | no_script | no_async_loading,
            no_keys,
            bgrewriteaof_command,
            {"Asks for a compaction of the log.", "1.0.0", "server", "O(1)", ""}},
    Command{"config",
            -2,
            0,
            no_keys,
            nullptr,
            {"A container for commands about the configuration.", "2.0.0", "server",
             "Depends on subcommand.", ""},
            config_rows},
    Command{
        "info",
        -1,
        loading | stale | dangerous,
        no_keys,
        info_command,
        {"Returns figures about the server.", "1.0.0", "server", "O(1)", "[section [section ...]]",
         "", "nondeterministic_output request_policy:all_shards response_policy:special"}},
    Command{"role",
            1,
            no_script | loading | stale | fast | dangerous,
            no_keys,
            role_command,
            {"Returns the part this server plays in replication.", "2.8.12", "server", "O(1)", ""}},
    Command{"time",
            1,
            loading | stale | fast,
            no_keys,
            time_command,
            {"Returns the server's time.", "2.6.0", "server", "O(1)", "", "",
             "nondeterministic_output"}},
    Command{"wait",
            3,
            no_script | connection_family,
            no_keys,
            wait_command,
            {"Returns 0: there are no replicas to wait for.", "3.0.0", "generic", "O(1)",
             "numreplicas timeout", "", "request_policy:all_shards response_policy:agg_min"}},
    Command{
        "waitaof",
        4,
        no_script | connection_family,
        no_keys,
        waitaof_command,
        {"Syncs what was written before, and waits for that.", "7.2.0", "generic", "O(1)",
         "numlocal numreplicas timeout", "", "request_policy:all_shards response_policy:agg_min"}},
};

}  // namespace

std::span<const Command> server_commands() {
  return rows;
}

}  // namespace kvs::daemon
