// acl.cc - ACL: who may do what.
//
// No word of a request ever names a file: LOAD and SAVE use the one that `aclfile` said at the
// start.
#include <array>
#include <mutex>
#include <string>

#include <sodium.h>

#include "daemon/acl/accounts.h"
#include "daemon/acl/categories.h"
#include "daemon/acl/check.h"
#include "daemon/acl/gate.h"
#include "daemon/acl/rules.h"
#include "daemon/acl/user_list.h"
#include "daemon/command_table.h"
#include "daemon/commands/arguments.h"
#include "daemon/config.h"
#include "daemon/context.h"
#include "daemon/settings.h"

namespace kvs::daemon {

namespace {

using resp::ReplyWriter;

constexpr std::string_view no_file =
    "ERR This Redis instance is not configured to use an ACL file. You may want to specify users "
    "via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis "
    "configuration file set) in order to store users in the Redis configuration.";

// ACL CAT [category]: all categories, or the commands of one.
void acl_cat(Context& context, Args args, ReplyWriter& reply) {
  if (args.size() > 3) return reply_wrong_subcommand(reply, args);
  if (args.size() == 2) {
    reply.array(acl::category_names().size());
    for (const std::string_view name : acl::category_names()) reply.bulk(name);
    return;
  }
  const auto category = acl::find_category(args[2]);
  if (!category)
    return reply.error("ERR Unknown category '" + as_printed(args[2]).substr(0, 128) + "'");
  std::vector<std::string_view> names;
  for (const Command* command : context.services.commands.all()) {
    if (acl::is_in_category(*command, *category)) names.push_back(command->name);
    for (const Command& subcommand : command->subcommands) {
      if (acl::is_in_category(subcommand, *category)) names.push_back(subcommand.name);
    }
  }
  reply.array(names.size());
  for (const std::string_view name : names) reply.bulk(name);
}

// ACL DELUSER username [username ...]: how many there were. Their connections are closed.
void acl_deluser(Context& context, Args args, ReplyWriter& reply) {
  std::int64_t removed = 0;
  for (const std::string_view name : args.subspan(2)) {
    if (name == "default") return reply.error("ERR The 'default' user cannot be removed");
  }
  for (const std::string_view name : args.subspan(2)) {
    if (!context.services.accounts.remove(name)) continue;
    acl::close_connections_of(context.services, context.client, name);
    ++removed;
  }
  reply.integer(removed);
}

// ACL DRYRUN username command [argument ...]: what would come of it.
void acl_dryrun(Context& context, Args args, ReplyWriter& reply) {
  const auto account = context.services.accounts.find(args[2]);
  if (account == nullptr) {
    return reply.error("ERR User '" + as_printed(args[2]) + "' not found");
  }
  const Args words = args.subspan(3);
  std::string error;
  const Command* const command = context.services.commands.resolve(words, error);
  if (command == nullptr) {
    if (error.starts_with("ERR wrong number")) return reply.error(error);
    return reply.error("ERR Command '" + as_printed(words[0]) + "' not found");
  }
  const acl::Verdict verdict = acl::check(*account->user(), *command, words);
  std::string text = "This user has no permissions to ";
  switch (verdict.reason) {
    case acl::Reason::none:
      return reply.ok();
    case acl::Reason::command:
      text.append("run the '").append(command->name).append("' command");
      break;
    case acl::Reason::key:
      text.append("access the '").append(as_printed(words[verdict.word])).append("' key");
      break;
    case acl::Reason::channel:
      text.append("access the '").append(as_printed(words[verdict.word])).append("' channel");
      break;
  }
  reply.bulk(text);
}

// ACL GENPASS [bits]: that many random bits as hexadecimal digits.
void acl_genpass(Context&, Args args, ReplyWriter& reply) {
  if (args.size() > 3) return reply_wrong_subcommand(reply, args);
  constexpr std::int64_t bits_max = 4096;
  std::int64_t bits = 256;
  if (args.size() == 3) {
    const auto number = integer_argument(args[2], reply);
    if (!number) return;
    bits = *number;
  }
  if (bits <= 0 || bits > bits_max) {
    return reply.error(
        "ERR ACL GENPASS argument must be the number of bits for the output password, a positive "
        "number up to 4096");
  }
  const auto digits = static_cast<std::size_t>((bits + 3) / 4);
  std::array<unsigned char, bits_max / 8> random;
  randombytes_buf(random.data(), random.size());
  std::string text(2 * random.size() + 1, '\0');
  sodium_bin2hex(text.data(), text.size(), random.data(), random.size());
  reply.bulk(std::string_view(text).substr(0, digits));
}

void reply_rights(const acl::Selector& selector, ReplyWriter& reply) {
  reply.bulk("commands");
  reply.bulk(selector.commands_text());
  reply.bulk("keys");
  reply.bulk(selector.keys_text());
  reply.bulk("channels");
  reply.bulk(selector.channels_text());
}

// ACL GETUSER username: a map; null when there is no such user.
void acl_getuser(Context& context, Args args, ReplyWriter& reply) {
  const auto account = context.services.accounts.find(args[2]);
  if (account == nullptr) return reply.null();
  const auto user = account->user();
  reply.map(6);
  reply.bulk("flags");
  const auto flags = acl::flags_of(*user);
  reply.set(flags.size());
  for (const std::string_view flag : flags) reply.bulk(flag);
  reply.bulk("passwords");
  reply.array(user->password_hashes.size());
  for (const std::string& hash : user->password_hashes) reply.bulk(hash);
  reply_rights(user->root, reply);
  reply.bulk("selectors");
  reply.array(user->selectors.size());
  for (const acl::Selector& selector : user->selectors) {
    reply.map(3);
    reply_rights(selector, reply);
  }
}

void acl_help(Context&, Args, ReplyWriter& reply) {
  constexpr std::array<std::string_view, 26> lines = {
      "CAT [<category>]",
      "    List all commands that belong to <category>, or all command categories",
      "    when no category is specified.",
      "DELUSER <username> [<username> ...]",
      "    Delete a list of users.",
      "DRYRUN <username> <command> [<arg> ...]",
      "    Returns whether the user can execute the given command without executing the command.",
      "GETUSER <username>",
      "    Get the user's details.",
      "GENPASS [<bits>]",
      "    Generate a secure 256-bit user password. The optional `bits` argument can",
      "    be used to specify a different size.",
      "LIST",
      "    Show users details in config file format.",
      "LOAD",
      "    Reload users from the ACL file.",
      "LOG [<count> | RESET]",
      "    Show the ACL log entries.",
      "SAVE",
      "    Save the current config to the ACL file.",
      "SETUSER <username> <attribute> [<attribute> ...]",
      "    Create or modify a user with the specified attributes.",
      "USERS",
      "    List all the registered usernames.",
      "WHOAMI",
      "    Return the current connection username.",
  };
  reply_help(reply, "ACL", lines);
}

void acl_list(Context& context, Args, ReplyWriter& reply) {
  const auto accounts = context.services.accounts.list();
  reply.array(accounts.size());
  for (const auto& account : accounts) reply.bulk(acl::line_of(*account->user()));
}

// ACL LOAD: the users of the file and no others; connections of those who are gone are closed, and
// the others have their new rights at once. A mistake in the file changes nothing.
void acl_load(Context& context, Args, ReplyWriter& reply) {
  Services& services = context.services;
  if (services.config.aclfile.empty()) return reply.error(no_file);
  auto users = acl::read_users(services.config.aclfile, services.commands);
  if (!users) return reply.error("ERR " + users.error().message());
  const auto gone = services.accounts.replace_all(std::move(*users), services.settings.password());
  for (const std::string& name : gone) {
    acl::close_connections_of(services, context.client, name);
  }
  for (const auto& account : services.accounts.list()) {
    acl::close_lost_listeners(services, context.client, *account);
  }
  reply.ok();
}

// ACL SAVE: the file becomes what ACL LIST shows.
void acl_save(Context& context, Args, ReplyWriter& reply) {
  const Services& services = context.services;
  if (services.config.aclfile.empty()) return reply.error(no_file);
  static std::mutex one_at_a_time;
  std::scoped_lock lock(one_at_a_time);
  const auto written = acl::write_users(services.config.aclfile, services.accounts);
  if (!written) {
    return reply.error("ERR There was an error trying to save the ACLs: " +
                       written.error().message());
  }
  reply.ok();
}

// ACL LOG [count | RESET]: who was refused what, the newest first.
void acl_log(Context& context, Args args, ReplyWriter& reply) {
  if (args.size() > 3) return reply_wrong_subcommand(reply, args);
  acl::AccessLog& log = context.services.accounts.log;
  std::int64_t count = 10;
  if (args.size() == 3 && is_word(args[2], "RESET")) {
    log.clear();
    return reply.ok();
  }
  if (args.size() == 3) {
    const auto number = integer_argument(args[2], reply);
    if (!number) return;
    count = std::max<std::int64_t>(*number, 0);
  }
  const auto entries = log.newest(static_cast<std::size_t>(count));
  reply.array(entries.size());
  for (const acl::LogEntry& entry : entries) {
    reply.map(7);
    reply.bulk("count");
    reply.integer(static_cast<std::int64_t>(entry.count));
    const auto text = [&reply](std::string_view name, std::string_view value) {
      reply.bulk(name);
      reply.bulk(value);
    };
    text("reason", entry.reason);
    text("context", entry.context);
    text("object", entry.object);
    text("username", entry.username);
    reply.bulk("age-seconds");
    reply.number(static_cast<double>(context.now() - entry.at) / 1000);
    text("client-info", entry.client_info);
  }
}

// ACL SETUSER username [rule ...]: all rules, or none.
void acl_setuser(Context& context, Args args, ReplyWriter& reply) {
  if (!acl::is_user_name(args[2])) {
    return reply.error("ERR Usernames can't contain spaces or null characters");
  }
  const auto account = context.services.accounts.change(args[2], args.subspan(3));
  if (!account) return reply.error("ERR " + account.error().message());
  acl::close_lost_listeners(context.services, context.client, **account);
  reply.ok();
}

void acl_users(Context& context, Args, ReplyWriter& reply) {
  const auto accounts = context.services.accounts.list();
  reply.array(accounts.size());
  for (const auto& account : accounts) reply.bulk(account->name());
}

void acl_whoami(Context& context, Args, ReplyWriter& reply) {
  reply.bulk(context.client.account->name());
}

constexpr KeyRange no_keys{};
constexpr std::uint32_t for_all = no_script | loading | stale;
constexpr std::uint32_t for_admins = for_all | admin | dangerous;

constexpr std::array subcommand_rows{
    Command{"acl|cat",
            -2,
            for_all,
            no_keys,
            acl_cat,
            {"Lists the categories, or the commands of one.", "6.0.0", "server",
             "O(N) with N the number of commands", "[category]"}},
    Command{"acl|deluser",
            -3,
            for_admins,
            no_keys,
            acl_deluser,
            {"Deletes users and closes their connections.", "6.0.0", "server",
             "O(N) with N the number of connections", "username [username ...]"}},
    Command{"acl|dryrun",
            -4,
            for_admins,
            no_keys,
            acl_dryrun,
            {"Tells whether a user may run a command, without running it.", "7.0.0", "server",
             "O(1)", "username command [arg [arg ...]]"}},
    Command{"acl|genpass",
            -2,
            for_all,
            no_keys,
            acl_genpass,
            {"Generates a random password.", "6.0.0", "server", "O(1)", "[bits]"}},
    Command{"acl|getuser",
            3,
            for_admins,
            no_keys,
            acl_getuser,
            {"Returns what a user may do.", "6.0.0", "server", "O(N) with N the number of rules",
             "username"}},
    Command{"acl|help",
            2,
            loading | stale,
            no_keys,
            acl_help,
            {"Lists the subcommands.", "6.0.0", "server", "O(1)", ""}},
    Command{"acl|list",
            2,
            for_admins,
            no_keys,
            acl_list,
            {"Returns all users as lines of a file.", "6.0.0", "server",
             "O(N) with N the number of users", ""}},
    Command{"acl|load",
            2,
            for_admins | slow,
            no_keys,
            acl_load,
            {"Reads the users from the ACL file.", "6.0.0", "server",
             "O(N) with N the number of users", ""}},
    Command{"acl|log",
            -2,
            for_admins,
            no_keys,
            acl_log,
            {"Returns who was refused what.", "6.0.0", "server",
             "O(N) with N the number of entries", "[count | RESET]"}},
    Command{"acl|save",
            2,
            for_admins | slow,
            no_keys,
            acl_save,
            {"Writes the users into the ACL file.", "6.0.0", "server",
             "O(N) with N the number of users", ""}},
    Command{"acl|setuser",
            -3,
            for_admins,
            no_keys,
            acl_setuser,
            {"Makes or changes a user.", "6.0.0", "server", "O(N) with N the number of rules",
             "username [rule [rule ...]]"}},
    Command{"acl|users",
            2,
            for_admins,
            no_keys,
            acl_users,
            {"Lists the users' names.", "6.0.0", "server", "O(N) with N the number of users", ""}},
    Command{"acl|whoami",
            2,
            for_all,
            no_keys,
            acl_whoami,
            {"Returns the name of the connection's user.", "6.0.0", "server", "O(1)", ""}},
};

constexpr std::array rows{
    Command{"acl",
            -2,
            0,
            no_keys,
            nullptr,
            {"A container for commands about users and their rights.", "6.0.0", "server",
             "Depends on subcommand.", ""},
            subcommand_rows},
};

}  // namespace

std::span<const Command> acl_commands() {
  return rows;
}

}  // namespace kvs::daemon
