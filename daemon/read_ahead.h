// read_ahead.h - values read from the disk before a step of a connection runs, held until it has.
//
// A value found here is used only while the index still has the record it was read from (same LSN);
// when somebody wrote the key in between, the step reads the newer value, which is in memory.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

#include "storage/engine.h"

namespace kvs::daemon {

// Thread: whoever has the step: its loop, or the pool while its batch is in flight.
class ReadAhead {
 public:
  bool empty() const noexcept { return values_.empty(); }

  // Keeps `value`, which is that of the record `lsn`. Expired or overwritten since: does no harm.
  void keep(Lsn lsn, std::string value);

  // Reads `key` when its value is present but not in memory, unless it is here or enough has been
  // read already (limits::read_ahead_bytes_max): what is not here is read when a command asks for
  // it, which is slower but as right. Errors are left for the command that will meet them again.
  // Blocks.
  void fetch(Engine& engine, Key key);

  // Everything that the step needs has been looked at, and is here or was in memory then.
  bool complete() const noexcept { return complete_; }
  void set_complete() noexcept { complete_ = true; }

  // Sets `value` and returns true when the record of that LSN is here.
  bool lookup(Lsn lsn, std::string& value) const;

 private:
  std::unordered_map<Lsn, std::string> values_;  // an LSN is that of one record
  std::size_t bytes_ = 0;
  bool complete_ = false;
};

}  // namespace kvs::daemon
