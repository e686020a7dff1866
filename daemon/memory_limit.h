// memory_limit.h - maxmemory: when the server's memory is above it, commands that may need more are
// refused as Redis refuses them under noeviction; reads and removals go on.
//
// What counts is our own account: the index, the copies of values (cache-size) and the buffers of
// connections. The process takes more than that (code, stacks, the allocator's slack), so a limit
// of the system should lie above. Values are on the disk, so a key costs its index entry only.
// The account is taken once per batch: it may be exceeded by what the batches in flight add.
// Thread: any; a MemoryLimit itself belongs to the thread that made it.
#pragma once

#include <cstdint>
#include <optional>

#include "daemon/context.h"
#include "daemon/executor.h"

namespace kvs::daemon {

// Bytes that count for maxmemory, now. Locks each shard of the index for a moment.
std::uint64_t counted_memory_bytes(const Services& services);

// The view of one batch.
class MemoryLimit {
 public:
  explicit MemoryLimit(const Services& services) : services_(services) {}

  // True when memory is above maxmemory and `request` may need more; its reply has been given then,
  // and a transaction that it belongs to is broken (or, for EXEC, over).
  bool refuses(Client& client, const Request& request);

  // Is it above maxmemory?
  bool exceeded();

  static constexpr const char* refusal = "OOM command not allowed when used memory > 'maxmemory'.";

 private:
  const Services& services_;
  std::optional<bool> exceeded_;  // unset: not looked at yet
};

}  // namespace kvs::daemon
