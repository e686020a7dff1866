// slow_log.h - the commands that took long, for SLOWLOG. Thread: any.
//
// What is kept is bounded: so many entries (slowlog-max-len), of each so many words, of each word
// so many bytes. Passwords are not among them (redaction.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "daemon/command_table.h"

namespace kvs::daemon {

struct ClientShared;

struct SlowCall {
  std::uint64_t id = 0;
  std::int64_t unix_seconds = 0;
  std::int64_t microseconds = 0;
  std::vector<std::string> words;
  std::string address;
  std::string name;  // of the client
};

class SlowLog {
 public:
  void add(const Command& command, Args args, std::chrono::nanoseconds took, ClientShared& client,
           std::size_t entries_max);
  // The newest `count`, newest first; all when it is negative.
  std::vector<SlowCall> newest(std::int64_t count) const;
  std::size_t size() const;
  void clear();
  // Forgets the oldest beyond this many.
  void shrink(std::size_t entries_max);

 private:
  mutable std::mutex mutex_;
  std::uint64_t next_id_ = 0;   // guarded by mutex_, as what follows
  std::deque<SlowCall> calls_;  // newest first
};

}  // namespace kvs::daemon
