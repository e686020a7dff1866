#include "daemon/acl/user.h"

#include <array>

#include <sodium.h>

namespace kvs::daemon::acl {

namespace {

void append(std::string& text, std::string_view word) {
  if (word.empty()) return;
  if (!text.empty()) text += ' ';
  text += word;
}

// Keys, channels and commands in the order of ACL LIST.
std::string rights_text(const Selector& selector) {
  std::string text = selector.keys_text();
  if (selector.all_channels) {
    append(text, "&*");
  } else {
    append(text, "resetchannels");
    append(text, selector.channels_text());
  }
  append(text, selector.commands_text());
  return text;
}

}  // namespace

std::string Selector::commands_text() const {
  std::string text = all_commands ? "+@all" : "-@all";
  for (const std::string& rule : rules) append(text, rule);
  return text;
}

std::string Selector::keys_text() const {
  if (all_keys) return "~*";
  std::string text;
  for (const KeyPattern& pattern : keys) {
    const char* const prefix = pattern.reads && pattern.writes ? "~"
                               : pattern.reads                 ? "%R~"
                                                               : "%W~";
    append(text, prefix + pattern.glob);
  }
  return text;
}

std::string Selector::channels_text() const {
  if (all_channels) return "&*";
  std::string text;
  for (const std::string& channel : channels) append(text, "&" + channel);
  return text;
}

User new_user(std::string_view name) {
  User user;
  user.name = name;
  return user;
}

User all_powerful_user(std::string_view name, const CommandTable& commands) {
  User user = new_user(name);
  user.enabled = true;
  user.no_password = true;
  user.root.all_commands = true;
  user.root.all_keys = true;
  user.root.all_channels = true;
  for (const Command* command : commands.all()) {
    user.root.commands.insert(command);
    for (const Command& subcommand : command->subcommands) user.root.commands.insert(&subcommand);
  }
  return user;
}

std::vector<std::string_view> flags_of(const User& user) {
  std::vector<std::string_view> flags = {user.enabled ? "on" : "off"};
  if (user.no_password) flags.push_back("nopass");
  if (user.payload == User::Payload::sanitize) flags.push_back("sanitize-payload");
  if (user.payload == User::Payload::skip) flags.push_back("skip-sanitize-payload");
  return flags;
}

std::string line_of(const User& user) {
  std::string line = "user " + user.name;
  for (const std::string_view flag : flags_of(user)) append(line, flag);
  for (const std::string& hash : user.password_hashes) append(line, "#" + hash);
  append(line, rights_text(user.root));
  for (const Selector& selector : user.selectors) append(line, "(" + rights_text(selector) + ")");
  return line;
}

std::string password_hash(std::string_view password) {
  std::array<unsigned char, crypto_hash_sha256_BYTES> digest;
  crypto_hash_sha256(digest.data(), reinterpret_cast<const unsigned char*>(password.data()),
                     password.size());
  std::string text(2 * digest.size() + 1, '\0');
  sodium_bin2hex(text.data(), text.size(), digest.data(), digest.size());
  text.pop_back();
  return text;
}

bool has_password(const User& user, std::string_view hash) {
  bool found = false;
  for (const std::string& known : user.password_hashes) {
    const bool same =
        known.size() == hash.size() && sodium_memcmp(known.data(), hash.data(), hash.size()) == 0;
    found = same || found;
  }
  return found;
}

}  // namespace kvs::daemon::acl
