// kvs.cc - KVS, the container of what only this server has. Rows only; handlers are elsewhere.
#include <array>

#include "daemon/command_table.h"
#include "daemon/commands/arguments.h"
#include "daemon/commands/backup_handlers.h"
#include "daemon/commands/compact_handlers.h"

namespace kvs::daemon {

namespace {

void kvs_help(Context&, Args, resp::ReplyWriter& reply) {
  constexpr std::array<std::string_view, 14> lines = {
      "BACKUP <name>",
      "    Make a backup called <name> below the server's --backup-dir.",
      "COMPACT [NOW]",
      "    Ask for a compaction of everything that holds anything dead.",
      "COMPACT PAUSE",
      "    Stop compaction where it is. The log may then grow until the disk is full.",
      "COMPACT RESUME",
      "    Let compaction go on.",
      "COMPACT STATUS",
      "    Return what compaction does and what the log takes.",
      "COMPACT LIMIT <bytes-per-second>",
      "    Bound what compaction writes; 0: no bound. Writers are slowed when it falls behind.",
      "SCRUB [NOW|STATUS]",
      "    Read all data again and verify it, or tell how far that is (the default).",
  };
  reply_help(reply, "KVS", lines);
}

constexpr KeyRange no_keys{};

constexpr std::array kvs_rows{
    Command{
        "kvs|backup",
        3,
        admin | dangerous | no_script | no_async_loading | no_multi | slow,
        no_keys,
        kvs_backup_command,
        {"Makes a backup below --backup-dir.", "7.0.0", "server", "O(N) with N the files", "name"}},
    Command{"kvs|compact",
            -2,
            admin | dangerous | no_script | no_async_loading,
            no_keys,
            kvs_compact_command,
            {"Steers the compaction of the log.", "7.0.0", "server",
             "O(N) with N the number of segments",
             "[NOW | PAUSE | RESUME | STATUS | LIMIT bytes-per-second]"}},
    Command{"kvs|help",
            2,
            loading | stale,
            no_keys,
            kvs_help,
            {"Lists the subcommands.", "7.0.0", "server", "O(1)", ""}},
    Command{"kvs|scrub",
            -2,
            admin | dangerous | no_script | no_async_loading,
            no_keys,
            kvs_scrub_command,
            {"Verifies what is on the disk, or tells how far that is.", "7.0.0", "server", "O(1)",
             "[NOW | STATUS]"}},
};

constexpr std::array rows{
    Command{"kvs",
            -2,
            0,
            no_keys,
            nullptr,
            {"A container for commands that only kvs has.", "7.0.0", "server",
             "Depends on subcommand.", ""},
            kvs_rows},
};

}  // namespace

std::span<const Command> kvs_commands() {
  return rows;
}

}  // namespace kvs::daemon
