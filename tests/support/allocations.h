// allocations.h - how often operator new has been called. Link kvs_count_allocations, which
// replaces it for the whole program.
#pragma once

#include <cstdint>

namespace kvs::test {

// Calls of any operator new so far, by all threads.
std::uint64_t allocations() noexcept;

}  // namespace kvs::test
