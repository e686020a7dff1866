// read_ahead.h - values read from the disk before a write session opens, held until it has closed.
//
// A value found here is used only while the index still has the record it was read from (same LSN);
// when somebody wrote the key in between, the session reads the newer value, which is in memory.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

#include "storage/engine.h"

namespace kvs::daemon {

class ReadAhead {
 public:
  // Reads `key` when its value is present but not in memory, unless enough has been read already
  // (limits::read_ahead_bytes_max): what is not here is read when a command asks for it, which is
  // slower but as right. Errors are left for the command that will meet them again.
  void fetch(Engine& engine, Key key);

  // Sets `value` and returns true when the record of that LSN is here.
  bool lookup(Key key, Lsn lsn, std::string& value) const;

 private:
  struct Value {
    Lsn lsn;
    std::string bytes;
  };
  static std::string name_of(Key key);

  std::unordered_map<std::string, Value> values_;
  std::size_t bytes_ = 0;
  std::string scratch_;
};

}  // namespace kvs::daemon
