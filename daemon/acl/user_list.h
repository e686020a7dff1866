// user_list.h - users as lines of text: the file that `aclfile` names, and `user` lines of the
// config file. Thread: any.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/acl/accounts.h"
#include "daemon/config.h"
#include "protocol/async/result.h"

namespace kvs::daemon::acl {

// Reads lines "user NAME rule ...". All mistakes are told, each with `source` and its line: nothing
// comes of a list that has one. Empty lines and comments are passed over.
Result<std::vector<User>> parse_users(std::string_view text, const std::string& source,
                                      const CommandTable& commands);

// The whole file; what is wrong with it otherwise.
Result<std::vector<User>> read_users(const std::filesystem::path& path,
                                     const CommandTable& commands);

// Puts all users into the file, in one step: after a crash it holds the old text or the new one.
Result<void> write_users(const std::filesystem::path& path, const Accounts& accounts);

// Takes the users of the ACL file, or of the config file: only one of the two may have any.
Result<void> load_users_at_start(const Config& config, Accounts& accounts);

}  // namespace kvs::daemon::acl
