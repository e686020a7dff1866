// context_keys.h - where a Context reads and writes, and what it learned on the way. For context.cc
// and executor.cc only; handlers see Context.
#pragma once

#include "daemon/context.h"
#include "daemon/metrics.h"
#include "daemon/read_ahead.h"

namespace kvs::daemon {

struct Context::Keys {
  Access access = Access::may_block;
  WriteSession* session = nullptr;  // set: everything goes through it
  const ReadAhead* read_ahead = nullptr;

  // What the replies depend on: nothing may leave before this position is safe.
  Position position = 0;
  bool would_block = false;  // a read was refused: run the command on the pool
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
};

}  // namespace kvs::daemon
