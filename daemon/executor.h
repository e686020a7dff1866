// executor.h - runs requests: on the loop when that cannot wait, in batches on the pool otherwise.
//
// A batch is what one loop has gathered from its connections while the previous batch ran. Its
// requests run in order. The first one that writes opens a write session on the engine, which every
// later request of the batch reads through; the end of the batch commits it, as one frame of the
// log. Cold values that the session will need are read before it opens, so that the writer's place
// is never held across a disk read.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "daemon/client.h"
#include "daemon/command_table.h"
#include "daemon/context.h"
#include "daemon/metrics.h"
#include "daemon/read_ahead.h"
#include "storage/engine.h"

namespace kvs::daemon {

// One request as the connection parsed it.
struct Request {
  const Command* command = nullptr;  // null: there is no such command, and `error` is the reply
  Args args;                         // views; they live until the request has been executed
  std::string error;
};

// What one connection has in a batch, and what came of it. Owned by the connection; belongs to the
// pool thread while the batch is in flight.
struct BatchEntry {
  Client* client = nullptr;
  WorkerMetrics* metrics = nullptr;
  std::span<const Request> requests;
  ReadAhead read_ahead{};  // what they need from the disk, as far as it is there already

  // Set by answer_reads and run_batch: replies of requests[0..executed) are at the end of
  // client->output and may leave once `position` is synced (0: at once). The rest (it may be all)
  // was put off, because replies have grown long or the connection ends or waits.
  std::size_t executed = 0;
  Position position = 0;
};

// Finds the command that `words` name. DEBUG is none if the configuration does not allow it to the
// client: that comes before anything else is asked about a command.
Request resolve_request(const Services& services, const ClientShared& client, Args words);

enum class Inline : std::uint8_t { answered, needs_pool };

// Runs `request` on the loop thread if nothing in it can wait: its reply is then appended to
// client.output, and `position` raised to what must be synced before it leaves. Otherwise nothing
// has happened.
Inline answer_inline(Services& services, WorkerMetrics& metrics, Client& client,
                     const Request& request, Position& position,
                     const ReadAhead* read_ahead = nullptr);

// Must `request` wait, because CLIENT PAUSE holds such requests at `now`?
bool is_held(const Services& services, const Client& client, const Request& request, UnixMs now);

// Runs what needs no pool now that entry.read_ahead is there, from the first request on. Answers
// needs_pool when run_batch must go on behind that; otherwise all are answered, or put off.
Inline answer_reads(Services& services, BatchEntry& entry);

// Is it certain that the replies to `entry` will wait for a sync, unless its writes fail? "No" says
// nothing. Before it is executed.
bool will_wait_for_sync(const Services& services, const BatchEntry& entry);

// Runs all entries, each behind what answer_reads has done of it. Blocks; pool thread.
void run_batch(Services& services, std::span<BatchEntry* const> entries);

}  // namespace kvs::daemon
