// scripts.cc - EVAL, EVALSHA, their _RO forms and SCRIPT: scripts that are known by their digest,
// done by hand.
//
// There is no Lua. What such a script does is a few commands, and it does them as Redis' scripts
// do: each is checked for itself (rights, memory, disk) and runs in the write session of the
// script, so that others see all of it or nothing.
#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "daemon/acl/gate.h"
#include "daemon/command_table.h"
#include "daemon/commands/arguments.h"
#include "daemon/context.h"
#include "daemon/known_scripts.h"
#include "daemon/memory_limit.h"

namespace kvs::daemon {

namespace {

using resp::ReplyWriter;

constexpr std::string_view no_lua =
    "ERR this server runs no Lua; only well-known lock scripts are recognised";
constexpr std::string_view unknown_script = "NOSCRIPT No matching script. Please use EVAL.";

// An integer as it comes out of Lua, whose numbers are doubles.
std::int64_t through_lua(std::int64_t value) {
  const auto number = static_cast<double>(value);
  constexpr double end = 0x1p63;
  return number < end ? static_cast<std::int64_t>(number)
                      : std::numeric_limits<std::int64_t>::min();
}

// The reply of a command in RESP2, as far as scripts need to understand one.
class CallReply {
 public:
  explicit CallReply(std::string raw) : raw_(std::move(raw)) {}

  bool is_error() const { return raw_.front() == '-'; }
  bool is_null() const { return raw_.starts_with("$-1"); }
  // The line of an error or a status, without its first character.
  std::string_view line() const { return std::string_view(raw_).substr(1, raw_.find('\r') - 1); }
  // A bulk string.
  std::string_view text() const {
    const std::size_t begin = raw_.find('\n') + 1;
    return std::string_view(raw_).substr(begin, raw_.size() - begin - 2);
  }
  std::int64_t integer() const {
    std::int64_t value = 0;
    std::from_chars(raw_.data() + 1, raw_.data() + raw_.size(), value);
    return value;
  }

  bool equals(std::string_view value) const { return !is_null() && text() == value; }

  // Answers what it is.
  void pass_on(ReplyWriter& reply) const {
    switch (raw_.front()) {
      case ':':
        return reply.integer(through_lua(integer()));
      case '+':
        return reply.simple(line());
      case '-':
        return reply.error(line());
      default:
        return is_null() ? reply.null() : reply.bulk(text());
    }
  }

 private:
  std::string raw_;
};

// What a script may call: EVAL_RO and EVALSHA_RO end it where it would write.
enum class Calls : std::uint8_t { all, reads_only };

// What Lua 5.1 takes for a number where it calculates with a string; nullopt: nothing.
std::optional<double> lua_number(std::string_view text) {
  const std::string terminated(text);
  char* end = nullptr;
  const double number = std::strtod(terminated.c_str(), &end);
  if (end == terminated.c_str()) return std::nullopt;
  while (std::isspace(static_cast<unsigned char>(*end)) != 0) ++end;
  if (*end != '\0') return std::nullopt;
  return number;
}

// A number as a word of a command.
std::string lua_text(double number) {
  std::array<char, 32> text;
  const int bytes = std::snprintf(text.data(), text.size(), "%.17g", number);
  return {text.data(), static_cast<std::size_t>(bytes)};
}

// One run of a script. Each step answers the script's error by itself, and is followed by no other
// then: it returns nullopt.
class ScriptRun {
 public:
  ScriptRun(Context& context, const KnownScript& script, Calls calls, Args keys, Args arguments,
            ReplyWriter& reply)
      : context_(context),
        script_(script),
        calls_(calls),
        keys_(keys),
        arguments_(arguments),
        reply_(reply) {}

  void run() {
    switch (script_.script) {
      case Script::release:
        return if_own(":0", [this] { pass_on(call({"DEL", key()})); });
      case Script::renew:
        return if_own(":0", [this] { pass_on(call({"PEXPIRE", key(), argument(1)})); });
      case Script::extend_by:
        return if_own(":0", [this] { extend_by(); });
      case Script::remaining:
        return if_own(":-3", [this] { pass_on(call({"PTTL", key()})); });
      case Script::set_once:
        return pass_on(call({"SET", key(), argument(0), "NX", "PX", argument(1)}));
      case Script::set_own:
        return set_own();
      case Script::value_and_remaining:
        return answer_both(call({"GET", key()}), call({"PTTL", key()}));
      case Script::acquire_all:
        return set_all([this](std::string_view each) -> std::optional<bool> {
          const auto present = call({"EXISTS", each});
          if (!present) return std::nullopt;
          return present->integer() == 0;
        });
      case Script::extend_all:
        return set_all([this](std::string_view each) { return is_own(each); });
      case Script::release_all:
        return release_all();
      case Script::increment:
        return pass_on(call({"INCRBY", key(), argument(0)}));
      case Script::increment_present:
        return increment_present();
      case Script::count_in_window:
        return count_in_window();
    }
  }

 private:
  // KEYS[1] and ARGV[i + 1]; nullopt, which no command takes, when there is none.
  using Word = std::optional<std::string_view>;
  Word key() const { return keys_.empty() ? Word() : Word(keys_.front()); }
  Word argument(std::size_t i) const {
    return i < arguments_.size() ? Word(arguments_[i]) : Word();
  }

  // As redis.pcall: errors are answers too.
  CallReply attempt(std::initializer_list<Word> parts) {
    std::string raw;
    ReplyWriter writer(raw, resp::Version::resp2);
    std::vector<std::string_view> words;
    for (const Word& part : parts) words.push_back(part.value_or(std::string_view()));
    Services& services = context_.services;
    const Command& command = *services.commands.find(words.front());
    if (!std::all_of(parts.begin(), parts.end(),
                     [](const Word& part) { return part.has_value(); })) {
      writer.error("ERR Lua redis lib command arguments must be strings or integers");
    } else if (acl::refuses_in_script(services, context_.client, command, words, writer)) {
      // It is answered.
    } else if (calls_ == Calls::reads_only && command.has(writes)) {
      writer.error("ERR Write commands are not allowed from read-only scripts.");
    } else if (command.has(deny_oom) && MemoryLimit(services).exceeded()) {
      writer.error(MemoryLimit::refusal);
    } else if (command.has(deny_oom) && services.engine.disk_full()) {
      writer.error(texts::disk_full);
    } else {
      context_.run_part(command, words, writer);
    }
    return CallReply(std::move(raw));
  }

  // As redis.call, from the first or the last of the script's lines.
  std::optional<CallReply> call(std::initializer_list<Word> parts) {
    const Command& command = *context_.services.commands.find(**parts.begin());
    return call_at(command.has(writes) ? script_.last_line : script_.first_line, parts);
  }

  std::optional<CallReply> call_at(int line, std::initializer_list<Word> parts) {
    if (failed_) return std::nullopt;
    CallReply answer = attempt(parts);
    if (!answer.is_error()) return answer;
    fail(answer.line(), line);
    return std::nullopt;
  }

  // Ends the script, with the words that Redis adds to an error.
  void fail(std::string_view error, int line) {
    failed_ = true;
    std::string text(error);
    text.append(" script: ").append(script_.digest);
    text.append(", on @user_script:").append(std::to_string(line)).append(".");
    reply_.error(text);
  }

  void pass_on(const std::optional<CallReply>& answer) {
    if (answer) answer->pass_on(reply_);
  }

  // Has the key the value ARGV[1]?
  std::optional<bool> is_own(Word each) {
    const auto value = call({"GET", each});
    if (!value) return std::nullopt;
    return argument(0) && value->equals(*argument(0));
  }

  template <class Then>
  void if_own(std::string_view otherwise, Then then) {
    const auto own = is_own(key());
    if (!own) return;
    if (*own) return then();
    CallReply(std::string(otherwise)).pass_on(reply_);
  }

  void extend_by() {
    constexpr int remaining_line = 6;
    constexpr int sum_line = 16;
    const auto remaining = call_at(remaining_line, {"PTTL", key()});
    if (!remaining) return;
    if (remaining->integer() < 0) return reply_.integer(0);
    Word wanted = argument(1);
    std::string sum;
    if (wanted && argument(2) == "0") {
      const auto additional = lua_number(*wanted);
      if (!additional) {
        return fail(
            "ERR user_script:16: attempt to perform arithmetic on field '?' (a string value)",
            sum_line);
      }
      sum = lua_text(*additional + static_cast<double>(remaining->integer()));
      wanted = sum;
    }
    if (call({"PEXPIRE", key(), wanted})) reply_.integer(1);
  }

  void set_own() {
    const auto present = call({"EXISTS", key()});
    if (!present) return;
    const bool may_be_new = present->integer() == 0 && argument(2) == "yes";
    const auto own = may_be_new ? std::optional(true) : is_own(key());
    if (!own) return;
    if (!*own) return reply_.null();
    pass_on(call({"SET", key(), argument(0), "PX", argument(1)}));
  }

  template <class May>
  void set_all(May may) {
    for (const std::string_view each : keys_) {
      const std::optional<bool> allowed = may(each);
      if (!allowed) return;
      if (!*allowed) return reply_.integer(0);
    }
    for (const std::string_view each : keys_) {
      if (!call({"SET", each, argument(0), "PX", argument(1)})) return;
    }
    reply_.integer(static_cast<std::int64_t>(keys_.size()));
  }

  void release_all() {
    std::int64_t released = 0;
    for (const std::string_view each : keys_) {
      const auto own = is_own(each);
      if (!own) return;
      if (!*own) continue;
      attempt({"DEL", each});
      ++released;
    }
    reply_.integer(released);
  }

  void increment_present() {
    const auto present = call({"EXISTS", key()});
    if (!present) return;
    if (present->integer() == 0) return reply_.null();
    pass_on(call({"INCRBY", key(), argument(0)}));
  }

  void count_in_window() {
    if (!call({"SET", key(), "0", "EX", argument(1), "NX"})) return;
    const auto count = call({"INCRBY", key(), argument(0)});
    auto remaining = call({"PTTL", key()});
    if (remaining && remaining->integer() == -1) {
      if (!call({"EXPIRE", key(), argument(1)})) return;
      remaining = call({"PTTL", key()});
    }
    answer_both(count, remaining);
  }

  void answer_both(const std::optional<CallReply>& first, const std::optional<CallReply>& second) {
    if (!first || !second) return;
    reply_.array(2);
    first->pass_on(reply_);
    second->pass_on(reply_);
  }

  Context& context_;
  const KnownScript& script_;
  const Calls calls_;
  const Args keys_;
  const Args arguments_;
  ReplyWriter& reply_;
  bool failed_ = false;
};

void evaluate(Context& context, Args args, Calls calls, std::string_view digest,
              std::string_view otherwise, ReplyWriter& reply) {
  constexpr std::size_t first_key = 3;
  const auto count = integer_argument(args[2], reply);
  if (!count) return;
  if (*count > static_cast<std::int64_t>(args.size() - first_key)) {
    return reply.error("ERR Number of keys can't be greater than number of args");
  }
  if (*count < 0) return reply.error("ERR Number of keys can't be negative");
  const KnownScript* const script = find_script(digest);
  if (script == nullptr) return reply.error(otherwise);
  const auto keys = static_cast<std::size_t>(*count);
  ScriptRun(context, *script, calls, args.subspan(first_key, keys), args.subspan(first_key + keys),
            reply)
      .run();
}

void evaluate_text(Context& context, Args args, Calls calls, ReplyWriter& reply) {
  evaluate(context, args, calls, script_digest(args[1]), no_lua, reply);
}

void evaluate_digest(Context& context, Args args, Calls calls, ReplyWriter& reply) {
  constexpr std::size_t digits = 40;
  if (args[1].size() != digits) return reply.error(unknown_script);
  evaluate(context, args, calls, args[1], unknown_script, reply);
}

// EVAL script numkeys [key ...] [arg ...]: what the script returns.
void eval_command(Context& context, Args args, ReplyWriter& reply) {
  evaluate_text(context, args, Calls::all, reply);
}

// EVAL_RO: the same, but an error where the script would write.
void eval_ro_command(Context& context, Args args, ReplyWriter& reply) {
  evaluate_text(context, args, Calls::reads_only, reply);
}

// EVALSHA sha1 numkeys [key ...] [arg ...]: as EVAL; nobody needs to have loaded the script.
void evalsha_command(Context& context, Args args, ReplyWriter& reply) {
  evaluate_digest(context, args, Calls::all, reply);
}

void evalsha_ro_command(Context& context, Args args, ReplyWriter& reply) {
  evaluate_digest(context, args, Calls::reads_only, reply);
}

// SCRIPT EXISTS sha1 [sha1 ...]: 1 for each that is known, else 0.
void script_exists(Context&, Args args, ReplyWriter& reply) {
  const Args digests = args.subspan(2);
  reply.array(digests.size());
  for (const std::string_view digest : digests)
    reply.integer(find_script(digest) != nullptr ? 1 : 0);
}

// SCRIPT FLUSH [ASYNC | SYNC]: what is known stays known.
void script_flush(Context&, Args args, ReplyWriter& reply) {
  const bool plain = args.size() == 2;
  if (!plain && (args.size() > 3 || !(is_word(args[2], "ASYNC") || is_word(args[2], "SYNC")))) {
    return reply.error("ERR SCRIPT FLUSH only support SYNC|ASYNC option");
  }
  reply.ok();
}

// SCRIPT KILL: none runs for long enough.
void script_kill(Context&, Args, ReplyWriter& reply) {
  reply.error("NOTBUSY No scripts in execution right now.");
}

// SCRIPT LOAD script: its digest.
void script_load(Context&, Args args, ReplyWriter& reply) {
  const std::string digest = script_digest(args[2]);
  if (find_script(digest) == nullptr) return reply.error(no_lua);
  reply.bulk(digest);
}

void script_help(Context&, Args, ReplyWriter& reply) {
  constexpr std::array<std::string_view, 8> lines = {
      "EXISTS <sha1> [<sha1> ...]",
      "    Return which of the scripts are recognised.",
      "FLUSH [ASYNC|SYNC]",
      "    Do nothing: what is recognised stays so.",
      "KILL",
      "    An error: no script runs for long.",
      "LOAD <script>",
      "    Return the digest of a script that is recognised.",
  };
  reply_help(reply, "SCRIPT", lines);
}

constexpr KeyRange no_keys{};
constexpr KeyRange counted_keys{3, 0, 1, 2};
constexpr std::uint32_t of_scripts = no_script | stale | skip_monitor | keys_optional;
constexpr std::uint32_t evaluating = of_scripts | may_replicate | in_session | reads_values;

constexpr std::array subcommand_rows{
    Command{"script|exists",
            -3,
            no_script,
            no_keys,
            script_exists,
            {"Tells which scripts are recognised.", "2.6.0", "scripting",
             "O(N) with N the number of digests", "sha1 [sha1 ...]", "",
             "request_policy:all_shards response_policy:agg_logical_and"}},
    Command{"script|flush",
            -2,
            no_script,
            no_keys,
            script_flush,
            {"Does nothing: scripts that are recognised stay so.", "2.6.0", "scripting", "O(1)",
             "[ASYNC | SYNC]", "", "request_policy:all_nodes response_policy:all_succeeded"}},
    Command{"script|help",
            2,
            loading | stale,
            no_keys,
            script_help,
            {"Lists the subcommands.", "5.0.0", "scripting", "O(1)", ""}},
    Command{"script|kill",
            2,
            no_script | allow_busy,
            no_keys,
            script_kill,
            {"Returns an error: no script runs for long.", "2.6.0", "scripting", "O(1)", "", "",
             "request_policy:all_shards response_policy:one_succeeded"}},
    Command{"script|load",
            3,
            no_script | stale,
            no_keys,
            script_load,
            {"Returns the digest of a script that is recognised.", "2.6.0", "scripting",
             "O(N) with N the length of the script", "script", "",
             "request_policy:all_nodes response_policy:all_succeeded"}},
};

constexpr std::array rows{
    Command{"eval",
            -3,
            evaluating,
            counted_keys,
            eval_command,
            {"Runs a script that is recognised.", "2.6.0", "scripting",
             "O(N) with N the number of keys", "script numkeys [key [key ...]] [arg [arg ...]]",
             "RW access update"}},
    Command{"eval_ro",
            -3,
            of_scripts | reads,
            counted_keys,
            eval_ro_command,
            {"Runs a script that is recognised, unless it writes.", "7.0.0", "scripting",
             "O(N) with N the number of keys", "script numkeys [key [key ...]] [arg [arg ...]]",
             "RO access"}},
    Command{"evalsha",
            -3,
            evaluating,
            counted_keys,
            evalsha_command,
            {"Runs a script that is recognised, by its SHA-1.", "2.6.0", "scripting",
             "O(N) with N the number of keys", "sha1 numkeys [key [key ...]] [arg [arg ...]]",
             "RW access update"}},
    Command{"evalsha_ro",
            -3,
            of_scripts | reads,
            counted_keys,
            evalsha_ro_command,
            {"Runs a script that is recognised, by its SHA-1, unless it writes.", "7.0.0",
             "scripting", "O(N) with N the number of keys",
             "sha1 numkeys [key [key ...]] [arg [arg ...]]", "RO access"}},
    Command{"script",
            -2,
            0,
            no_keys,
            nullptr,
            {"A container for commands on scripts.", "2.6.0", "scripting", "Depends on subcommand.",
             ""},
            subcommand_rows},
};

}  // namespace

std::span<const Command> script_commands() {
  return rows;
}

}  // namespace kvs::daemon
