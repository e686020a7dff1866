// redaction.h - which words of a request nobody but its sender may see: passwords.
//
// MONITOR, SLOWLOG and whatever else shows requests to others asks here.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "daemon/command_table.h"

namespace kvs::daemon {

// Thread: any. `args` outlives it.
class Redaction {
 public:
  Redaction(const Command& command, Args args);
  std::string_view shown(std::size_t index) const;

 private:
  Args args_;
  std::vector<bool> hidden_;  // empty: none
};

}  // namespace kvs::daemon
