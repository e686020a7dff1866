// log.h - what ACL LOG answers: who was refused what, the newest first. Thread: any.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "storage/engine.h"

namespace kvs::daemon::acl {

struct LogEntry {
  std::string reason;   // "command", "key", "channel", "auth"
  std::string context;  // "toplevel", "multi"
  std::string object;   // the command, key or channel
  std::string username;
  std::string client_info;  // the line of CLIENT LIST
  UnixMs at = 0;            // the last time
  std::uint64_t count = 1;
};

class AccessLog {
 public:
  // The same refusal of the same user within a minute is counted, not listed again.
  void add(LogEntry entry);
  std::vector<LogEntry> newest(std::size_t count) const;
  void clear();

 private:
  mutable std::mutex mutex_;
  std::deque<LogEntry> entries_;  // guarded by mutex_; the newest in front
};

}  // namespace kvs::daemon::acl
