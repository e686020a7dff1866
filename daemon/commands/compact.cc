// compact.cc - KVS COMPACT: steers the compaction of the log. Nothing here takes a path.
#include <array>
#include <cstdio>
#include <string>

#include "daemon/commands/amplification.h"
#include "daemon/commands/arguments.h"
#include "daemon/commands/compact_handlers.h"
#include "daemon/settings.h"

namespace kvs::daemon {

namespace {

using resp::ReplyWriter;

std::string ratio_text(double ratio) {
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%.3f", ratio);
  return text.data();
}

// A map of names and figures.
void compact_status(Context& context, ReplyWriter& reply) {
  const EngineStats stats = context.services.engine.stats();
  const auto number = [&reply](std::string_view name, std::uint64_t value) {
    reply.bulk(name);
    reply.integer(static_cast<std::int64_t>(value));
  };
  const char* const state = stats.compaction_paused    ? "paused"
                            : stats.compaction_running ? "running"
                                                       : "idle";
  reply.map(15);
  reply.bulk("state");
  reply.bulk(state);
  number("debt-bytes", stats.compaction_debt_bytes);
  number("bytes-per-second", stats.compaction_rate_bytes);
  number("rate-limit", stats.compaction_rate_limit_bytes);
  number("segments-compacted", stats.compactions);
  number("bytes-copied", stats.compacted_bytes);
  number("disk-bytes", stats.disk_bytes);
  number("disk-bytes-allowed", stats.space_allowed_bytes);
  number("live-bytes", stats.live_bytes);
  number("dead-bytes", stats.dead_bytes);
  reply.bulk("space-amplification");
  reply.bulk(ratio_text(space_amplification(stats)));
  reply.bulk("write-amplification");
  reply.bulk(ratio_text(write_amplification(stats)));
  number("writer-delays", stats.writer_delays);
  number("writer-delay-us", stats.writer_delay_us);
  number("disk-full", stats.disk_full ? 1 : 0);
}

void compact_limit(Context& context, Args args, ReplyWriter& reply) {
  if (args.size() != 4) return reply.error(texts::syntax_error);
  const auto limit = integer_argument(args[3], reply);
  if (!limit) return;
  if (*limit < 0) return reply.error("ERR the limit must not be negative");
  context.services.settings.compact_rate_limit = static_cast<std::uint64_t>(*limit);
  context.services.engine.limit_compaction(static_cast<std::uint64_t>(*limit));
  reply.ok();
}

}  // namespace

// KVS COMPACT [NOW | PAUSE | RESUME | STATUS | LIMIT bytes-per-second]; without a word, NOW.
void kvs_compact_command(Context& context, Args args, ReplyWriter& reply) {
  Engine& engine = context.services.engine;
  const std::string_view word = args.size() > 2 ? args[2] : "NOW";
  if (is_word(word, "LIMIT")) return compact_limit(context, args, reply);
  if (args.size() > 3) return reply.error(texts::syntax_error);
  if (is_word(word, "STATUS")) return compact_status(context, reply);
  if (is_word(word, "NOW")) {
    if (engine.stats().compaction_paused) {
      return reply.error("ERR compaction is paused, KVS COMPACT RESUME lets it go on");
    }
    engine.request_compaction();
    return reply.ok();
  }
  if (is_word(word, "PAUSE")) {
    engine.pause_compaction();
    return reply.ok();
  }
  if (is_word(word, "RESUME")) {
    engine.resume_compaction();
    return reply.ok();
  }
  reply.error(texts::syntax_error);
}

}  // namespace kvs::daemon
