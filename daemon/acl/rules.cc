#include "daemon/acl/rules.h"

#include <algorithm>
#include <optional>

#include "daemon/acl/categories.h"
#include "daemon/commands/arguments.h"

namespace kvs::daemon::acl {

namespace {

using Mistake = std::optional<std::string>;  // its text

constexpr const char* syntax_mistake = "Syntax error";
constexpr const char* unknown_mistake = "Unknown command or category name in ACL";
constexpr std::size_t hash_digits = 64;

bool has_blank_or_zero(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return c == '\0' || c == ' ' || (c >= '\t' && c <= '\r'); });
}

// --- commands ---

// Allows or forbids one command, whatever was said of its first arguments.
void set_command(Selector& selector, const Command& command, char sign) {
  selector.first_arguments.erase(&command);
  if (sign == '+') {
    selector.commands.insert(&command);
  } else {
    selector.commands.erase(&command);
  }
}

void set_with_subcommands(Selector& selector, const Command& command, char sign) {
  set_command(selector, command, sign);
  for (const Command& subcommand : command.subcommands) set_command(selector, subcommand, sign);
}

template <class Wanted>
void set_all(Selector& selector, const CommandTable& table, char sign, Wanted wanted) {
  for (const Command* command : table.all()) {
    if (wanted(*command)) set_command(selector, *command, sign);
    for (const Command& subcommand : command->subcommands) {
      if (wanted(subcommand)) set_command(selector, subcommand, sign);
    }
  }
}

// Keeps the rule's text; what it makes void goes.
void keep_rule(Selector& selector, char sign, const std::string& name) {
  std::erase_if(selector.rules, [&](const std::string& rule) {
    const std::string_view earlier = std::string_view(rule).substr(1);
    return earlier == name || earlier.starts_with(name + "|");
  });
  selector.rules.push_back(sign + name);
}

void set_everything(Selector& selector, const CommandTable& table, char sign) {
  set_all(selector, table, sign, [](const Command&) { return true; });
  selector.first_arguments.clear();
  selector.rules.clear();
  selector.all_commands = sign == '+';
}

Mistake apply_category(Selector& selector, std::string_view rule, const CommandTable& table) {
  const char sign = rule[0];
  const std::string name = lower_case(rule.substr(2));
  if (name == "all") return set_everything(selector, table, sign), std::nullopt;
  const auto category = find_category(name);
  if (!category) return unknown_mistake;
  set_all(selector, table, sign,
          [&](const Command& command) { return is_in_category(command, *category); });
  keep_rule(selector, sign, "@" + name);
  return std::nullopt;
}

Mistake apply_command(Selector& selector, std::string_view rule, const CommandTable& table) {
  const char sign = rule[0];
  const std::string name = lower_case(rule.substr(1));
  if (const Command* const command = find_by_full_name(table, name)) {
    set_with_subcommands(selector, *command, sign);
    keep_rule(selector, sign, name);
    return std::nullopt;
  }
  // "+select|0": the command with that first argument only.
  const std::size_t bar = name.rfind('|');
  if (bar == std::string::npos) return unknown_mistake;
  const Command* const command = find_by_full_name(table, std::string_view(name).substr(0, bar));
  if (command == nullptr) return unknown_mistake;
  if (bar + 1 == name.size()) return syntax_mistake;
  if (sign == '-') return unknown_mistake;
  if (name.find('|') != bar) return "Allowing first-arg of a subcommand is not supported";
  if (!command->subcommands.empty()) return unknown_mistake;
  const std::string argument = name.substr(bar + 1);
  if (!selector.commands.contains(command)) {
    auto& arguments = selector.first_arguments[command];
    if (std::find(arguments.begin(), arguments.end(), argument) == arguments.end()) {
      arguments.push_back(argument);
    }
  }
  keep_rule(selector, sign, name);
  return std::nullopt;
}

// --- keys and channels ---

// "~glob", "%R~glob", "%W~glob", "%RW~glob".
Mistake apply_key_pattern(Selector& selector, std::string_view rule) {
  // "~*" says what "allkeys" says, as often as one likes.
  const bool everything = rule == "~*";
  if (selector.all_keys && !everything) {
    return "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not "
           "have any effect. Try 'resetkeys' to start with an empty list of patterns";
  }
  KeyPattern pattern;
  if (rule[0] == '%') {
    // Without a pattern it is the empty one.
    const std::size_t tilde = std::min(rule.find('~'), rule.size());
    if (tilde == 1) return syntax_mistake;
    pattern.reads = pattern.writes = false;
    for (const char letter : rule.substr(1, tilde - 1)) {
      bool& right = letter == 'R' || letter == 'r' ? pattern.reads : pattern.writes;
      if ((&right == &pattern.writes && letter != 'W' && letter != 'w') || right) {
        return syntax_mistake;
      }
      right = true;
    }
    rule.remove_prefix(tilde);
  }
  rule.remove_prefix(std::min<std::size_t>(rule.size(), 1));
  if (has_blank_or_zero(rule)) return syntax_mistake;
  pattern.glob = rule;
  if (everything) {
    selector.all_keys = true;
    selector.keys.clear();
    return std::nullopt;
  }
  for (KeyPattern& known : selector.keys) {
    if (known.glob != pattern.glob) continue;
    known.reads = known.reads || pattern.reads;
    known.writes = known.writes || pattern.writes;
    return std::nullopt;
  }
  selector.keys.push_back(std::move(pattern));
  return std::nullopt;
}

Mistake apply_channel_pattern(Selector& selector, std::string_view rule) {
  const std::string glob(rule.substr(1));
  if (selector.all_channels && glob != "*") {
    return "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does "
           "not have any effect. Try 'resetchannels' to start with an empty list of channels";
  }
  if (has_blank_or_zero(glob)) return syntax_mistake;
  if (glob == "*") {
    selector.all_channels = true;
    selector.channels.clear();
  } else if (std::find(selector.channels.begin(), selector.channels.end(), glob) ==
             selector.channels.end()) {
    selector.channels.push_back(glob);
  }
  return std::nullopt;
}

// --- one word ---

// What a selector may hold, in parentheses or not.
Mistake apply_to_selector(Selector& selector, std::string_view rule, const CommandTable& table) {
  if (is_word(rule, "ALLKEYS")) {
    selector.all_keys = true;
    selector.keys.clear();
  } else if (is_word(rule, "RESETKEYS")) {
    selector.all_keys = false;
    selector.keys.clear();
  } else if (is_word(rule, "ALLCHANNELS")) {
    selector.all_channels = true;
    selector.channels.clear();
  } else if (is_word(rule, "RESETCHANNELS")) {
    selector.all_channels = false;
    selector.channels.clear();
  } else if (is_word(rule, "ALLCOMMANDS")) {
    set_everything(selector, table, '+');
  } else if (is_word(rule, "NOCOMMANDS")) {
    set_everything(selector, table, '-');
  } else if (rule[0] == '~' || rule[0] == '%') {
    return apply_key_pattern(selector, rule);
  } else if (rule[0] == '&') {
    return apply_channel_pattern(selector, rule);
  } else if (rule.starts_with("+@") || rule.starts_with("-@")) {
    return apply_category(selector, rule, table);
  } else if (rule[0] == '+' || rule[0] == '-') {
    return apply_command(selector, rule, table);
  } else {
    return syntax_mistake;
  }
  return std::nullopt;
}

Mistake add_selector(User& user, std::string_view rule, const CommandTable& table) {
  std::string_view inside = rule.substr(1, rule.size() - 2);
  Selector selector;
  while (!inside.empty()) {
    const std::size_t end = std::min(inside.find(' '), inside.size());
    if (end != 0) {
      if (auto mistake = apply_to_selector(selector, inside.substr(0, end), table)) return mistake;
    }
    inside.remove_prefix(std::min(end + 1, inside.size()));
  }
  user.selectors.push_back(std::move(selector));
  return std::nullopt;
}

bool is_hash(std::string_view text) {
  return text.size() == hash_digits && text.find_first_not_of("0123456789abcdef") == text.npos;
}

// ">password", "#hash": one more; "<password", "!hash": one less.
Mistake apply_password(User& user, std::string_view rule) {
  const bool hashed = rule[0] == '#' || rule[0] == '!';
  if (hashed && !is_hash(rule.substr(1))) {
    return "The password hash must be exactly 64 characters and contain only lowercase hexadecimal "
           "characters";
  }
  const std::string hash = hashed ? std::string(rule.substr(1)) : password_hash(rule.substr(1));
  const auto known = std::find(user.password_hashes.begin(), user.password_hashes.end(), hash);
  if (rule[0] == '>' || rule[0] == '#') {
    if (known == user.password_hashes.end()) user.password_hashes.push_back(hash);
    user.no_password = false;
    return std::nullopt;
  }
  if (known == user.password_hashes.end()) {
    return "The password you are trying to remove from the user does not exist";
  }
  user.password_hashes.erase(known);
  return std::nullopt;
}

void reset(User& user) {
  user.enabled = false;
  user.no_password = false;
  user.payload = User::Payload::sanitize;
  user.password_hashes.clear();
  user.selectors.clear();
  user.root = {};
}

Mistake apply_rule(User& user, std::string_view rule, const CommandTable& table) {
  if (rule.empty()) return std::nullopt;
  if (is_word(rule, "ON")) {
    user.enabled = true;
  } else if (is_word(rule, "OFF")) {
    user.enabled = false;
  } else if (is_word(rule, "NOPASS")) {
    user.no_password = true;
    user.password_hashes.clear();
  } else if (is_word(rule, "RESETPASS")) {
    user.no_password = false;
    user.password_hashes.clear();
  } else if (is_word(rule, "SANITIZE-PAYLOAD")) {
    user.payload = User::Payload::sanitize;
  } else if (is_word(rule, "SKIP-SANITIZE-PAYLOAD")) {
    user.payload = User::Payload::skip;
  } else if (is_word(rule, "RESET")) {
    reset(user);
  } else if (is_word(rule, "CLEARSELECTORS")) {
    user.selectors.clear();
  } else if (rule[0] == '>' || rule[0] == '<' || rule[0] == '#' || rule[0] == '!') {
    return apply_password(user, rule);
  } else if (rule[0] == '(' && rule.back() == ')') {
    return add_selector(user, rule, table);
  } else {
    return apply_to_selector(user.root, rule, table);
  }
  return std::nullopt;
}

}  // namespace

std::optional<RuleMistake> apply_rules(User& user, std::span<const std::string_view> words,
                                       const CommandTable& commands) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::string rule(words[i]);
    if (rule.starts_with('(')) {
      while (!rule.ends_with(')')) {
        if (++i == words.size()) {
          return RuleMistake{
              "", "Unmatched parenthesis in acl selector starting at '" + as_printed(rule) + "'."};
        }
        rule.append(" ").append(words[i]);
      }
    }
    if (auto mistake = apply_rule(user, rule, commands)) {
      return RuleMistake{std::move(rule), *std::move(mistake)};
    }
  }
  return std::nullopt;
}

bool is_user_name(std::string_view name) {
  return !has_blank_or_zero(name);
}

}  // namespace kvs::daemon::acl
