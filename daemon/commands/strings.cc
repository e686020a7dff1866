// strings.cc - commands on whole values: GET, SET and their relatives.
//
// Every handler reads first and changes afterwards (context.h). A key never holds anything but a
// string, so WRONGTYPE does not exist here.
#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "daemon/command_table.h"
#include "daemon/commands/arguments.h"
#include "daemon/commands/string_writes.h"
#include "daemon/context.h"
#include "daemon/notifications.h"
#include "daemon/settings.h"
#include "storage/limits.h"

namespace kvs::daemon {

namespace {

using resp::ReplyWriter;

// Values are read into memory that is kept from one command to the next, unless it has grown large.
class Scratch {
 public:
  Scratch() { value().clear(); }
  ~Scratch() {
    if (value().capacity() > kept_bytes_max) std::string().swap(value());
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  std::string& value() noexcept {
    thread_local std::string bytes;
    return bytes;
  }

 private:
  static constexpr std::size_t kept_bytes_max = 64 * 1024;
};

void reply_value(ReplyWriter& reply, bool present, std::string&& value) {
  if (present) return reply.bulk(std::move(value));
  reply.null();
}

bool length_fits(Context& context, std::uint64_t bytes, ReplyWriter& reply) {
  const std::uint64_t bytes_max = std::min<std::uint64_t>(
      context.services.settings.proto_max_bulk_len.load(std::memory_order_relaxed),
      limits::value_bytes_max);
  if (bytes <= bytes_max) return true;
  reply.error(texts::value_too_long);
  return false;
}

// GET key: the value, or null.
void get_command(Context& context, Args args, ReplyWriter& reply) {
  Scratch scratch;
  const auto found = context.get(args[1], scratch.value());
  if (!found) return reply_error(reply, found.error());
  reply_value(reply, found->has_value(), std::move(scratch.value()));
}

// SET key value [options]: OK; null when NX, XX or IF... forbids it; with GET the old value or
// null.
void set_command(Context& context, Args args, ReplyWriter& reply) {
  const auto options = string_options(args, 3, OptionsOf::set, reply);
  if (!options) return;
  context.ask_for(options->durability);
  UnixMs expire_at = never;
  if (options->expiry) {
    const auto deadline = deadline_argument(*options->expiry, context.now(), "set", reply);
    if (!deadline) return;
    expire_at = *deadline;
  }

  Scratch old;
  std::optional<KeyInfo> present;
  if (options->looks_at_value() || options->keep_ttl || options->only_if_absent ||
      options->only_if_present) {
    const auto found =
        options->looks_at_value()
            ? context.get(args[1], old.value(), options->get ? Lookup::read : Lookup::as_flagged)
            : context.find(args[1]);
    if (!found) return reply_error(reply, found.error());
    present = *found;
  }
  bool refused = (options->only_if_absent && present) || (options->only_if_present && !present);
  if (options->condition) {
    if (present && !is_valid(*options->condition, reply)) return;
    refused =
        present ? !holds(*options->condition, old.value()) : !holds_for_absent(*options->condition);
  }
  if (!refused) {
    if (options->keep_ttl && present) expire_at = present->expire_at;
    put_until(context, args[1], args[2], expire_at);
    notify_set(context, args[1], options->expiry ? expire_at : never);
  }
  if (options->get) return reply_value(reply, present.has_value(), std::move(old.value()));
  if (refused) return reply.null();
  reply.ok();
}

// SETNX key value: 1 when it was set, 0 when the key was there.
void setnx_command(Context& context, Args args, ReplyWriter& reply) {
  const auto found = context.find(args[1]);
  if (!found) return reply_error(reply, found.error());
  if (*found) return reply.integer(0);
  context.put_argument(args[1], args[2], never);
  notify_set(context, args[1], never);
  reply.integer(1);
}

void set_with_time(Context& context, Args args, TimeUnit unit, std::string_view command,
                   ReplyWriter& reply) {
  const auto deadline =
      deadline_argument({args[2], unit, TimeBase::now}, context.now(), command, reply);
  if (!deadline) return;
  put_until(context, args[1], args[3], *deadline);
  notify_set(context, args[1], *deadline);
  reply.ok();
}

void setex_command(Context& context, Args args, ReplyWriter& reply) {
  set_with_time(context, args, TimeUnit::seconds, "setex", reply);
}

void psetex_command(Context& context, Args args, ReplyWriter& reply) {
  set_with_time(context, args, TimeUnit::milliseconds, "psetex", reply);
}

// GETSET key value: sets and answers the old value.
void getset_command(Context& context, Args args, ReplyWriter& reply) {
  Scratch old;
  const auto found = context.get(args[1], old.value(), Lookup::read);
  if (!found) return reply_error(reply, found.error());
  context.put_argument(args[1], args[2], never);
  notify_set(context, args[1], never);
  reply_value(reply, found->has_value(), std::move(old.value()));
}

// GETDEL key: removes and answers the old value.
void getdel_command(Context& context, Args args, ReplyWriter& reply) {
  Scratch old;
  const auto found = context.get(args[1], old.value(), Lookup::read);
  if (!found) return reply_error(reply, found.error());
  if (*found) {
    context.remove(args[1]);
    context.notify(notify_generic, "del", args[1]);
  }
  reply_value(reply, found->has_value(), std::move(old.value()));
}

// GETEX key [options]: the value; changes or removes its deadline.
void getex_command(Context& context, Args args, ReplyWriter& reply) {
  const auto options = string_options(args, 2, OptionsOf::getex, reply);
  if (!options) return;
  Scratch value;
  const auto found = context.get(args[1], value.value(), Lookup::read);
  if (!found) return reply_error(reply, found.error());
  if (!*found) return reply.null();
  if (options->expiry) {
    const auto deadline = deadline_argument(*options->expiry, context.now(), "getex", reply);
    if (!deadline) return;
    const bool passed = *deadline <= context.now();
    if (passed) {
      context.remove(args[1]);
    } else {
      context.put(args[1], value.value(), *deadline);
    }
    context.notify(notify_generic, passed ? "del" : "expire", args[1]);
  } else if (options->persist && (*found)->expire_at != never) {
    context.put(args[1], value.value(), never);
    context.notify(notify_generic, "persist", args[1]);
  }
  reply.bulk(std::move(value.value()));
}

// MGET key [key ...]: the values, null for each that is absent.
void mget_command(Context& context, Args args, ReplyWriter& reply) {
  // All reads come before the first byte of the reply: one of them may fail.
  std::vector<std::optional<std::string>> values(args.size() - 1);
  for (std::size_t i = 1; i < args.size(); ++i) {
    std::string value;
    const auto found = context.get(args[i], value);
    if (!found) return reply_error(reply, found.error());
    if (*found) values[i - 1] = std::move(value);
  }
  reply.array(values.size());
  for (const auto& value : values) {
    if (value) {
      reply.bulk(*value);
    } else {
      reply.null();
    }
  }
}

void put_pairs(Context& context, Args args) {
  for (std::size_t i = 1; i + 1 < args.size(); i += 2) {
    context.put_argument(args[i], args[i + 1], never);
    notify_set(context, args[i], never);
  }
}

// MSET key value [key value ...]: sets all of them at once.
void mset_command(Context& context, Args args, ReplyWriter& reply) {
  if (args.size() % 2 == 0) return reply_wrong_arguments(reply, "mset");
  put_pairs(context, args);
  reply.ok();
}

// MSETNX key value [key value ...]: sets all, or none when one of the keys is there.
void msetnx_command(Context& context, Args args, ReplyWriter& reply) {
  if (args.size() % 2 == 0) return reply_wrong_arguments(reply, "msetnx");
  for (std::size_t i = 1; i < args.size(); i += 2) {
    const auto found = context.find(args[i]);
    if (!found) return reply_error(reply, found.error());
    if (*found) return reply.integer(0);
  }
  put_pairs(context, args);
  reply.integer(1);
}

// APPEND key value: the new length.
void append_command(Context& context, Args args, ReplyWriter& reply) {
  Scratch value;
  const auto found = context.get(args[1], value.value());
  if (!found) return reply_error(reply, found.error());
  if (!length_fits(context, value.value().size() + args[2].size(), reply)) return;
  value.value().append(args[2]);
  context.put(args[1], value.value(), *found ? (*found)->expire_at : never);
  context.notify(notify_string, "append", args[1]);
  reply.integer(static_cast<std::int64_t>(value.value().size()));
}

// STRLEN key: length of the value in bytes, 0 when the key is absent.
void strlen_command(Context& context, Args args, ReplyWriter& reply) {
  const auto found = context.find(args[1]);
  if (!found) return reply_error(reply, found.error());
  reply.integer(*found ? static_cast<std::int64_t>((*found)->value_bytes) : 0);
}

// GETRANGE key start end: the bytes from start to end, both included, negative ones from the end.
void getrange_command(Context& context, Args args, ReplyWriter& reply) {
  const auto start = integer_argument(args[2], reply);
  if (!start) return;
  const auto end = integer_argument(args[3], reply);
  if (!end) return;
  Scratch value;
  const auto found = context.get(args[1], value.value());
  if (!found) return reply_error(reply, found.error());

  const auto length = static_cast<std::int64_t>(value.value().size());
  if (*start < 0 && *end < 0 && *start > *end) return reply.bulk("");
  const std::int64_t first = std::max<std::int64_t>(*start < 0 ? *start + length : *start, 0);
  const std::int64_t last =
      std::min(std::max<std::int64_t>(*end < 0 ? *end + length : *end, 0), length - 1);
  if (first > last) return reply.bulk("");
  reply.bulk(
      std::string_view(value.value())
          .substr(static_cast<std::size_t>(first), static_cast<std::size_t>(last - first + 1)));
}

// SETRANGE key offset value: overwrites from offset on, padding with zeros; the new length.
void setrange_command(Context& context, Args args, ReplyWriter& reply) {
  const auto offset = integer_argument(args[2], reply);
  if (!offset) return;
  if (*offset < 0) return reply.error("ERR offset is out of range");
  const std::string_view patch = args[3];
  Scratch value;
  const auto found = context.get(args[1], value.value());
  if (!found) return reply_error(reply, found.error());

  std::string& bytes = value.value();
  if (patch.empty()) return reply.integer(static_cast<std::int64_t>(bytes.size()));
  const auto begin = static_cast<std::uint64_t>(*offset);
  if (!length_fits(context, begin + patch.size(), reply)) return;
  if (bytes.size() < begin + patch.size()) bytes.resize(begin + patch.size(), '\0');
  bytes.replace(begin, patch.size(), patch);
  context.put(args[1], bytes, *found ? (*found)->expire_at : never);
  context.notify(notify_string, "setrange", args[1]);
  reply.integer(static_cast<std::int64_t>(bytes.size()));
}

constexpr KeyRange one_key{1, 1, 1};
constexpr KeyRange all_keys{1, -1, 1};
constexpr KeyRange pairs{1, -1, 2};

constexpr std::array rows{
    Command{"append",
            3,
            writes | reads_values | deny_oom | fast,
            one_key,
            append_command,
            {"Appends to a value, or sets it when the key is absent.", "2.0.0", "string",
             "O(N) with N the length of the resulting value", "key value", "RW insert"}},
    Command{"get",
            2,
            reads | fast,
            one_key,
            get_command,
            {"Returns the value of a key.", "1.0.0", "string", "O(1)", "key", "RO access"}},
    Command{"getdel",
            2,
            writes | reads_values | fast,
            one_key,
            getdel_command,
            {"Removes a key and returns the value it had.", "6.2.0", "string", "O(1)", "key",
             "RW access delete"}},
    Command{
        "getex",
        -2,
        writes | reads_values | fast,
        one_key,
        getex_command,
        {"Returns the value of a key and changes its expiration time.", "6.2.0", "string", "O(1)",
         "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | "
         "PXAT unix-time-milliseconds | PERSIST]",
         "RW access update"}},
    Command{"getrange",
            4,
            reads,
            one_key,
            getrange_command,
            {"Returns a part of a value.", "2.4.0", "string",
             "O(N) with N the length of the returned part", "key start end", "RO access"}},
    Command{"getset",
            3,
            writes | reads_values | deny_oom | fast,
            one_key,
            getset_command,
            {"Sets a key and returns the value it had.", "1.0.0", "string", "O(1)", "key value",
             "RW access update"}},
    Command{
        "mget",
        -2,
        reads | fast,
        all_keys,
        mget_command,
        {"Returns the values of several keys.", "1.0.0", "string", "O(N) with N the number of keys",
         "key [key ...]", "RO access", "request_policy:multi_shard"}},
    Command{"mset",
            -3,
            writes | deny_oom,
            pairs,
            mset_command,
            {"Sets several keys at once.", "1.0.1", "string", "O(N) with N the number of keys",
             "key value [key value ...]", "OW update",
             "request_policy:multi_shard response_policy:all_succeeded"}},
    Command{"msetnx",
            -3,
            writes | deny_oom,
            pairs,
            msetnx_command,
            {"Sets several keys at once if none of them is present.", "1.0.1", "string",
             "O(N) with N the number of keys", "key value [key value ...]", "OW insert",
             "request_policy:multi_shard response_policy:agg_min"}},
    Command{"psetex",
            4,
            writes | deny_oom,
            one_key,
            psetex_command,
            {"Sets a key and its time to live in milliseconds.", "2.6.0", "string", "O(1)",
             "key milliseconds value", "OW update"}},
    Command{"set",
            -3,
            writes | deny_oom,
            one_key,
            set_command,
            {"Sets a key, whatever it held before.", "1.0.0", "string", "O(1)",
             "key value [NX | XX | IFEQ ifeq-value | IFNE ifne-value | IFDEQ ifdeq-digest | "
             "IFDNE ifdne-digest] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | "
             "PXAT unix-time-milliseconds | KEEPTTL] [DURABILITY <KERNEL | SYNC>]",
             "RW access update variable_flags"}},
    Command{"setex",
            4,
            writes | deny_oom,
            one_key,
            setex_command,
            {"Sets a key and its time to live in seconds.", "2.0.0", "string", "O(1)",
             "key seconds value", "OW update"}},
    Command{"setnx",
            3,
            writes | deny_oom | fast,
            one_key,
            setnx_command,
            {"Sets a key if it is absent.", "1.0.0", "string", "O(1)", "key value", "OW insert"}},
    Command{"setrange",
            4,
            writes | reads_values | deny_oom,
            one_key,
            setrange_command,
            {"Overwrites a part of a value.", "2.2.0", "string",
             "O(N) with N the length of the resulting value", "key offset value", "RW update"}},
    Command{"strlen",
            2,
            reads | fast,
            one_key,
            strlen_command,
            {"Returns the length of a value.", "2.2.0", "string", "O(1)", "key", "RO"}},
    Command{"substr",
            4,
            reads,
            one_key,
            getrange_command,
            {"Returns a part of a value; the old name of GETRANGE.", "1.0.0", "string",
             "O(N) with N the length of the returned part", "key start end", "RO access"}},
};

}  // namespace

std::span<const Command> string_commands() {
  return rows;
}

}  // namespace kvs::daemon
