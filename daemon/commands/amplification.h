// amplification.h - what the log costs, as INFO and KVS COMPACT STATUS say it.
#pragma once

#include "storage/engine.h"

namespace kvs::daemon {

// Bytes on disk per byte of live records; 1 when there are none.
inline double space_amplification(const EngineStats& stats) {
  if (stats.live_bytes == 0) return 1;
  return static_cast<double>(stats.disk_bytes) / static_cast<double>(stats.live_bytes);
}

// Bytes written to the log, compaction included, per byte that sessions wrote; 1 when there are
// none. Since the start.
inline double write_amplification(const EngineStats& stats) {
  if (stats.written_bytes == 0) return 1;
  return static_cast<double>(stats.written_bytes + stats.compacted_bytes) /
         static_cast<double>(stats.written_bytes);
}

}  // namespace kvs::daemon
