// counters.cc - values that are numbers: INCR, DECR and their relatives.
//
// A counter keeps its deadline. Integers are 64 bits wide; floats are long double, written with 17
// digits behind the point, so that results equal Redis' to the last digit.
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <string>

#include "daemon/command_table.h"
#include "daemon/commands/arguments.h"
#include "daemon/context.h"
#include "daemon/notifications.h"

namespace kvs::daemon {

namespace {

using resp::ReplyWriter;

void add(Context& context, std::string_view key, std::int64_t amount, ReplyWriter& reply) {
  std::string text;
  const auto found = context.get(key, text);
  if (!found) return reply_error(reply, found.error());
  std::int64_t value = 0;
  if (*found) {
    const auto old = integer_argument(text, reply);
    if (!old) return;
    value = *old;
  }
  if (__builtin_add_overflow(value, amount, &value)) {
    return reply.error("ERR increment or decrement would overflow");
  }
  std::array<char, 24> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  context.put(key, std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data())),
              *found ? (*found)->expire_at : never);
  context.notify(notify_string, "incrby", key);
  reply.integer(value);
}

void incr_command(Context& context, Args args, ReplyWriter& reply) {
  add(context, args[1], 1, reply);
}

void decr_command(Context& context, Args args, ReplyWriter& reply) {
  add(context, args[1], -1, reply);
}

void incrby_command(Context& context, Args args, ReplyWriter& reply) {
  const auto amount = integer_argument(args[2], reply);
  if (amount) add(context, args[1], *amount, reply);
}

void decrby_command(Context& context, Args args, ReplyWriter& reply) {
  const auto amount = integer_argument(args[2], reply);
  if (!amount) return;
  if (*amount == std::numeric_limits<std::int64_t>::min()) {
    return reply.error("ERR decrement would overflow");
  }
  add(context, args[1], -*amount, reply);
}

// INCRBYFLOAT key increment: the new value, as text.
void incrbyfloat_command(Context& context, Args args, ReplyWriter& reply) {
  std::string text;
  const auto found = context.get(args[1], text);
  if (!found) return reply_error(reply, found.error());
  const auto old = *found ? parse_float(text) : 0.0L;
  const auto amount = parse_float(args[2]);
  if (!old || !amount) return reply.error(texts::not_a_float);
  const long double value = *old + *amount;
  if (std::isnan(value) || std::isinf(value)) {
    return reply.error("ERR increment would produce NaN or Infinity");
  }
  const std::string formatted = format_float(value);
  context.put(args[1], formatted, *found ? (*found)->expire_at : never);
  context.notify(notify_string, "incrbyfloat", args[1]);
  reply.bulk(formatted);
}

constexpr KeyRange one_key{1, 1, 1};
constexpr std::uint32_t flags = writes | reads_values | deny_oom | fast;

constexpr std::array rows{
    Command{"decr",
            2,
            flags,
            one_key,
            decr_command,
            {"Subtracts one from the integer of a key; an absent key counts as 0.", "1.0.0",
             "string", "O(1)", "key", "RW access update"}},
    Command{"decrby",
            3,
            flags,
            one_key,
            decrby_command,
            {"Subtracts from the integer of a key; an absent key counts as 0.", "1.0.0", "string",
             "O(1)", "key decrement", "RW access update"}},
    Command{"incr",
            2,
            flags,
            one_key,
            incr_command,
            {"Adds one to the integer of a key; an absent key counts as 0.", "1.0.0", "string",
             "O(1)", "key", "RW access update"}},
    Command{"incrby",
            3,
            flags,
            one_key,
            incrby_command,
            {"Adds to the integer of a key; an absent key counts as 0.", "1.0.0", "string", "O(1)",
             "key increment", "RW access update"}},
    Command{"incrbyfloat",
            3,
            flags,
            one_key,
            incrbyfloat_command,
            {"Adds to the floating-point number of a key; an absent key counts as 0.", "2.6.0",
             "string", "O(1)", "key increment", "RW access update"}},
};

}  // namespace

std::span<const Command> counter_commands() {
  return rows;
}

}  // namespace kvs::daemon
