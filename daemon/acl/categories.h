// categories.h - the ACL categories of Redis, and which of them a command is in.
//
// A command's row in the table says it all: what COMMAND INFO answers and what +@category grants
// come from here. Thread: any.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "daemon/command_table.h"

namespace kvs::daemon::acl {

// All names, without the @, in Redis' order.
std::span<const std::string_view> category_names();

// A category's number among category_names(), its name in any case; nullopt when there is none.
std::optional<unsigned> find_category(std::string_view name);

// Is `command` in the category of that number?
bool is_in_category(const Command& command, unsigned category);

// The categories of one command, in the order of COMMAND INFO.
std::vector<std::string_view> categories_of(const Command& command);

// The command of that name, or "container|subcommand", in any case; null when unknown.
const Command* find_by_full_name(const CommandTable& table, std::string_view name);

}  // namespace kvs::daemon::acl
