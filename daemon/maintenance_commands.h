// maintenance_commands.h - what kvs-server does instead of serving: --check, --salvage, --restore.
//
// Each works on a directory that no server has open, says on stdout what it found, on stderr what
// went wrong, and ends with an exit code that scripts can rely on:
//
//   code  --check                    --salvage                          --restore
//   0     good                       opens now (or did), nothing lost   restored
//   1     opens, loses a torn tail   opens now, something was lost      refused or failed
//   2     corrupt: damage found      -                                  -
//   3     could not be checked       could not be salvaged              -
#pragma once

#include "daemon/config.h"
#include "storage/options.h"

namespace kvs::daemon {

// Does what `config.one_shot` says and returns the exit code. `options` are those that a server
// would open the data directory with.
int run_one_shot(const Config& config, const EngineOptions& options);

}  // namespace kvs::daemon
