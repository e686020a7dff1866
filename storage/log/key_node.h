// key_node.h - what is stored per key, packed, and the memory that it lies in.
//
// A node is some 19 bytes + the key (+ 6 with a deadline): every number takes as many bytes as it
// needs, what follows from other fields is left out. malloc would add 8 bytes of its own and round
// up to 16, and a pointer takes 8 bytes in the table: so nodes lie in an arena of 64 KiB chunks, in
// units of 4 bytes, and 32-bit handles name them.
//
// Memory of nodes that are gone is used again for nodes of the same size, or cut up for smaller
// ones. When sizes change that alone would let holes pile up without bound. So when holes make up
// more than a fifth of the arena (and more than a chunk), tidy() moves the nodes out of the chunk
// with the fewest of them, a few per call, and returns the chunk to the system. Holes thus stay
// below a quarter of what is in use, plus a chunk, whatever the history.
//
// Not here: where a node's handle is remembered. tidy() tells its caller of each node it moves.
//
// Thread: guarded by the shard's lock.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "storage/log/chunk_memory.h"
#include "storage/log/keydir.h"
#include "storage/log/value_ring.h"

namespace kvs::log {

// Names a node of one arena.
using NodeHandle = std::uint32_t;
inline constexpr NodeHandle no_node = 0;

// A node, unpacked.
struct KeyNode {
  Entry entry;
  RingPosition ring_position = 0;  // of the copy of the value; 0: there is none
  bool removed = false;            // remembers the LSN of a removal while recovery runs
};

inline constexpr std::uint64_t lsn_end = std::uint64_t{1} << 48;

class NodeArena {
 public:
  // `with_copies`: values are kept in a ring, so every node has room for a position, whether its
  // value has a copy or not. Otherwise nodes would change their size with every first read.
  // Lifetime: `memory` outlives this.
  NodeArena(bool with_copies, ChunkMemory& memory);
  ~NodeArena();
  NodeArena(const NodeArena&) = delete;
  NodeArena& operator=(const NodeArena&) = delete;

  // Stores `node` under `key`. Never fails (out of memory ends the process).
  NodeHandle create(const KeyNode& node, std::string_view key);

  // Stores `node` in place of what `handle` names and returns its handle, which changes when the
  // size does.
  NodeHandle update(NodeHandle handle, const KeyNode& node);

  // Returns 0 when there is none; cheaper than read().
  RingPosition ring_position(NodeHandle handle) const;
  // The node keeps its handle.
  void forget_ring_position(NodeHandle handle);

  void destroy(NodeHandle handle);

  KeyNode read(NodeHandle handle) const;
  // Valid until the node is updated, moved or destroyed.
  std::string_view key(NodeHandle handle) const;
  // Inlined by force: GCC 12 takes a function that only prefetches for one without effect.
  [[gnu::always_inline]] void prefetch(NodeHandle handle) const {
    const std::byte* place = at(handle);
    __builtin_prefetch(place);
    __builtin_prefetch(place + 32);
  }

  // Too much of the memory is holes.
  bool untidy() const { return hole_units_ > chunk_units && hole_units_ > total_units_ / 5; }
  // Looks at up to `places_max` places of the chunk that is being emptied, if there are too many
  // holes, and calls `moved(old, now)` for each node that it moved; both can be read.
  template <class Visit>
  void tidy(std::size_t places_max, Visit&& moved);

  std::uint64_t memory_bytes() const;

 private:
  static constexpr std::size_t unit_bytes = 4;
  static constexpr unsigned chunk_bits = 14;
  static constexpr std::size_t chunk_units = std::size_t{1} << chunk_bits;
  static_assert(chunk_units * unit_bytes == ChunkMemory::chunk_bytes);
  static constexpr std::size_t node_units_min = 4;
  // Up to 512 bytes every size is a class of its own; up to 4 KiB they are 128 bytes apart (a node
  // is rounded up to its class); what is larger owns its memory and a chunk's number.
  static constexpr std::size_t fine_units_max = 128;
  static constexpr std::size_t coarse_units = 32;
  static constexpr std::size_t class_units_max = 1024;
  static constexpr std::size_t classes_count =
      fine_units_max + (class_units_max - fine_units_max) / coarse_units;

  struct Chunk {
    std::byte* memory = nullptr;
    std::uint32_t live_units = 0;
    std::uint32_t large_bytes = 0;  // of a large node; 0: an ordinary chunk, or an unused number
  };
  // A place without a node, as it lies in the chunk. Units below node_units_min hold no more than
  // the first two fields, and are on no list.
  struct Hole {
    std::uint16_t flags;
    std::uint16_t units;
    NodeHandle next;
    NodeHandle previous;
  };
  static constexpr std::size_t unlisted_hole_bytes = 4;

  static std::size_t units_of(std::size_t bytes);
  static std::size_t class_of(std::size_t units);

  std::byte* at(NodeHandle handle) const {
    return chunks_[handle >> chunk_bits].memory + (handle & (chunk_units - 1)) * unit_bytes;
  }
  bool in_victim(NodeHandle handle) const { return handle >> chunk_bits == victim_; }

  NodeHandle allocate(std::size_t bytes);
  NodeHandle take_place(std::size_t units);
  NodeHandle take_hole(std::size_t units);
  NodeHandle pop_hole(std::size_t hole_class);
  void release(NodeHandle handle, std::size_t bytes);
  void make_holes(NodeHandle handle, std::size_t units);
  void list_hole(NodeHandle handle, std::size_t units);
  void mark_hole(NodeHandle handle, std::size_t units);
  void unlist_hole(NodeHandle handle, const Hole& hole);
  std::uint32_t add_chunk(std::byte* memory, std::size_t large_bytes);
  void drop_chunk(std::uint32_t number);
  void drop_all();
  // Sets victim_, if there is a chunk to empty.
  bool choose_victim();
  struct Moved {
    NodeHandle old = no_node;  // no_node: the place held no node
    NodeHandle now = no_node;
  };
  Moved empty_place();

  const bool with_copies_;
  ChunkMemory& memory_;
  std::vector<Chunk> chunks_;  // number 0 is unused: handle 0 is no node
  std::vector<std::uint32_t> unused_chunk_numbers_;
  std::uint64_t large_bytes_ = 0;
  std::uint64_t total_units_ = 0;  // of the ordinary chunks
  std::uint64_t hole_units_ = 0;
  std::uint64_t nodes_ = 0;
  // Rest of the newest chunk.
  NodeHandle fresh_ = no_node;
  std::size_t fresh_units_ = 0;
  // The chunk that is being emptied (0: none), and the next place to look at.
  std::uint32_t victim_ = 0;
  std::size_t victim_next_ = 0;
  // Per class a list of holes, and which lists are not empty.
  std::array<NodeHandle, classes_count> holes_{};
  std::array<std::uint64_t, (classes_count + 63) / 64> holes_mask_{};
};

template <class Visit>
void NodeArena::tidy(std::size_t places_max, Visit&& moved) {
  for (std::size_t i = 0; i < places_max; ++i) {
    if (victim_ == 0 && (!untidy() || !choose_victim())) return;
    if (const auto move = empty_place(); move.old != no_node) moved(move.old, move.now);
  }
}

}  // namespace kvs::log
