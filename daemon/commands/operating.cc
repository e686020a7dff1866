// operating.cc - MONITOR, SHUTDOWN, DEBUG SLEEP and LOLWUT.
//
// DEBUG knows SLEEP alone, which tests of clients need; what else Redis has there looks into its
// own insides or crashes it. It sleeps on the pool, so that it delays nobody but its connection.
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <string>
#include <thread>

#include "daemon/command_table.h"
#include "daemon/commands/arguments.h"
#include "daemon/commands/version.h"
#include "daemon/config.h"
#include "daemon/context.h"
#include "daemon/operations.h"

namespace kvs::daemon {

namespace {

using resp::ReplyWriter;

// MONITOR: from here on the connection is shown every command that runs.
void monitor_command(Context& context, Args, ReplyWriter& reply) {
  Client& client = context.client;
  if (!client.shared->has(ClientShared::monitor_flag)) {
    client.shared->set(ClientShared::monitor_flag);
    context.services.operations.monitors.add(client.mailbox);
  }
  reply.ok();
}

// SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] [ABORT]: ends the server as SIGTERM does, without a reply.
// Everything acknowledged is in the log already, so there is nothing to save or to leave unsaved.
void shutdown_command(Context& context, Args args, ReplyWriter& reply) {
  bool save = false;
  bool no_save = false;
  bool abort = false;
  bool other = false;
  for (const std::string_view word : args.subspan(1)) {
    if (is_word(word, "SAVE")) {
      save = true;
    } else if (is_word(word, "NOSAVE")) {
      no_save = true;
    } else if (is_word(word, "ABORT")) {
      abort = true;
    } else if (is_word(word, "NOW") || is_word(word, "FORCE")) {
      other = true;
    } else {
      return reply.error(texts::syntax_error);
    }
  }
  if ((save && no_save) || (abort && (save || no_save || other))) {
    return reply.error(texts::syntax_error);
  }
  if (abort) return reply.error("ERR No shutdown in progress.");
  if (!context.services.operations.shut_down) {
    return reply.error("ERR Errors trying to SHUTDOWN. Check logs.");
  }
  context.client.close_after_reply = true;  // which there is none of
  context.services.operations.shut_down();
}

// DEBUG SLEEP seconds.
void debug_command(Context&, Args args, ReplyWriter& reply) {
  if (args.size() == 2 && is_word(args[1], "HELP")) {
    constexpr std::array<std::string_view, 2> lines = {
        "SLEEP <seconds>",
        "    Answer after <seconds>, which may have decimals. Other connections are not delayed.",
    };
    return reply_help(reply, "DEBUG", lines);
  }
  if (args.size() != 3 || !is_word(args[1], "SLEEP")) return reply_wrong_subcommand(reply, args);
  constexpr long double seconds_max = 60;
  const long double seconds = parse_float(args[2]).value_or(0);
  const auto time =
      std::chrono::duration<long double>(std::min(std::max(seconds, 0.0L), seconds_max));
  std::this_thread::sleep_for(std::chrono::duration_cast<std::chrono::microseconds>(time));
  reply.ok();
}

// LOLWUT [VERSION version [size ...]]: a small picture and the version, as Redis does. The pictures
// of Redis 5 and 6 take sizes, which must be integers.
void lolwut_command(Context& context, Args args, ReplyWriter& reply) {
  if (args.size() > 2 && is_word(args[1], "VERSION")) {
    const auto version = integer_argument(args[2], reply);
    if (!version) return;
    const std::size_t sizes = *version == 5 ? 3 : *version == 6 ? 2 : 0;
    for (const std::string_view size : args.subspan(3, std::min(sizes, args.size() - 3))) {
      if (!integer_argument(size, reply)) return;
    }
  }
  constexpr int width = 60;
  constexpr int height = 9;
  const double phase = static_cast<double>(context.now() % 10000) / 10000 * 6.283;
  std::string text;
  for (int row = 0; row < height; ++row) {
    for (int column = 0; column < width; ++column) {
      const double wave = std::sin(column / 6.0 + phase) * (height - 1) / 2.0 + (height - 1) / 2.0;
      text += std::lround(wave) == row ? '~' : ' ';
    }
    text += '\n';
  }
  text.append("Redis ver. ").append(redis_version).append(" (kvs ").append(kvs_version);
  reply.verbatim(text.append(")\n"));
}

constexpr KeyRange no_keys{};

constexpr std::array rows{
    Command{"debug",
            -2,
            admin | dangerous | no_script | loading | stale | slow | guarded,
            no_keys,
            debug_command,
            {"Sleeps, for tests of clients.", "1.0.0", "server", "Depends on subcommand.",
             "SLEEP seconds"}},
    Command{"lolwut",
            -1,
            reads | fast,
            no_keys,
            lolwut_command,
            {"Draws a picture and returns the version.", "5.0.0", "server", "O(1)",
             "[VERSION version]"}},
    Command{"monitor",
            1,
            admin | dangerous | no_script | loading | stale,
            no_keys,
            monitor_command,
            {"Shows every command that the server runs.", "1.0.0", "server", "O(1)", ""}},
    Command{"shutdown",
            -1,
            admin | dangerous | no_script | loading | stale | no_multi | allow_busy,
            no_keys,
            shutdown_command,
            {"Ends the server in order.", "1.0.0", "server", "O(1)",
             "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]"}},
};

}  // namespace

std::span<const Command> operating_commands() {
  return rows;
}

}  // namespace kvs::daemon
