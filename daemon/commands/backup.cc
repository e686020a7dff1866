// backup.cc - SAVE, BGSAVE, LASTSAVE, KVS BACKUP and KVS SCRUB.
//
// Redis' three speak of its snapshot; ours is a backup below --backup-dir, with a name made of the
// time where the client gives none. What a client sends never becomes a path (backups.h).
#include <array>
#include <chrono>
#include <string>

#include "daemon/backups.h"
#include "daemon/command_table.h"
#include "daemon/commands/arguments.h"
#include "daemon/commands/backup_handlers.h"
#include "daemon/metrics.h"

namespace kvs::daemon {

namespace {

using resp::ReplyWriter;

void reply_refusal(ReplyWriter& reply, const Error& error) {
  // Not MISCONF, which says that writes are refused.
  reply.error("ERR " + error.message());
}

bool offered(const Context& context, ReplyWriter& reply) {
  if (context.services.backups != nullptr) return true;
  reply.error("ERR backups are disabled: start the server with --backup-dir");
  return false;
}

void save_command(Context& context, Args, ReplyWriter& reply) {
  if (!offered(context, reply)) return;
  Backups& backups = *context.services.backups;
  const auto made = backups.make(backups.name_for_now());
  if (!made) return reply_refusal(reply, made.error());
  reply.ok();
}

// BGSAVE [SCHEDULE]: with SCHEDULE one that is being made is as good as another.
void bgsave_command(Context& context, Args args, ReplyWriter& reply) {
  const bool schedule = args.size() == 2 && is_word(args[1], "SCHEDULE");
  if (args.size() > 2 || (args.size() == 2 && !schedule)) {
    return reply.error(texts::syntax_error);
  }
  if (!offered(context, reply)) return;
  if (schedule && context.services.backups->status().running) {
    return reply.simple("Background saving scheduled");
  }
  const auto started = context.services.backups->start();
  if (!started) return reply_refusal(reply, started.error());
  reply.simple("Background saving started");
}

// LASTSAVE: of the last backup; before there is one, the time at which the server started.
void lastsave_command(Context& context, Args, ReplyWriter& reply) {
  const Backups* const backups = context.services.backups;
  if (backups != nullptr) {
    if (const auto last = backups->status().last_completed_unix_seconds; last != 0) {
      return reply.integer(last);
    }
  }
  reply.integer(std::chrono::duration_cast<std::chrono::seconds>(
                    context.services.metrics.started_at_wall_clock().time_since_epoch())
                    .count());
}

constexpr KeyRange no_keys{};

constexpr std::array rows{
    Command{"bgsave",
            -1,
            admin | dangerous | no_script | no_async_loading,
            no_keys,
            bgsave_command,
            {"Makes a backup in the background.", "1.0.0", "server", "O(N) with N the files",
             "[SCHEDULE]"}},
    Command{"lastsave",
            1,
            loading | stale | fast | dangerous,
            no_keys,
            lastsave_command,
            {"Returns the Unix time of the last backup, or of the server's start.", "1.0.0",
             "server", "O(1)", "", "", "nondeterministic_output"}},
    Command{"save",
            1,
            admin | dangerous | no_script | no_async_loading | no_multi | slow,
            no_keys,
            save_command,
            {"Makes a backup and waits for it.", "1.0.0", "server", "O(N) with N the files", ""}},
};

void pair(ReplyWriter& reply, std::string_view name, std::uint64_t value) {
  reply.bulk(name);
  reply.integer(static_cast<std::int64_t>(value));
}

}  // namespace

// KVS BACKUP name: replies what it cost.
void kvs_backup_command(Context& context, Args args, ReplyWriter& reply) {
  if (!offered(context, reply)) return;
  if (!valid_backup_name(args[2])) {
    return reply.error(
        "ERR a backup's name is 1 to 100 of A-Z a-z 0-9 . _ - and begins with no dot");
  }
  const auto made = context.services.backups->make(std::string(args[2]));
  if (!made) return reply_refusal(reply, made.error());
  reply.map(6);
  pair(reply, "position", made->position);
  pair(reply, "files", made->files);
  pair(reply, "bytes", made->bytes);
  pair(reply, "new_files", made->new_files);
  pair(reply, "new_bytes", made->new_bytes);
  pair(reply, "copied_bytes", made->copied_bytes);
}

// KVS SCRUB [NOW | STATUS]
void kvs_scrub_command(Context& context, Args args, ReplyWriter& reply) {
  const bool now = args.size() == 3 && is_word(args[2], "NOW");
  const bool status = args.size() == 2 || (args.size() == 3 && is_word(args[2], "STATUS"));
  if (now) {
    const auto requested = context.services.engine.request_scrub();
    if (!requested) return reply_refusal(reply, requested.error());
    return reply.simple("Scrub started");
  }
  if (!status) return reply.error(texts::syntax_error);
  const ScrubStats stats = context.services.engine.stats().scrub;
  reply.map(8);
  pair(reply, "running", stats.running ? 1 : 0);
  pair(reply, "passes", stats.passes);
  pair(reply, "last_completed", static_cast<std::uint64_t>(stats.last_completed) / 1000);
  pair(reply, "pass_bytes", stats.pass_bytes);
  pair(reply, "pass_bytes_total", stats.pass_bytes_total);
  pair(reply, "bytes", stats.bytes);
  pair(reply, "errors", stats.errors);
  reply.bulk("damaged_segments");
  reply.bulk(stats.damaged_segments);
}

std::span<const Command> backup_commands() {
  return rows;
}

}  // namespace kvs::daemon
