// expiry.cc - deadlines of keys: EXPIRE and its three relatives, TTL, EXPIRETIME, PERSIST.
//
// A new deadline is a new record of the same value, since a record of the log never changes.
#include <algorithm>
#include <array>
#include <limits>
#include <string>

#include "daemon/command_table.h"
#include "daemon/commands/arguments.h"
#include "daemon/context.h"
#include "daemon/notifications.h"

namespace kvs::daemon {

namespace {

using resp::ReplyWriter;

struct Conditions {
  bool without_deadline = false;  // NX
  bool with_deadline = false;     // XX
  bool greater = false;           // GT
  bool less = false;              // LT

  // Having no deadline counts as an infinite one.
  bool allow(UnixMs current, UnixMs wanted) const {
    if (without_deadline && current != never) return false;
    if (with_deadline && current == never) return false;
    if (greater && (current == never || wanted <= current)) return false;
    if (less && current != never && wanted >= current) return false;
    return true;
  }
};

std::optional<Conditions> conditions_argument(Args words, ReplyWriter& reply) {
  Conditions conditions;
  for (const std::string_view word : words) {
    if (is_word(word, "NX")) {
      conditions.without_deadline = true;
    } else if (is_word(word, "XX")) {
      conditions.with_deadline = true;
    } else if (is_word(word, "GT")) {
      conditions.greater = true;
    } else if (is_word(word, "LT")) {
      conditions.less = true;
    } else {
      reply.error("ERR Unsupported option " + as_printed(word));
      return std::nullopt;
    }
  }
  if (conditions.without_deadline &&
      (conditions.with_deadline || conditions.greater || conditions.less)) {
    reply.error("ERR NX and XX, GT or LT options at the same time are not compatible");
    return std::nullopt;
  }
  if (conditions.greater && conditions.less) {
    reply.error("ERR GT and LT options at the same time are not compatible");
    return std::nullopt;
  }
  return conditions;
}

// EXPIRE and relatives: 1 when the deadline was set (or the key removed, the deadline having passed
// already), 0 when the key is absent or a condition forbids it.
void expire_key(Context& context, Args args, TimeUnit unit, TimeBase base, std::string_view command,
                ReplyWriter& reply) {
  const auto conditions = conditions_argument(args.subspan(3), reply);
  if (!conditions) return;
  const auto time = integer_argument(args[2], reply);
  if (!time) return;
  UnixMs deadline = 0;
  if (__builtin_mul_overflow(*time, unit == TimeUnit::seconds ? 1000 : 1, &deadline) ||
      __builtin_add_overflow(deadline, base == TimeBase::now ? context.now() : 0, &deadline)) {
    std::string text = "ERR invalid expire time in '";
    return reply.error(text.append(command).append("' command"));
  }

  std::string value;
  const bool has_passed = deadline <= context.now();
  const auto found = has_passed ? context.find(args[1]) : context.get(args[1], value);
  if (!found) return reply_error(reply, found.error());
  if (!*found || !conditions->allow((*found)->expire_at, deadline)) return reply.integer(0);
  if (has_passed) {
    context.remove(args[1]);
    context.notify(notify_generic, "del", args[1]);
  } else {
    context.put(args[1], value, deadline);
    context.notify(notify_generic, "expire", args[1]);
  }
  reply.integer(1);
}

void expire_command(Context& context, Args args, ReplyWriter& reply) {
  expire_key(context, args, TimeUnit::seconds, TimeBase::now, "expire", reply);
}

void pexpire_command(Context& context, Args args, ReplyWriter& reply) {
  expire_key(context, args, TimeUnit::milliseconds, TimeBase::now, "pexpire", reply);
}

void expireat_command(Context& context, Args args, ReplyWriter& reply) {
  expire_key(context, args, TimeUnit::seconds, TimeBase::epoch, "expireat", reply);
}

void pexpireat_command(Context& context, Args args, ReplyWriter& reply) {
  expire_key(context, args, TimeUnit::milliseconds, TimeBase::epoch, "pexpireat", reply);
}

// TTL and relatives: -2 when the key is absent, -1 when it has no deadline. Seconds are rounded.
void reply_deadline(Context& context, Args args, TimeUnit unit, TimeBase base, ReplyWriter& reply) {
  const auto found = context.find(args[1]);
  if (!found) return reply_error(reply, found.error());
  if (!*found) return reply.integer(-2);
  if ((*found)->expire_at == never) return reply.integer(-1);
  const UnixMs time = base == TimeBase::epoch
                          ? (*found)->expire_at
                          : std::max<UnixMs>((*found)->expire_at - context.now(), 0);
  reply.integer(unit == TimeUnit::milliseconds ? time : time / 1000 + (time % 1000 >= 500 ? 1 : 0));
}

void ttl_command(Context& context, Args args, ReplyWriter& reply) {
  reply_deadline(context, args, TimeUnit::seconds, TimeBase::now, reply);
}

void pttl_command(Context& context, Args args, ReplyWriter& reply) {
  reply_deadline(context, args, TimeUnit::milliseconds, TimeBase::now, reply);
}

void expiretime_command(Context& context, Args args, ReplyWriter& reply) {
  reply_deadline(context, args, TimeUnit::seconds, TimeBase::epoch, reply);
}

void pexpiretime_command(Context& context, Args args, ReplyWriter& reply) {
  reply_deadline(context, args, TimeUnit::milliseconds, TimeBase::epoch, reply);
}

// PERSIST key: 1 when a deadline was removed.
void persist_command(Context& context, Args args, ReplyWriter& reply) {
  std::string value;
  const auto found = context.get(args[1], value);
  if (!found) return reply_error(reply, found.error());
  if (!*found || (*found)->expire_at == never) return reply.integer(0);
  context.put(args[1], value, never);
  context.notify(notify_generic, "persist", args[1]);
  reply.integer(1);
}

constexpr KeyRange one_key{1, 1, 1};
constexpr std::uint32_t write_flags = writes | reads_values | fast | keyspace_family;
constexpr std::uint32_t read_flags = reads | fast | keyspace_family;

constexpr std::array rows{
    Command{"expire",
            -3,
            write_flags,
            one_key,
            expire_command,
            {"Sets the time to live of a key in seconds.", "1.0.0", "generic", "O(1)",
             "key seconds [NX | XX | GT | LT]", "RW update"}},
    Command{"expireat",
            -3,
            write_flags,
            one_key,
            expireat_command,
            {"Sets the expiration time of a key as a Unix time in seconds.", "1.2.0", "generic",
             "O(1)", "key unix-time-seconds [NX | XX | GT | LT]", "RW update"}},
    Command{"expiretime",
            2,
            read_flags,
            one_key,
            expiretime_command,
            {"Returns the expiration time of a key as a Unix time in seconds.", "7.0.0", "generic",
             "O(1)", "key", "RO access"}},
    Command{
        "persist",
        2,
        write_flags,
        one_key,
        persist_command,
        {"Removes the expiration time of a key.", "2.2.0", "generic", "O(1)", "key", "RW update"}},
    Command{"pexpire",
            -3,
            write_flags,
            one_key,
            pexpire_command,
            {"Sets the time to live of a key in milliseconds.", "2.6.0", "generic", "O(1)",
             "key milliseconds [NX | XX | GT | LT]", "RW update"}},
    Command{"pexpireat",
            -3,
            write_flags,
            one_key,
            pexpireat_command,
            {"Sets the expiration time of a key as a Unix time in milliseconds.", "2.6.0",
             "generic", "O(1)", "key unix-time-milliseconds [NX | XX | GT | LT]", "RW update"}},
    Command{"pexpiretime",
            2,
            read_flags,
            one_key,
            pexpiretime_command,
            {"Returns the expiration time of a key as a Unix time in milliseconds.", "7.0.0",
             "generic", "O(1)", "key", "RO access"}},
    Command{"pttl",
            2,
            read_flags,
            one_key,
            pttl_command,
            {"Returns the time to live of a key in milliseconds.", "2.6.0", "generic", "O(1)",
             "key", "RO access", "nondeterministic_output"}},
    Command{"ttl",
            2,
            read_flags,
            one_key,
            ttl_command,
            {"Returns the time to live of a key in seconds.", "1.0.0", "generic", "O(1)", "key",
             "RO access", "nondeterministic_output"}},
};

}  // namespace

std::span<const Command> expiry_commands() {
  return rows;
}

}  // namespace kvs::daemon
