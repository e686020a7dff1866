// hyperloglog.cc - PFADD, PFCOUNT, PFMERGE: how many different elements there were, in strings that
// Redis understands (daemon/hyperloglog.h).
//
// PFDEBUG and PFSELFTEST, which test Redis' own implementation, are not here.
#include "daemon/hyperloglog.h"

#include <array>
#include <string>

#include "daemon/command_table.h"
#include "daemon/commands/arguments.h"
#include "daemon/context.h"
#include "daemon/notifications.h"

namespace kvs::daemon {

namespace {

using resp::ReplyWriter;

constexpr std::string_view not_valid = "WRONGTYPE Key is not a valid HyperLogLog string value.";
constexpr std::string_view corrupt = "INVALIDOBJ Corrupted HLL object detected";

// Reads the value of `key`, which stays empty when the key is absent. Answers the error and returns
// nullopt when it is no HyperLogLog.
std::optional<std::optional<KeyInfo>> read(Context& context, std::string_view key,
                                           std::string& value, ReplyWriter& reply,
                                           Lookup lookup = Lookup::as_flagged) {
  const auto found = context.get(key, value, lookup);
  if (!found) {
    reply_error(reply, found.error());
    return std::nullopt;
  }
  if (*found && !HyperLogLog::looks_valid(value)) {
    reply.error(not_valid);
    return std::nullopt;
  }
  return *found;
}

// PFADD key [element ...]: 1 when the cardinality may have changed, or the key was created.
void pfadd_command(Context& context, Args args, ReplyWriter& reply) {
  std::string value;
  const auto found = read(context, args[1], value, reply);
  if (!found) return;
  bool changed = !*found;
  if (!*found) value = HyperLogLog::empty();
  HyperLogLog log(value);
  for (const std::string_view element : args.subspan(2)) {
    switch (log.add(element)) {
      case HyperLogLog::Change::none:
        break;
      case HyperLogLog::Change::changed:
        changed = true;
        break;
      case HyperLogLog::Change::corrupt:
        return reply.error(corrupt);
    }
  }
  if (!changed) return reply.integer(0);
  log.forget_count();
  context.put(args[1], value, *found ? (*found)->expire_at : never);
  context.notify(notify_string, "pfadd", args[1]);
  reply.integer(1);
}

// The cardinality of one, which is kept in the value so that it need not be computed again.
void count_one(Context& context, std::string_view key, ReplyWriter& reply) {
  std::string value;
  const auto found = read(context, key, value, reply);
  if (!found) return;
  if (!*found) return reply.integer(0);
  HyperLogLog log(value);
  auto count = log.cached_count();
  if (!count) {
    count = log.count();
    if (!count) return reply.error(corrupt);
    log.remember_count(*count);
    if (context.can_write()) context.put(key, value, (*found)->expire_at);
  }
  reply.integer(static_cast<std::int64_t>(*count));
}

// PFCOUNT key [key ...]: the cardinality of what all of them have counted.
void pfcount_command(Context& context, Args args, ReplyWriter& reply) {
  if (args.size() == 2) return count_one(context, args[1], reply);
  HyperLogLog::Registers registers{};
  for (const std::string_view key : args.subspan(1)) {
    std::string value;
    const auto found = read(context, key, value, reply);
    if (!found) return;
    if (*found && !HyperLogLog(value).merge_into(registers)) return reply.error(corrupt);
  }
  const auto count = count_of(registers);
  if (!count) return reply.error(corrupt);
  reply.integer(static_cast<std::int64_t>(*count));
}

// PFMERGE destkey [sourcekey ...]: destkey has counted what all of them have.
void pfmerge_command(Context& context, Args args, ReplyWriter& reply) {
  HyperLogLog::Registers registers{};
  bool any_dense = false;
  std::string target;
  std::optional<KeyInfo> target_found;
  for (std::size_t i = 1; i < args.size(); ++i) {
    std::string value;
    const auto found = read(context, args[i], value, reply, Lookup::read);
    if (!found) return;
    if (*found) {
      const HyperLogLog log(value);
      any_dense = any_dense || log.dense();
      if (!log.merge_into(registers)) return reply.error(corrupt);
    }
    if (i > 1) continue;
    target_found = *found;
    target = *found ? std::move(value) : HyperLogLog::empty();
  }
  HyperLogLog log(target);
  if (any_dense && !log.make_dense()) return reply.error(corrupt);
  for (std::size_t i = 0; i < registers.size(); ++i) {
    if (registers[i] != 0 && log.raise(i, registers[i]) == HyperLogLog::Change::corrupt) {
      return reply.error(corrupt);
    }
  }
  log.forget_count();
  context.put(args[1], target, target_found ? target_found->expire_at : never);
  context.notify(notify_string, "pfadd", args[1]);
  reply.ok();
}

constexpr KeyRange one_key{1, 1, 1};
constexpr KeyRange all_keys{1, -1, 1};

constexpr std::array rows{
    Command{"pfadd",
            -2,
            writes | reads_values | deny_oom | fast,
            one_key,
            pfadd_command,
            {"Counts elements in a HyperLogLog.", "2.8.9", "hyperloglog", "O(1) for each element",
             "key [element [element ...]]", "RW insert"}},
    Command{"pfcount",
            -2,
            reads | in_session | may_replicate,
            all_keys,
            pfcount_command,
            {"Returns the approximate number of different elements that were counted.", "2.8.9",
             "hyperloglog", "O(1) for one key, O(N) with N the number of keys", "key [key ...]",
             "RW access"}},
    Command{
        "pfmerge",
        -2,
        writes | reads_values | deny_oom,
        all_keys,
        pfmerge_command,
        {"Merges HyperLogLogs into one.", "2.8.9", "hyperloglog", "O(N) with N the number of keys",
         "destkey [sourcekey [sourcekey ...]]", "RW access insert;RO access"}},
};

}  // namespace

std::span<const Command> hyperloglog_commands() {
  return rows;
}

}  // namespace kvs::daemon
