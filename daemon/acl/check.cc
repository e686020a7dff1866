#include "daemon/acl/check.h"

#include <algorithm>

#include "daemon/commands/arguments.h"
#include "daemon/glob.h"
#include "daemon/key_access.h"

namespace kvs::daemon::acl {

namespace {

struct Access {
  bool reads = false;
  bool writes = false;
  bool is_key = true;
};

Access access_of(const Command& command, Args args, std::size_t index) {
  const std::string_view text = key_access_of(command, args, index);
  const auto says = [text](std::string_view flag) { return text.find(flag) != text.npos; };
  Access access;
  access.is_key = !says("not_key");
  access.reads = says("access");
  access.writes = says("update") || says("insert") || says("delete");
  if (text.empty()) {
    access.reads = true;
    access.writes = command.has(writes);
  }
  return access;
}

bool allows_command(const Selector& selector, const Command& command, Args args) {
  if (command.has(no_auth) || selector.commands.contains(&command)) return true;
  const auto arguments = selector.first_arguments.find(&command);
  if (arguments == selector.first_arguments.end() || args.size() < 2) return false;
  const std::string said = lower_case(args[1]);
  return std::find(arguments->second.begin(), arguments->second.end(), said) !=
         arguments->second.end();
}

bool allows_key(const Selector& selector, std::string_view key, const Access& access) {
  return std::any_of(selector.keys.begin(), selector.keys.end(), [&](const KeyPattern& pattern) {
    return (!access.reads || pattern.reads) && (!access.writes || pattern.writes) &&
           glob_matches(pattern.glob, key);
  });
}

bool allows_channel(const Selector& selector, std::string_view channel, ChannelNamed named) {
  return selector.all_channels || std::any_of(selector.channels.begin(), selector.channels.end(),
                                              [&](const std::string& own) {
                                                return named == ChannelNamed::as_pattern
                                                           ? own == channel
                                                           : glob_matches(own, channel);
                                              });
}

// Words of a command that are channels: one, all, or none.
Args channel_words(const Command& command, Args args) {
  if (!command.has(pubsub_family) || args.size() < 2) return {};
  if (command.name == "publish" || command.name == "spublish") return args.subspan(1, 1);
  if (command.name.ends_with("subscribe") && command.name.find("unsub") == std::string_view::npos) {
    return args.subspan(1);
  }
  return {};
}

Verdict check_selector(const Selector& selector, const Command& command, Args args) {
  if (!allows_command(selector, command, args)) return {Reason::command, 0};
  if (!selector.all_keys) {
    const KeyRange keys = command.keys_in(args);
    std::size_t index = 0;
    for (int i = keys.first; i <= keys.last; i += keys.step, ++index) {
      const auto word = static_cast<std::size_t>(i);
      const Access access = access_of(command, args, index);
      if (access.is_key && !allows_key(selector, args[word], access)) return {Reason::key, word};
    }
  }
  const auto named = command.name == "psubscribe" ? ChannelNamed::as_pattern : ChannelNamed::itself;
  const Args channels = channel_words(command, args);
  for (std::size_t i = 0; i < channels.size(); ++i) {
    if (!allows_channel(selector, channels[i], named)) return {Reason::channel, i + 1};
  }
  return {};
}

}  // namespace

Verdict check(const User& user, const Command& command, Args args) {
  if (user.unrestricted()) return {};
  Verdict worst = check_selector(user.root, command, args);
  for (const Selector& selector : user.selectors) {
    if (worst.allowed()) break;
    const Verdict verdict = check_selector(selector, command, args);
    // Whoever got further explains more.
    if (verdict.allowed() || verdict.reason > worst.reason ||
        (verdict.reason == worst.reason && verdict.word > worst.word)) {
      worst = verdict;
    }
  }
  return worst;
}

bool may_listen(const User& user, std::string_view channel, ChannelNamed named) {
  return allows_channel(user.root, channel, named) ||
         std::any_of(user.selectors.begin(), user.selectors.end(), [&](const Selector& selector) {
           return allows_channel(selector, channel, named);
         });
}

}  // namespace kvs::daemon::acl
