// user.h - what one user may do: a value, built rule by rule, and never changed once it is in
// force.
//
// The rules are kept as they were said, in order, because that is how ACL LIST and files show them;
// beside them stands what they come to: the set of commands, so that a check looks at no text. A
// later rule about the same command or category replaces the earlier one, so that the text does not
// grow with each ACL SETUSER. (Redis 7.0 shows the shortest list of categories that gives the same
// commands instead; Redis 7.2 does as we do.)
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "daemon/command_table.h"

namespace kvs::daemon::acl {

struct KeyPattern {
  std::string glob;
  bool reads = true;
  bool writes = true;

  bool operator==(const KeyPattern&) const = default;
};

// Commands, keys and channels that are allowed together. The user's own, or one in parentheses.
struct Selector {
  bool all_commands = false;       // "+@all" is the base that `rules` change; otherwise "-@all"
  std::vector<std::string> rules;  // "+@read", "-config|set", "+select|0"
  bool all_keys = false;
  std::vector<KeyPattern> keys;
  bool all_channels = false;
  std::vector<std::string> channels;

  // What the rules come to; a container stands in it for itself only.
  std::unordered_set<const Command*> commands;
  // Commands that are allowed with these first arguments only ("+select|0").
  std::map<const Command*, std::vector<std::string>> first_arguments;

  bool allows_everything() const {
    return all_commands && rules.empty() && all_keys && all_channels;
  }

  // As ACL GETUSER shows them.
  std::string commands_text() const;
  std::string keys_text() const;
  std::string channels_text() const;
};

struct User {
  // Of Redis' RESTORE, which is not here: kept because files have it.
  enum class Payload : std::uint8_t { unsaid, sanitize, skip };

  std::string name;
  bool enabled = false;
  bool no_password = false;
  Payload payload = Payload::unsaid;
  std::vector<std::string> password_hashes;  // SHA-256, 64 lower case digits
  Selector root;
  std::vector<Selector> selectors;

  // True when there is nothing to check.
  bool unrestricted() const { return root.allows_everything(); }
};

// A user without any right, or (the default user) with all.
User new_user(std::string_view name);
User all_powerful_user(std::string_view name, const CommandTable& commands);

// The user as one line of ACL LIST and of files: "user NAME on nopass ~* &* +@all".
std::string line_of(const User& user);

// What ACL GETUSER lists as flags.
std::vector<std::string_view> flags_of(const User& user);

// SHA-256 of a password as `password_hashes` has it.
std::string password_hash(std::string_view password);

// Does one of the user's hashes equal `hash` (of password_hash)? Takes the same time for each.
bool has_password(const User& user, std::string_view hash);

}  // namespace kvs::daemon::acl
