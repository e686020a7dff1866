// check.h - may this user run this command with these arguments? Thread: any.
#pragma once

#include <cstdint>
#include <string_view>

#include "daemon/acl/user.h"
#include "daemon/command_table.h"

namespace kvs::daemon::acl {

// What is refused, in the order in which Redis prefers one reason to another when several selectors
// refuse for different ones.
enum class Reason : std::uint8_t { none, command, key, channel };

struct Verdict {
  Reason reason = Reason::none;  // none: it is allowed
  std::size_t word = 0;          // index among the arguments of the key or channel

  bool allowed() const noexcept { return reason == Reason::none; }
};

// Looks at the user's own rights and, while those do not suffice, at each selector. `command` is
// what the table resolves `args` to.
Verdict check(const User& user, const Command& command, Args args);

enum class ChannelNamed : std::uint8_t { itself, as_pattern };
// May the user listen to that channel? A pattern must be one of the user's, letter by letter.
bool may_listen(const User& user, std::string_view channel, ChannelNamed named);

}  // namespace kvs::daemon::acl
