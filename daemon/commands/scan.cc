// scan.cc - commands on a whole database: KEYS, SCAN, RANDOMKEY, DBSIZE, FLUSHDB, FLUSHALL, SWAPDB.
//
// They see what their own batch or transaction has written before them (pending_view.h).
#include <array>
#include <cerrno>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "daemon/command_table.h"
#include "daemon/commands/arguments.h"
#include "daemon/context.h"
#include "daemon/glob.h"

namespace kvs::daemon {

namespace {

using resp::ReplyWriter;

void reply_names(ReplyWriter& reply, const std::vector<std::string>& names) {
  reply.array(names.size());
  for (const std::string& name : names) reply.bulk(name);
}

// KEYS pattern: all keys that match.
void keys_command(Context& context, Args args, ReplyWriter& reply) {
  constexpr std::size_t step_keys = 1024;
  std::vector<std::string> names;
  const auto collect = [&](std::string_view name, const KeyInfo&) {
    if (args[1] == "*" || glob_matches(args[1], name)) names.emplace_back(name);
  };
  std::uint64_t cursor = 0;
  do {
    const auto next = context.scan(cursor, step_keys, collect);
    if (!next) return reply_error(reply, next.error());
    cursor = *next;
  } while (cursor != 0);
  reply_names(reply, names);
}

// As strtoul reads it, which takes a sign, but whole and without spaces before it.
std::optional<std::uint64_t> cursor_argument(std::string_view text, ReplyWriter& reply) {
  const std::string terminated(text);
  char* end = nullptr;
  errno = 0;
  const std::uint64_t cursor = std::strtoull(terminated.c_str(), &end, 10);
  const bool begins_with_space =
      !text.empty() && std::string_view(" \t\n\v\f\r").find(text.front()) != std::string_view::npos;
  if (begins_with_space || *end != '\0' || errno == ERANGE) {
    reply.error("ERR invalid cursor");
    return std::nullopt;
  }
  return cursor;
}

// SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]: the next cursor and some keys.
void scan_command(Context& context, Args args, ReplyWriter& reply) {
  // Bounds one step's work and memory, however large a COUNT was asked for.
  constexpr std::int64_t count_max = 100'000;
  const auto cursor = cursor_argument(args[1], reply);
  if (!cursor) return;
  std::int64_t count = 10;
  std::string_view pattern = "*";
  bool right_type = true;
  for (std::size_t i = 2; i < args.size(); i += 2) {
    const bool has_value = i + 1 < args.size();
    if (has_value && is_word(args[i], "COUNT")) {
      const auto wanted = integer_argument(args[i + 1], reply);
      if (!wanted) return;
      if (*wanted < 1) return reply.error(texts::syntax_error);
      count = std::min(*wanted, count_max);
    } else if (has_value && is_word(args[i], "MATCH")) {
      pattern = args[i + 1];
    } else if (has_value && is_word(args[i], "TYPE")) {
      right_type = is_word(args[i + 1], "STRING");
    } else {
      return reply.error(texts::syntax_error);
    }
  }
  std::vector<std::string> names;
  const auto next = context.scan(
      *cursor, static_cast<std::size_t>(count), [&](std::string_view name, const KeyInfo&) {
        if (right_type && (pattern == "*" || glob_matches(pattern, name))) {
          names.emplace_back(name);
        }
      });
  if (!next) return reply_error(reply, next.error());
  reply.array(2);
  reply.bulk(std::to_string(*next));
  reply_names(reply, names);
}

void randomkey_command(Context& context, Args, ReplyWriter& reply) {
  const auto key = context.random_key();
  if (!key) return reply_error(reply, key.error());
  if (!*key) return reply.null();
  reply.bulk(**key);
}

void dbsize_command(Context& context, Args, ReplyWriter& reply) {
  const DatabaseStats stats = context.database_stats(context.client.database);
  reply.integer(static_cast<std::int64_t>(stats.keys));
}

// Emptying is one record either way, so ASYNC and SYNC differ in nothing.
bool flush_options_valid(Args args, ReplyWriter& reply) {
  if (args.size() == 1) return true;
  if (args.size() == 2 && (is_word(args[1], "ASYNC") || is_word(args[1], "SYNC"))) return true;
  reply.error(texts::syntax_error);
  return false;
}

void flushdb_command(Context& context, Args args, ReplyWriter& reply) {
  if (!flush_options_valid(args, reply)) return;
  context.clear(context.client.database);
  reply.ok();
}

void flushall_command(Context& context, Args args, ReplyWriter& reply) {
  if (!flush_options_valid(args, reply)) return;
  for (unsigned database = 0; database < databases_count; ++database) {
    context.clear(static_cast<Database>(database));
  }
  reply.ok();
}

bool is_int(std::int64_t number) {
  return number >= std::numeric_limits<int>::min() && number <= std::numeric_limits<int>::max();
}

// SWAPDB index1 index2: OK; each has the other's keys, at one instant and whatever their number.
void swapdb_command(Context& context, Args args, ReplyWriter& reply) {
  const auto first_number = parse_integer(args[1]);
  if (!first_number || !is_int(*first_number)) return reply.error("ERR invalid first DB index");
  const auto second_number = parse_integer(args[2]);
  if (!second_number || !is_int(*second_number)) return reply.error("ERR invalid second DB index");
  const auto in_range = [](std::int64_t number) { return number >= 0 && number < databases_count; };
  if (!in_range(*first_number) || !in_range(*second_number)) {
    return reply.error(texts::database_out_of_range);
  }
  const auto first = static_cast<Database>(*first_number);
  const auto second = static_cast<Database>(*second_number);
  if (first == second) return reply.ok();
  if (!context.can_write()) return reply.error(texts::disk_full);
  context.swap(first, second);
  reply.ok();
}

constexpr KeyRange no_keys{};
constexpr std::string_view everywhere = "request_policy:all_shards response_policy:all_succeeded";

constexpr std::array rows{
    Command{"dbsize",
            1,
            reads | fast | keyspace_family,
            no_keys,
            dbsize_command,
            {"Returns the number of keys in the database.", "1.0.0", "server", "O(1)", "", "",
             "request_policy:all_shards response_policy:agg_sum"}},
    Command{"flushall",
            -1,
            writes | dangerous | keyspace_family,
            no_keys,
            flushall_command,
            {"Removes all keys of all databases.", "1.0.0", "server", "O(1)", "[ASYNC | SYNC]", "",
             everywhere}},
    Command{"flushdb",
            -1,
            writes | dangerous | keyspace_family,
            no_keys,
            flushdb_command,
            {"Removes all keys of the database.", "1.0.0", "server", "O(1)", "[ASYNC | SYNC]", "",
             everywhere}},
    Command{"keys",
            2,
            reads | slow | dangerous | keyspace_family,
            no_keys,
            keys_command,
            {"Returns all keys that match a pattern.", "1.0.0", "generic",
             "O(N) with N the number of keys in the database", "pattern", "",
             "request_policy:all_shards nondeterministic_output_order"}},
    Command{"randomkey",
            1,
            reads | keyspace_family,
            no_keys,
            randomkey_command,
            {"Returns a key chosen at random.", "1.0.0", "generic", "O(1)", "", "",
             "request_policy:all_shards nondeterministic_output"}},
    Command{"scan",
            -2,
            reads | keyspace_family,
            no_keys,
            scan_command,
            {"Goes through the keys of the database step by step.", "2.8.0", "generic",
             "O(COUNT) for a step, O(N) for a whole scan",
             "cursor [MATCH pattern] [COUNT count] [TYPE type]", "",
             "nondeterministic_output request_policy:special"}},
    Command{
        "swapdb",
        3,
        writes | fast | dangerous | keyspace_family,
        no_keys,
        swapdb_command,
        {"Exchanges the keys of two databases.", "4.0.0", "server",
         "O(N) with N the number of keys that are watched in either database", "index1 index2"}},
};

}  // namespace

std::span<const Command> scan_commands() {
  return rows;
}

}  // namespace kvs::daemon
