// rules.h - the words of ACL SETUSER, of `user` lines and of ACL files: on, >password, ~keys, +get,
// (selector) ... applied to a User.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "daemon/acl/user.h"

namespace kvs::daemon::acl {

// What was wrong with which word.
struct RuleMistake {
  std::string rule;  // as it was written; empty: a parenthesis that nothing closes, `text` says all
  std::string text;
};

// Applies all words, from left to right. After a mistake `user` holds what came before it: apply to
// a copy. Words of one selector may come apart ("(+get", "~a)").
std::optional<RuleMistake> apply_rules(User& user, std::span<const std::string_view> words,
                                       const CommandTable& commands);

// May a user be called so?
bool is_user_name(std::string_view name);

}  // namespace kvs::daemon::acl
