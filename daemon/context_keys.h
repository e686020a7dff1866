// context_keys.h - where a Context reads and writes, and what it learned on the way. For context.cc
// and executor.cc only; handlers see Context.
#pragma once

#include <chrono>
#include <vector>

#include "daemon/context.h"
#include "daemon/metrics.h"
#include "daemon/pubsub.h"
#include "daemon/read_ahead.h"
#include "daemon/tracking.h"

namespace kvs::daemon {

// A message that waits for the commit of what was written before it.
struct Outgoing {
  Message message;
  bool rests_on_commit;  // it tells of a write, or was published by a transaction
};

struct Context::Keys {
  Access access = Access::may_block;
  WriteSession* session = nullptr;  // set: everything goes through it
  const ReadAhead* read_ahead = nullptr;
  const Command* running = nullptr;
  const Command* misused = nullptr;            // what a request with a wrong number of words named
  std::vector<Outgoing>* outbox = nullptr;     // messages that leave after the commands, never null
  std::vector<ChangedKey>* changed = nullptr;  // what trackers are told after the commit
  WorkerMetrics* metrics = nullptr;
  bool ran = false;  // the command did run, for so long:
  std::chrono::nanoseconds took{0};
  bool in_transaction = false;  // EXEC is running: a failed commit takes its messages along

  // What the replies depend on, and how safe that must be before they leave.
  Position position = 0;
  Durability durability = Durability::kernel;
  Durability asked = Durability::unsaid;  // by the command that runs, or its connection
  // Run the command again: on the pool, when a read was refused; with a session, when two databases
  // were exchanged while it looked at several keys.
  bool would_block = false;
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
};

}  // namespace kvs::daemon
