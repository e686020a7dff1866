// survivor.h - what must hold of a disk that a power cut has left; used by all that cut the power.
//
// Problems are texts and not doctest's failures, because the disk is looked at from within the
// calls of an engine that is still alive, through which no exception may fly.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "storage/options.h"
#include "tests/support/sim_fs.h"
#include "tests/support/storage_model.h"

namespace kvs::test {

// An engine on `fs` with small segments and nothing cached, on the model's clock.
EngineOptions crash_options(const std::shared_ptr<SimFs>& fs, const Workload& workload,
                            std::uint64_t segment_bytes = 400);

struct CrashCounts {
  std::uint64_t states = 0;  // disks that were opened and compared
  std::uint64_t nested = 0;  // of them, left by a second cut, during recovery
  std::uint64_t lives = 0;   // engines that lived on afterwards: wrote, compacted, closed, reopened
};

// How far check_survivor goes.
enum class Depth : std::uint8_t {
  compare,          // open it, compare all contents with the model
  cut_recovery,     // and cut the power again at each call of the recovery
  cut_and_live_on,  // and write, compact, close, reopen on what has been found
};

// Opens what the cut has left on `fs` and checks that it holds one of the states that `workload`
// allows. `fs` is used up, `workload` stays as it is. Returns what is wrong, or an empty text.
std::string check_survivor(const std::shared_ptr<SimFs>& fs, const Workload& workload,
                           std::uint64_t segment_bytes, Depth depth, std::uint64_t seed,
                           CrashCounts& counts);

}  // namespace kvs::test
