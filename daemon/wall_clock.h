// wall_clock.h - the time of day, as deadlines and CLIENT LIST count it.
#pragma once

#include <chrono>

#include "storage/engine.h"

namespace kvs::daemon {

inline UnixMs wall_clock_ms() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

}  // namespace kvs::daemon
