// chunk_memory.h - memory for the arenas of the index, in chunks that come out of huge pages.
//
// The index is read at random places, and a processor that finds one of 4 KiB pages waits longer
// for the page's address (in a virtual machine twice so) than for the bytes. So chunks are cut from
// regions of 2 MiB, aligned as huge pages are, and the kernel is asked for those (which it grants
// unless transparent huge pages are switched off). All arenas share the regions, and the first one
// keeps small pages, so that an index of few keys costs no more than it needs: a huge page is
// cleared whole.
//
// A chunk that is given back goes back to the system at once, and its region with the last one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>

namespace kvs::log {

// Thread: any.
class ChunkMemory {
 public:
  static constexpr std::size_t chunk_bytes = std::size_t{64} << 10;

  ChunkMemory() = default;
  ~ChunkMemory();  // every chunk has been given back
  ChunkMemory(const ChunkMemory&) = delete;
  ChunkMemory& operator=(const ChunkMemory&) = delete;

  // Returns a chunk of zeros. Never fails (out of memory ends the process).
  std::byte* take();
  void give_back(std::byte* chunk);

 private:
  static constexpr std::size_t region_bytes = std::size_t{2} << 20;
  static constexpr std::size_t region_chunks = region_bytes / chunk_bytes;
  using FreeChunks = std::uint32_t;  // bit i: chunk i of the region
  static constexpr FreeChunks all_free = UINT32_MAX;
  static_assert(region_chunks == 32);

  static std::byte* map_region();

  std::mutex mutex_;
  // Guarded by mutex_.
  std::map<std::byte*, FreeChunks> regions_;
  std::set<std::byte*> with_room_;
};

}  // namespace kvs::log
