// absent_commands.h - the commands of Redis 7 that kvs does not have, and why: clients are told.
//
// docs/commands.md is the list for people; tests/tidy compares the two.
#pragma once

#include <string_view>

namespace kvs::daemon {

// "this server has no lists" for LPUSH, in any case; empty for what Redis does not know either.
std::string_view why_absent(std::string_view name);

}  // namespace kvs::daemon
