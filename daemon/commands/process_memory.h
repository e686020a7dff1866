// process_memory.h - memory of this process as the kernel counts it. The allocator is not asked:
// which one is linked does not matter then.
#pragma once

#include <cstdint>

namespace kvs::daemon {

// In bytes.
struct ProcessMemory {
  std::uint64_t resident = 0;
  std::uint64_t resident_peak = 0;
  std::uint64_t anonymous = 0;  // resident, without files: the heap and the stacks
};

// Reads /proc; thread: any.
ProcessMemory process_memory();

}  // namespace kvs::daemon
