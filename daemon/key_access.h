// key_access.h - what a command does to its keys, in the words of Redis' key specs.
#pragma once

#include <cstddef>
#include <string_view>

#include "daemon/command_table.h"

namespace kvs::daemon {

// The flags of the `index`-th key that `args` name, parted by spaces ("RW access update"); empty
// when the command's row says nothing. Of SET, BITFIELD and others they depend on the words.
std::string_view key_access_of(const Command& command, Args args, std::size_t index);

}  // namespace kvs::daemon
