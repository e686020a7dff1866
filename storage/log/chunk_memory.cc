#include "storage/log/chunk_memory.h"

#include <bit>
#include <cassert>
#include <cstdlib>
#include <sys/mman.h>

namespace kvs::log {

ChunkMemory::~ChunkMemory() {
  assert(regions_.empty());
}

std::byte* ChunkMemory::take() {
  const std::scoped_lock lock(mutex_);
  if (with_room_.empty()) {
    std::byte* const region = map_region();
    if (!regions_.empty()) madvise(region, region_bytes, MADV_HUGEPAGE);  // a wish
    regions_[region] = all_free;
    with_room_.insert(region);
  }
  // The lowest, so that the others may become empty.
  std::byte* const region = *with_room_.begin();
  FreeChunks& free = regions_[region];
  const auto number = static_cast<unsigned>(std::countr_zero(free));
  free &= free - 1;
  if (free == 0) with_room_.erase(region);
  return region + number * chunk_bytes;
}

void ChunkMemory::give_back(std::byte* chunk) {
  const std::scoped_lock lock(mutex_);
  const auto found = std::prev(regions_.upper_bound(chunk));
  std::byte* const region = found->first;
  const auto number = static_cast<std::size_t>(chunk - region) / chunk_bytes;
  assert(number < region_chunks);
  found->second |= FreeChunks{1} << number;
  with_room_.insert(region);
  if (found->second != all_free) {
    madvise(chunk, chunk_bytes, MADV_DONTNEED);
    return;
  }
  munmap(region, region_bytes);
  with_room_.erase(region);
  regions_.erase(found);
}

std::byte* ChunkMemory::map_region() {
  // Twice as much, to find an aligned part in it.
  void* const memory = mmap(nullptr, 2 * region_bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  auto* const begin = static_cast<std::byte*>(memory);
  const std::size_t before =
      (region_bytes - reinterpret_cast<std::uintptr_t>(begin) % region_bytes) % region_bytes;
  std::byte* const region = begin + before;
  if (before > 0) munmap(begin, before);
  munmap(region + region_bytes, region_bytes - before);
  return region;
}

}  // namespace kvs::log
