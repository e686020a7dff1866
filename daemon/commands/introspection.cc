// introspection.cc - COMMAND: what the command table says, in the shape of Redis 7.
//
// Replies are nested deeply and typed exactly (bulk, status, set, map), because clients of clusters
// parse them and redis-cli asserts on them.
#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "daemon/acl/categories.h"
#include "daemon/command_table.h"
#include "daemon/commands/arguments.h"
#include "daemon/commands/command_docs.h"
#include "daemon/context.h"
#include "daemon/glob.h"
#include "daemon/key_access.h"
#include "daemon/wanted_values.h"

namespace kvs::daemon {

namespace {

using resp::ReplyWriter;

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

struct FlagName {
  std::uint32_t flag;
  std::string_view name;
};

// In Redis' order.
std::vector<std::string_view> flag_names(const Command& command) {
  constexpr std::array<FlagName, 11> names = {{{deny_oom, "denyoom"},
                                               {admin, "admin"},
                                               {no_script, "noscript"},
                                               {loading, "loading"},
                                               {stale, "stale"},
                                               {skip_monitor, "skip_monitor"},
                                               {skip_slowlog, "skip_slowlog"},
                                               {fast, "fast"},
                                               {no_auth, "no_auth"},
                                               {keys_optional, "no_mandatory_keys"},
                                               {no_async_loading, "no_async_loading"}}};
  std::vector<std::string_view> result;
  if (command.has(writes)) {
    result.push_back("write");
  } else if (command.has(reads)) {
    result.push_back("readonly");
  }
  if (command.has(pubsub_family)) result.push_back("pubsub");
  for (const FlagName& name : names) {
    if ((command.flags & name.flag) != 0) result.push_back(name.name);
  }
  if (command.has(no_multi)) result.push_back("no_multi");
  if (command.keys.counted_at > 0) result.push_back("movablekeys");
  if (command.has(allow_busy)) result.push_back("allow_busy");
  return result;
}

struct SpecField {
  std::string_view name;
  int value;
};

void reply_spec_part(std::string_view part, std::string_view type,
                     std::initializer_list<SpecField> fields, ReplyWriter& reply) {
  reply.bulk(part);
  reply.map(2);
  reply.bulk("type");
  reply.bulk(type);
  reply.bulk("spec");
  reply.map(fields.size());
  for (const SpecField& field : fields) {
    reply.bulk(field.name);
    reply.integer(field.value);
  }
}

// One spec for all keys, or one for each of the first and a last one for the rest, when they are
// used differently.
void reply_key_specs(const Command& command, ReplyWriter& reply) {
  const KeyRange& keys = command.keys;
  const auto specs = split(command.doc.key_access, ';');
  reply.set(specs.size());
  for (std::size_t i = 0; i < specs.size(); ++i) {
    reply.map(3);
    reply.bulk("flags");
    const auto flags = split(specs[i], ' ');
    reply.set(flags.size());
    for (const std::string_view flag : flags) reply.simple(flag);
    if (keys.counted_at > 0) {
      reply_spec_part("begin_search", "index", {{"index", keys.counted_at}}, reply);
      reply_spec_part(
          "find_keys", "keynum",
          {{"keynumidx", 0}, {"firstkey", keys.first - keys.counted_at}, {"keystep", keys.step}},
          reply);
      continue;
    }
    const int first = keys.first + static_cast<int>(i);
    const int to_the_end = keys.last >= 0 ? keys.last - first : keys.last;
    reply_spec_part("begin_search", "index", {{"index", first}}, reply);
    reply_spec_part(
        "find_keys", "range",
        {{"lastkey", i + 1 == specs.size() ? to_the_end : 0}, {"keystep", keys.step}, {"limit", 0}},
        reply);
  }
}

void reply_info(const Command& command, ReplyWriter& reply) {
  reply.array(10);
  reply.bulk(command.name);
  reply.integer(command.arity);
  const auto flags = flag_names(command);
  reply.set(flags.size());
  for (const std::string_view flag : flags) reply.simple(flag);
  const KeyRange shown = command.keys.counted_at > 0 ? KeyRange() : command.keys;
  reply.integer(shown.first);
  reply.integer(shown.last);
  reply.integer(shown.step);
  const auto names = acl::categories_of(command);
  reply.set(names.size());
  for (const std::string_view name : names) reply.simple("@" + std::string(name));
  const auto tips = split(command.doc.tips, ' ');
  reply.set(tips.size());
  for (const std::string_view tip : tips) reply.bulk(tip);
  reply_key_specs(command, reply);
  if (command.subcommands.empty()) return reply.set(0);
  reply.array(command.subcommands.size());
  for (const Command& subcommand : command.subcommands) reply_info(subcommand, reply);
}

void reply_arguments(const std::vector<DocArgument>& arguments, ReplyWriter& reply);

void reply_argument(const DocArgument& argument, ReplyWriter& reply) {
  const bool has_flags = argument.optional || argument.multiple;
  reply.map(2 + (argument.key_spec_index >= 0 ? 1 : 0) + (argument.token.empty() ? 0 : 1) +
            (has_flags ? 1 : 0) + (argument.arguments.empty() ? 0 : 1));
  reply.bulk("name");
  reply.bulk(argument.name);
  reply.bulk("type");
  reply.bulk(argument.type);
  if (argument.key_spec_index >= 0) {
    reply.bulk("key_spec_index");
    reply.integer(argument.key_spec_index);
  }
  if (!argument.token.empty()) {
    reply.bulk("token");
    reply.bulk(argument.token);
  }
  if (has_flags) {
    reply.bulk("flags");
    reply.set((argument.optional ? 1 : 0) + (argument.multiple ? 1 : 0));
    if (argument.optional) reply.simple("optional");
    if (argument.multiple) reply.simple("multiple");
  }
  if (!argument.arguments.empty()) {
    reply.bulk("arguments");
    reply_arguments(argument.arguments, reply);
  }
}

void reply_arguments(const std::vector<DocArgument>& arguments, ReplyWriter& reply) {
  reply.array(arguments.size());
  for (const DocArgument& argument : arguments) reply_argument(argument, reply);
}

void reply_docs(const Command& command, ReplyWriter& reply) {
  const CommandDoc& doc = command.doc;
  const auto key_specs = split(doc.key_access, ';').size();
  const auto arguments = parse_syntax(doc.syntax, static_cast<int>(key_specs));
  reply.bulk(command.name);
  reply.map(4 + (arguments.empty() ? 0 : 1) + (command.subcommands.empty() ? 0 : 1));
  reply.bulk("summary");
  reply.bulk(doc.summary);
  reply.bulk("since");
  reply.bulk(doc.since);
  reply.bulk("group");
  reply.bulk(doc.group);
  reply.bulk("complexity");
  reply.bulk(doc.complexity);
  if (!arguments.empty()) {
    reply.bulk("arguments");
    reply_arguments(arguments, reply);
  }
  if (!command.subcommands.empty()) {
    reply.bulk("subcommands");
    reply.map(command.subcommands.size());
    for (const Command& subcommand : command.subcommands) reply_docs(subcommand, reply);
  }
}

void reply_all_infos(const CommandTable& table, ReplyWriter& reply) {
  reply.array(table.all().size());
  for (const Command* command : table.all()) reply_info(*command, reply);
}

void command_command(Context& context, Args, ReplyWriter& reply) {
  reply_all_infos(context.services.commands, reply);
}

void command_count(Context& context, Args, ReplyWriter& reply) {
  reply.integer(static_cast<std::int64_t>(context.services.commands.all().size()));
}

void command_info(Context& context, Args args, ReplyWriter& reply) {
  const CommandTable& table = context.services.commands;
  if (args.size() == 2) return reply_all_infos(table, reply);
  reply.array(args.size() - 2);
  for (const std::string_view name : args.subspan(2)) {
    const Command* command = acl::find_by_full_name(table, name);
    if (command == nullptr) {
      reply.null();
    } else {
      reply_info(*command, reply);
    }
  }
}

void command_docs(Context& context, Args args, ReplyWriter& reply) {
  const CommandTable& table = context.services.commands;
  std::vector<const Command*> chosen;
  if (args.size() == 2) chosen.assign(table.all().begin(), table.all().end());
  for (const std::string_view name : args.subspan(2)) {
    const Command* command = acl::find_by_full_name(table, name);
    if (command != nullptr) chosen.push_back(command);
  }
  reply.map(chosen.size());
  for (const Command* command : chosen) reply_docs(*command, reply);
}

template <class Wanted>
void reply_names(const CommandTable& table, ReplyWriter& reply, Wanted wanted) {
  std::vector<std::string_view> names;
  for (const Command* command : table.all()) {
    if (wanted(*command)) names.push_back(command->name);
    for (const Command& subcommand : command->subcommands) {
      if (wanted(subcommand)) names.push_back(subcommand.name);
    }
  }
  reply.array(names.size());
  for (const std::string_view name : names) reply.bulk(name);
}

// COMMAND LIST [FILTERBY MODULE module | ACLCAT category | PATTERN pattern].
void command_list(Context& context, Args args, ReplyWriter& reply) {
  const CommandTable& table = context.services.commands;
  if (args.size() == 2) {
    return reply_names(table, reply, [](const Command&) { return true; });
  }
  if (args.size() != 5 || !is_word(args[2], "FILTERBY")) return reply.error(texts::syntax_error);
  const std::string_view value = args[4];
  if (is_word(args[3], "MODULE")) {
    return reply_names(table, reply, [](const Command&) { return false; });
  }
  if (is_word(args[3], "ACLCAT")) {
    const std::string category = lower_case(value);
    return reply_names(table, reply, [&](const Command& command) {
      const auto names = acl::categories_of(command);
      return std::find(names.begin(), names.end(), category) != names.end();
    });
  }
  if (is_word(args[3], "PATTERN")) {
    return reply_names(table, reply, [value](const Command& command) {
      return glob_matches(value, command.name, Case::ignored);
    });
  }
  reply.error(texts::syntax_error);
}

// The command that `words` run, if they hold keys; otherwise answers the error.
const Command* command_with_keys(Context& context, Args words, ReplyWriter& reply) {
  const Command* const command = context.services.commands.named(words);
  std::string_view refusal;
  if (command == nullptr) {
    refusal = "ERR Invalid command specified";
  } else if (command->keys.first == 0) {
    refusal = "ERR The command has no key arguments";
  } else if (!command->arity_fits(words.size())) {
    refusal = "ERR Invalid number of arguments specified for command";
  }
  if (refusal.empty()) return command;
  reply.error(refusal);
  return nullptr;
}

constexpr std::string_view no_keys_found = "ERR Invalid arguments specified for command";

std::vector<std::string_view> keys_among(const Command& command, Args words) {
  std::vector<std::string_view> keys;
  visit_keys(command, words, [&keys](std::string_view key) { keys.push_back(key); });
  return keys;
}

// Each of the command's key specs has to name one; of PFMERGE the sources are the second.
bool too_few(const std::vector<std::string_view>& keys, const Command& command) {
  const std::size_t specs = std::max<std::size_t>(split(command.doc.key_access, ';').size(), 1);
  return keys.size() < specs && !command.has(keys_optional);
}

// COMMAND GETKEYS command [argument ...]: which of the words are keys.
void command_getkeys(Context& context, Args args, ReplyWriter& reply) {
  const Command* const command = command_with_keys(context, args.subspan(2), reply);
  if (command == nullptr) return;
  const auto keys = keys_among(*command, args.subspan(2));
  if (too_few(keys, *command)) return reply.error(no_keys_found);
  reply.array(keys.size());
  for (const std::string_view key : keys) reply.bulk(key);
}

// COMMAND GETKEYSANDFLAGS: each key with what is done to it.
void command_getkeysandflags(Context& context, Args args, ReplyWriter& reply) {
  const Command* const command = command_with_keys(context, args.subspan(2), reply);
  if (command == nullptr) return;
  const auto keys = keys_among(*command, args.subspan(2));
  if (too_few(keys, *command)) return reply.error(no_keys_found);
  reply.array(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    reply.array(2);
    reply.bulk(keys[i]);
    const auto flags = split(key_access_of(*command, args.subspan(2), i), ' ');
    reply.set(flags.size());
    for (const std::string_view flag : flags) reply.simple(flag);
  }
}

void command_help(Context&, Args, ReplyWriter& reply) {
  constexpr std::array<std::string_view, 18> lines = {
      "(no subcommand)",
      "    Return details about all commands.",
      "COUNT",
      "    Return the total number of commands in this server.",
      "LIST [FILTERBY (MODULE|ACLCAT|PATTERN) <value>]",
      "    Return a list of all commands in this server.",
      "INFO [<command-name> ...]",
      "    Return details about multiple commands.",
      "    If no command names are given, details for all commands",
      "    are returned.",
      "DOCS [<command-name> ...]",
      "    Return documentation details about multiple commands.",
      "    If no command names are given, documentation details for all",
      "    commands are returned.",
      "GETKEYS <full-command>",
      "    Return the keys from a full command.",
      "GETKEYSANDFLAGS <full-command>",
      "    Return the keys from a full command, with what is done to each.",
  };
  reply_help(reply, "COMMAND", lines);
}

constexpr KeyRange no_keys{};
constexpr std::uint32_t anytime = loading | stale | connection_family;
constexpr std::string_view unordered = "nondeterministic_output_order";

constexpr std::array subcommand_rows{
    Command{"command|count",
            2,
            anytime,
            no_keys,
            command_count,
            {"Returns the number of commands.", "2.8.13", "server", "O(1)", ""}},
    Command{
        "command|docs",
        -2,
        anytime,
        no_keys,
        command_docs,
        {"Returns documentation of commands.", "7.0.0", "server",
         "O(N) with N the number of commands", "[command-name [command-name ...]]", "", unordered}},
    Command{"command|getkeys",
            -4,
            anytime,
            no_keys,
            command_getkeys,
            {"Returns which words of a command are keys.", "2.8.13", "server",
             "O(N) with N the number of words", "command [arg [arg ...]]"}},
    Command{"command|getkeysandflags",
            -4,
            anytime,
            no_keys,
            command_getkeysandflags,
            {"Returns which words of a command are keys, and what is done to them.", "7.0.0",
             "server", "O(N) with N the number of words", "command [arg [arg ...]]"}},
    Command{"command|help",
            2,
            anytime,
            no_keys,
            command_help,
            {"Lists the subcommands.", "5.0.0", "server", "O(1)", ""}},
    Command{
        "command|info",
        -2,
        anytime,
        no_keys,
        command_info,
        {"Returns facts about commands.", "2.8.13", "server", "O(N) with N the number of commands",
         "[command-name [command-name ...]]", "", unordered}},
    Command{
        "command|list",
        -2,
        anytime,
        no_keys,
        command_list,
        {"Returns the names of commands.", "7.0.0", "server", "O(N) with N the number of commands",
         "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]", "", unordered}},
};

constexpr std::array rows{
    Command{"command",
            -1,
            anytime,
            no_keys,
            command_command,
            {"Returns facts about all commands.", "2.8.13", "server",
             "O(N) with N the number of commands", "", "", unordered},
            subcommand_rows},
};

}  // namespace

std::span<const Command> introspection_commands() {
  return rows;
}

}  // namespace kvs::daemon
