// key_node.h - what is stored per key, packed, and the memory that it lies in.
//
// A node is 30 bytes + the key (+ 8 with a deadline). malloc would add 8 bytes of its own and round
// up to 16, and a pointer takes 8 bytes in the table: so a shard keeps its nodes in an arena of
// 64 KiB chunks, names them with 32-bit handles and recycles them by size. Memory goes back to
// the system when the last node of the arena is gone, or a node too large for the chunks.
//
// Thread: guarded by the shard's lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "storage/log/keydir.h"

namespace kvs::log {

// Names a node of one arena.
using NodeHandle = std::uint32_t;
inline constexpr NodeHandle no_node = 0;

// A node, unpacked.
struct KeyNode {
  Entry entry;
  std::uint64_t ring_position = 0;  // of the copy of the value; 0: there is none
  bool removed = false;             // remembers the LSN of a removal while recovery runs
};

inline constexpr std::uint64_t lsn_end = std::uint64_t{1} << 48;
inline constexpr std::uint64_t ring_position_end = std::uint64_t{1} << 48;

class NodeArena {
 public:
  NodeArena();

  // Stores `node` under `key`. Never fails (out of memory ends the process).
  NodeHandle create(const KeyNode& node, std::string_view key);

  // Stores `node` in place of what `handle` names and returns its handle, which changes when the
  // size does.
  NodeHandle update(NodeHandle handle, const KeyNode& node);

  void set_ring_position(NodeHandle handle, std::uint64_t ring_position);

  void destroy(NodeHandle handle);

  KeyNode read(NodeHandle handle) const;
  // Valid until the node is updated or destroyed.
  std::string_view key(NodeHandle handle) const;
  void prefetch(NodeHandle handle) const { __builtin_prefetch(at(handle)); }

  std::uint64_t memory_bytes() const;

 private:
  // Sizes are counted in units of 8 bytes; larger nodes than the largest class own a chunk.
  static constexpr std::size_t unit_bytes = 8;
  static constexpr unsigned chunk_bits = 13;
  static constexpr std::size_t chunk_units = std::size_t{1} << chunk_bits;
  static constexpr std::size_t class_units_max = 64;
  static constexpr std::size_t node_units_min = 4;

  NodeHandle allocate(std::size_t bytes);
  void release(NodeHandle handle, std::size_t bytes);
  NodeHandle take_free(std::size_t units);
  void put_free(NodeHandle handle, std::size_t units);
  std::uint32_t add_chunk(std::size_t bytes);
  void release_all();
  std::byte* at(NodeHandle handle) const {
    return chunks_[handle >> chunk_bits].get() + (handle & (chunk_units - 1)) * unit_bytes;
  }

  std::vector<std::unique_ptr<std::byte[]>> chunks_;  // number 0 is unused: handle 0 is no node
  std::vector<std::uint32_t> unused_chunk_numbers_;
  std::uint64_t chunks_bytes_ = 0;
  std::uint64_t nodes_ = 0;
  // Rest of the newest chunk.
  NodeHandle fresh_ = no_node;
  std::size_t fresh_units_ = 0;
  // Per size a list of free places, linked through their first bytes, and which are not empty.
  NodeHandle free_[class_units_max] = {};
  std::uint64_t free_mask_ = 0;
};

}  // namespace kvs::log
