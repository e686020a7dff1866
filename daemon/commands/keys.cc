// keys.cc - commands on keys whatever their value: DEL, EXISTS, RENAME, COPY, OBJECT ...
#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "daemon/command_table.h"
#include "daemon/commands/arguments.h"
#include "daemon/context.h"
#include "daemon/notifications.h"

namespace kvs::daemon {

namespace {

using resp::ReplyWriter;

// DEL key [key ...]: how many were there. A key that is named twice counts once.
void del_command(Context& context, Args args, ReplyWriter& reply) {
  std::vector<std::string_view> present;
  for (const std::string_view key : args.subspan(1)) {
    const auto found = context.find(key);
    if (!found) return reply_error(reply, found.error());
    if (*found) present.push_back(key);
  }
  std::sort(present.begin(), present.end());
  present.erase(std::unique(present.begin(), present.end()), present.end());
  for (const std::string_view key : present) {
    context.remove(key);
    context.notify(notify_generic, "del", key);
  }
  reply.integer(static_cast<std::int64_t>(present.size()));
}

// EXISTS, TOUCH key [key ...]: how many are there. A key that is named twice counts twice.
void exists_command(Context& context, Args args, ReplyWriter& reply) {
  std::int64_t present = 0;
  for (const std::string_view key : args.subspan(1)) {
    const auto found = context.find(key);
    if (!found) return reply_error(reply, found.error());
    if (*found) ++present;
  }
  reply.integer(present);
}

void type_command(Context& context, Args args, ReplyWriter& reply) {
  const auto found = context.find(args[1]);
  if (!found) return reply_error(reply, found.error());
  reply.simple(*found ? "string" : "none");
}

enum class Target : std::uint8_t { any, absent };

// Answers the error and returns false, or answers nothing and has moved the key (`moved` set), or
// has left it (the target was not absent).
bool rename_key(Context& context, Args args, Target target, ReplyWriter& reply, bool& moved) {
  moved = false;
  std::string value;
  const auto source = context.get(args[1], value);
  if (!source) return reply_error(reply, source.error()), false;
  if (!*source) return reply.error(texts::no_such_key), false;
  if (target == Target::absent) {
    const auto present = context.find(args[2]);
    if (!present) return reply_error(reply, present.error()), false;
    if (*present) return true;
  }
  moved = true;
  if (args[1] == args[2]) return true;
  context.put_as_new(context.client.database, args[2], value, (*source)->expire_at);
  context.remove(args[1]);
  context.notify(notify_generic, "rename_from", args[1]);
  context.notify(notify_generic, "rename_to", args[2]);
  return true;
}

void rename_command(Context& context, Args args, ReplyWriter& reply) {
  bool moved = false;
  if (rename_key(context, args, Target::any, reply, moved)) reply.ok();
}

void renamenx_command(Context& context, Args args, ReplyWriter& reply) {
  bool moved = false;
  if (rename_key(context, args, Target::absent, reply, moved)) reply.integer(moved ? 1 : 0);
}

// COPY source destination [DB destination-db] [REPLACE]: 1 when copied, else 0.
void copy_command(Context& context, Args args, ReplyWriter& reply) {
  Database target = context.client.database;
  bool replace = false;
  for (std::size_t i = 3; i < args.size(); ++i) {
    if (is_word(args[i], "REPLACE")) {
      replace = true;
    } else if (is_word(args[i], "DB") && i + 1 < args.size()) {
      const auto database = database_argument(args[++i], reply);
      if (!database) return;
      target = *database;
    } else {
      return reply.error(texts::syntax_error);
    }
  }
  if (target == context.client.database && args[1] == args[2]) {
    return reply.error(texts::same_objects);
  }
  std::string value;
  const auto source = context.get(args[1], value, Lookup::read);
  if (!source) return reply_error(reply, source.error());
  if (!*source) return reply.integer(0);
  if (!replace) {
    const auto present = context.find(target, args[2]);
    if (!present) return reply_error(reply, present.error());
    if (*present) return reply.integer(0);
  }
  context.put_as_new(target, args[2], value, (*source)->expire_at);
  context.notify(notify_generic, "copy_to", target, args[2]);
  reply.integer(1);
}

// MOVE key db: 1 when the key is now in that database, 0 when it is absent or there already.
void move_command(Context& context, Args args, ReplyWriter& reply) {
  const auto target = database_argument(args[2], reply);
  if (!target) return;
  if (*target == context.client.database) return reply.error(texts::same_objects);
  std::string value;
  const auto source = context.get(args[1], value);
  if (!source) return reply_error(reply, source.error());
  if (!*source) return reply.integer(0);
  const auto present = context.find(*target, args[1]);
  if (!present) return reply_error(reply, present.error());
  if (*present) return reply.integer(0);
  context.publish_together();
  context.put(*target, args[1], value, (*source)->expire_at);
  context.remove(args[1]);
  context.notify(notify_generic, "move_from", args[1]);
  context.notify(notify_generic, "move_to", *target, args[1]);
  reply.integer(1);
}

// OBJECT ENCODING key: what Redis would have chosen for a value that was SET.
void object_encoding(Context& context, Args args, ReplyWriter& reply) {
  constexpr std::size_t embedded_bytes_max = 44;
  std::string value;
  const auto found = context.get(args[2], value, Lookup::untold);
  if (!found) return reply_error(reply, found.error());
  if (!*found) return reply.null();
  if (parse_integer(value)) return reply.bulk("int");
  reply.bulk(value.size() <= embedded_bytes_max ? "embstr" : "raw");
}

// OBJECT FREQ, IDLETIME and REFCOUNT: kept for no key here. The key has to be there all the same.
template <class Answer>
void object_property(Context& context, Args args, ReplyWriter& reply, Answer answer) {
  const auto found = context.find(args[2], Lookup::untold);
  if (!found) return reply_error(reply, found.error());
  if (!*found) return reply.null();
  answer();
}

void object_freq(Context& context, Args args, ReplyWriter& reply) {
  object_property(context, args, reply, [&] {
    reply.error(
        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note "
        "that when switching between policies at runtime LRU and LFU data will take some time to "
        "adjust.");
  });
}

void object_idletime(Context& context, Args args, ReplyWriter& reply) {
  object_property(context, args, reply, [&] { reply.integer(0); });
}

void object_refcount(Context& context, Args args, ReplyWriter& reply) {
  object_property(context, args, reply, [&] { reply.integer(1); });
}

void object_help(Context&, Args, ReplyWriter& reply) {
  constexpr std::array<std::string_view, 8> lines = {
      "ENCODING <key>", "    Return the kind of representation that suits the value of <key>.",
      "FREQ <key>",     "    An error: access frequencies are not tracked.",
      "IDLETIME <key>", "    Return 0: idle times are not tracked.",
      "REFCOUNT <key>", "    Return 1: values are never shared.",
  };
  reply_help(reply, "OBJECT", lines);
}

constexpr KeyRange no_keys{};
constexpr KeyRange one_key{1, 1, 1};
constexpr KeyRange two_keys{1, 2, 1};
constexpr KeyRange all_keys{1, -1, 1};
constexpr KeyRange object_key{2, 2, 1};
constexpr std::string_view sums = "request_policy:multi_shard response_policy:agg_sum";

constexpr std::array object_rows{
    Command{"object|encoding",
            3,
            reads | keyspace_family,
            object_key,
            object_encoding,
            {"Returns how a value is represented.", "2.2.3", "generic", "O(1)", "key", "RO",
             "nondeterministic_output"}},
    Command{"object|freq",
            3,
            reads | keyspace_family,
            object_key,
            object_freq,
            {"Returns an error: access frequencies are not tracked.", "4.0.0", "generic", "O(1)",
             "key", "RO", "nondeterministic_output"}},
    Command{"object|help",
            2,
            loading | stale | keyspace_family,
            no_keys,
            object_help,
            {"Lists the subcommands.", "6.2.0", "generic", "O(1)", ""}},
    Command{"object|idletime",
            3,
            reads | keyspace_family,
            object_key,
            object_idletime,
            {"Returns 0: idle times are not tracked.", "2.2.3", "generic", "O(1)", "key", "RO",
             "nondeterministic_output"}},
    Command{"object|refcount",
            3,
            reads | keyspace_family,
            object_key,
            object_refcount,
            {"Returns 1: values are not shared.", "2.2.3", "generic", "O(1)", "key", "RO",
             "nondeterministic_output"}},
};

constexpr std::array rows{
    Command{"copy",
            -3,
            writes | reads_values | deny_oom | keyspace_family,
            two_keys,
            copy_command,
            {"Copies a value and its expiration time to another key.", "6.2.0", "generic",
             "O(N) with N the length of the value",
             "source destination [DB destination-db] [REPLACE]", "RO access;OW update"}},
    Command{"del",
            -2,
            writes | keyspace_family,
            all_keys,
            del_command,
            {"Removes keys.", "1.0.0", "generic", "O(N) with N the number of keys", "key [key ...]",
             "RM delete", sums}},
    Command{"exists",
            -2,
            reads | fast | keyspace_family,
            all_keys,
            exists_command,
            {"Counts how many of the keys are present.", "1.0.0", "generic",
             "O(N) with N the number of keys", "key [key ...]", "RO", sums}},
    Command{"move",
            3,
            writes | reads_values | fast | keyspace_family,
            one_key,
            move_command,
            {"Moves a key to another database.", "1.0.0", "generic",
             "O(N) with N the length of the value", "key db", "RW access update"}},
    Command{"object",
            -2,
            0,
            no_keys,
            nullptr,
            {"A container for commands that look into values.", "2.2.3", "generic",
             "Depends on subcommand.", ""},
            object_rows},
    Command{"rename",
            3,
            writes | reads_values | keyspace_family,
            two_keys,
            rename_command,
            {"Renames a key, replacing what has the new name.", "1.0.0", "generic",
             "O(N) with N the length of the value", "key newkey", "RW access delete;OW update"}},
    Command{"renamenx",
            3,
            writes | reads_values | fast | keyspace_family,
            two_keys,
            renamenx_command,
            {"Renames a key if the new name is free.", "1.0.0", "generic",
             "O(N) with N the length of the value", "key newkey", "RW access delete;OW insert"}},
    Command{"touch",
            -2,
            reads | fast | keyspace_family,
            all_keys,
            exists_command,
            {"Counts how many of the keys are present.", "3.2.1", "generic",
             "O(N) with N the number of keys", "key [key ...]", "RO", sums}},
    Command{"type",
            2,
            reads | fast | keyspace_family,
            one_key,
            type_command,
            {"Returns the type of a value: string, or none when the key is absent.", "1.0.0",
             "generic", "O(1)", "key", "RO"}},
    Command{"unlink",
            -2,
            writes | fast | keyspace_family,
            all_keys,
            del_command,
            {"Removes keys; the same as DEL.", "4.0.0", "generic", "O(N) with N the number of keys",
             "key [key ...]", "RM delete", sums}},
};

}  // namespace

std::span<const Command> generic_commands() {
  return rows;
}

}  // namespace kvs::daemon
