// key_table.h - an ordered map from hash tags to nodes that grows in small steps.
//
// Extendible hashing: a directory, indexed by the first bits of the tag, of blocks, each a sorted
// array of at most some 256 slots that covers one contiguous range of tags. Growing splits one
// block (2 KiB to copy); only the directory doubles at once, which copies one pointer per hundred
// keys or so. Since tags are hashes, a tag's place inside a block can be computed to within a few
// slots, so that a sorted array costs no more to search than a hash table, has no empty slots, and
// is in the order that SCAN needs. Blocks that have become small merge with their neighbours.
//
// The directory says of each block how many slots it has, so that the likely place of a slot is
// known, and fetched, at the same time as the block's header.
//
// Several keys may have one tag: `find` asks its caller which of them is meant.
//
// Thread: guarded by the shard's lock.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "storage/log/key_node.h"

namespace kvs::log {

class KeyTable {
 public:
  struct Slot {
    std::uint32_t tag = 0;
    NodeHandle node = no_node;
  };

  KeyTable() = default;
  ~KeyTable();
  KeyTable(const KeyTable&) = delete;
  KeyTable& operator=(const KeyTable&) = delete;

  std::uint64_t size() const { return size_; }
  std::uint64_t memory_bytes() const;
  // How many slots and directory entries were copied since the beginning: what bounds the time of a
  // single call is how much this grows in it.
  std::uint64_t copied() const { return copied_; }

  // Returns the node with `tag` for which `matches(node)` says so, or no_node.
  template <class Matches>
  NodeHandle find(std::uint32_t tag, Matches&& matches) const;

  // A node is in the table at most once.
  void insert(std::uint32_t tag, NodeHandle node);
  void erase(std::uint32_t tag, NodeHandle node);
  void replace(std::uint32_t tag, NodeHandle node, NodeHandle replacement);

  // Calls `visit(Slot)` for the slots from tag `first` on, in the order of their tags, until it
  // returns false. `visit` must not change the table.
  template <class Visit>
  void walk(std::uint32_t first, Visit&& visit) const;

  // Returns a slot, chosen by a random number; the table must not be empty.
  Slot pick(std::uint64_t random) const;

  // Removes any one slot and returns it; the table must not be empty.
  Slot take();

  // Hints for a series of finds, in two steps; the second one profits from the first.
  void prefetch_slots(std::uint32_t tag) const;
  NodeHandle probable_node(std::uint32_t tag) const;

 private:
  // Followed by `capacity` slots, each (tag << 32 | node), so that one comparison orders them.
  struct Block {
    std::uint32_t size;
    std::uint32_t capacity;
    std::uint32_t depth;  // the first `depth` bits of the tags are the same
    std::uint32_t unused;

    std::uint64_t* slots() { return reinterpret_cast<std::uint64_t*>(this + 1); }
    const std::uint64_t* slots() const { return reinterpret_cast<const std::uint64_t*>(this + 1); }
  };
  struct DirectoryEntry {
    Block* block;
    // Copies of the block's; `size` may be behind where many entries point to one block.
    std::uint32_t size;
    std::uint32_t depth;
  };
  static constexpr std::size_t block_slots_max = 256;
  // A block with more entries has a size that is told to one of them only.
  static constexpr std::size_t entries_told_max = 8;
  static constexpr unsigned tag_bits = 32;

  static std::uint64_t slot_of(std::uint32_t tag, NodeHandle node) {
    return std::uint64_t{tag} << 32 | node;
  }
  // Where a slot with `tag` probably is; of a block or of an entry.
  template <class Described>
  static std::size_t guess(const Described& block, std::uint32_t tag) {
    const std::uint64_t rest = std::uint64_t{tag} << block.depth & UINT32_MAX;
    return static_cast<std::size_t>(rest * block.size >> 32);
  }
  // First place whose slot is not below `slot`.
  static std::size_t lower_bound(const Block& block, std::uint64_t slot);

  std::size_t index_of(std::uint32_t tag) const {
    return static_cast<std::size_t>(std::uint64_t{tag} << depth_ >> tag_bits);
  }
  Block& block_at(std::size_t index) const { return *directory_[index].block; }
  // Directory entries that point to the block.
  std::size_t span_of(const Block& block) const { return std::size_t{1} << (depth_ - block.depth); }
  // First directory entry of the block that entry `index` points to.
  std::size_t first_index(std::size_t index) const {
    return index & ~(span_of(block_at(index)) - 1);
  }

  Block* make_block(std::uint32_t depth, std::size_t capacity);
  void free_block(Block* block);
  // Replaces the block at `index` by a copy of another capacity.
  Block* resize_block(std::size_t index, std::size_t capacity);
  void point_to(std::size_t first, Block* block);
  void tell_size(std::size_t index);
  bool may_deepen() const;
  void split(std::size_t index);
  void merge(std::size_t index);
  void erase_at(std::size_t index, std::size_t place);

  std::vector<DirectoryEntry> directory_;  // 2^depth_ entries; empty before the first insert
  unsigned depth_ = 0;
  std::uint64_t size_ = 0;
  std::uint64_t blocks_bytes_ = 0;
  std::uint64_t copied_ = 0;
  std::array<std::uint32_t, tag_bits + 1> blocks_of_depth_{};
};

template <class Matches>
NodeHandle KeyTable::find(std::uint32_t tag, Matches&& matches) const {
  if (directory_.empty()) return no_node;
  const DirectoryEntry& entry = directory_[index_of(tag)];
  const Block& block = *entry.block;
  const std::uint64_t* slots = block.slots();
  __builtin_prefetch(slots + guess(entry, tag));
  for (std::size_t i = lower_bound(block, slot_of(tag, 0)); i < block.size; ++i) {
    if (slots[i] >> 32 != tag) break;
    const auto node = static_cast<NodeHandle>(slots[i]);
    if (matches(node)) return node;
  }
  return no_node;
}

template <class Visit>
void KeyTable::walk(std::uint32_t first, Visit&& visit) const {
  if (directory_.empty()) return;
  std::size_t place = 0;
  for (std::size_t index = index_of(first); index < directory_.size();) {
    const Block& block = block_at(index);
    // Only the first block may begin below `first`.
    place = lower_bound(block, slot_of(first, 0));
    for (; place < block.size; ++place) {
      const std::uint64_t slot = block.slots()[place];
      if (!visit(Slot{static_cast<std::uint32_t>(slot >> 32), static_cast<NodeHandle>(slot)})) {
        return;
      }
    }
    index = first_index(index) + span_of(block);
    first = static_cast<std::uint32_t>(std::uint64_t{index} << tag_bits >> depth_);
  }
}

}  // namespace kvs::log
