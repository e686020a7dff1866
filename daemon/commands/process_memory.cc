#include "daemon/commands/process_memory.h"

#include <fstream>
#include <string>

namespace kvs::daemon {

ProcessMemory process_memory() {
  ProcessMemory memory;
  std::ifstream status("/proc/self/status");
  std::string field;
  while (status >> field) {
    std::uint64_t* const figure = field == "VmRSS:"     ? &memory.resident
                                  : field == "VmHWM:"   ? &memory.resident_peak
                                  : field == "RssAnon:" ? &memory.anonymous
                                                        : nullptr;
    if (figure != nullptr) {
      status >> *figure;
      *figure *= 1024;
    }
    std::getline(status, field);
  }
  return memory;
}

}  // namespace kvs::daemon
