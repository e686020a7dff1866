#include "storage/log/key_table.h"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <cstring>
#include <new>

namespace kvs::log {
namespace {

constexpr std::size_t capacity_min = 8;
// Merged blocks stay well below the size at which they would split again.
constexpr std::size_t merged_slots_max = 64;

std::size_t grown(std::size_t capacity) {
  return capacity + std::max(capacity_min, capacity / 8);
}

}  // namespace

KeyTable::~KeyTable() {
  for (std::size_t index = 0; index < directory_.size();) {
    Block* block = directory_[index].block;
    index += span_of(*block);
    std::free(block);
  }
}

std::uint64_t KeyTable::memory_bytes() const {
  return blocks_bytes_ + directory_.capacity() * sizeof(DirectoryEntry);
}

void KeyTable::insert(std::uint32_t tag, NodeHandle node) {
  assert(node != no_node);
  if (directory_.empty()) {
    directory_.push_back({.block = make_block(0, capacity_min), .size = 0, .depth = 0});
  }
  std::size_t index = index_of(tag);
  if (block_at(index).size >= block_slots_max && (block_at(index).depth < depth_ || may_deepen())) {
    split(index);
    index = index_of(tag);
  }
  Block* block = directory_[index].block;
  if (block->size == block->capacity) block = resize_block(index, grown(block->capacity));
  const std::uint64_t slot = slot_of(tag, node);
  const std::size_t place = lower_bound(*block, slot);
  std::uint64_t* slots = block->slots();
  std::memmove(slots + place + 1, slots + place, (block->size - place) * sizeof slot);
  slots[place] = slot;
  copied_ += block->size - place;
  ++block->size;
  ++size_;
  tell_size(index);
}

void KeyTable::erase(std::uint32_t tag, NodeHandle node) {
  assert(!directory_.empty());
  const std::size_t index = index_of(tag);
  const Block& block = block_at(index);
  const std::size_t place = lower_bound(block, slot_of(tag, node));
  assert(place < block.size);
  assert(block.slots()[place] == slot_of(tag, node));
  erase_at(index, place);
}

void KeyTable::replace(std::uint32_t tag, NodeHandle node, NodeHandle replacement) {
  assert(!directory_.empty());
  Block& block = block_at(index_of(tag));
  const std::size_t place = lower_bound(block, slot_of(tag, node));
  std::uint64_t* slots = block.slots();
  assert(place < block.size);
  assert(slots[place] == slot_of(tag, node));
  const auto has_tag = [&](std::size_t other) { return slots[other] >> tag_bits == tag; };
  if ((place > 0 && has_tag(place - 1)) || (place + 1 < block.size && has_tag(place + 1))) {
    // Among equal tags the handles are in order.
    erase(tag, node);
    insert(tag, replacement);
  } else {
    slots[place] = slot_of(tag, replacement);
  }
}

KeyTable::Slot KeyTable::pick(std::uint64_t random) const {
  assert(size_ > 0);
  std::size_t index = index_of(static_cast<std::uint32_t>(random));
  while (block_at(index).size == 0) {
    index = (first_index(index) + span_of(block_at(index))) % directory_.size();
  }
  const Block& block = block_at(index);
  const std::uint64_t slot = block.slots()[(random >> 32) * block.size >> 32];
  return {static_cast<std::uint32_t>(slot >> 32), static_cast<NodeHandle>(slot)};
}

KeyTable::Slot KeyTable::take() {
  assert(size_ > 0);
  // From the end, where erasing is cheapest; blocks that became empty have merged with others or
  // lie before it.
  std::size_t index = directory_.size() - 1;
  while (block_at(index).size == 0) index = first_index(index) - 1;
  const Block& block = block_at(index);
  const std::uint64_t slot = block.slots()[block.size - 1];
  erase_at(index, block.size - 1);
  return {static_cast<std::uint32_t>(slot >> 32), static_cast<NodeHandle>(slot)};
}

void KeyTable::prefetch_slots(std::uint32_t tag) const {
  if (directory_.empty()) return;
  const DirectoryEntry& entry = directory_[index_of(tag)];
  __builtin_prefetch(entry.block);
  __builtin_prefetch(entry.block->slots() + guess(entry, tag));
}

NodeHandle KeyTable::probable_node(std::uint32_t tag) const {
  return find(tag, [](NodeHandle) { return true; });
}

std::size_t KeyTable::lower_bound(const Block& block, std::uint64_t slot) {
  const std::uint64_t* slots = block.slots();
  std::size_t place = guess(block, static_cast<std::uint32_t>(slot >> 32));
  while (place < block.size && slots[place] < slot) ++place;
  while (place > 0 && slots[place - 1] >= slot) --place;
  return place;
}

KeyTable::Block* KeyTable::make_block(std::uint32_t depth, std::size_t capacity) {
  const std::size_t bytes = sizeof(Block) + capacity * sizeof(std::uint64_t);
  auto* block = static_cast<Block*>(std::malloc(bytes));
  assert(block != nullptr);
  *block = Block{
      .size = 0, .capacity = static_cast<std::uint32_t>(capacity), .depth = depth, .unused = 0};
  blocks_bytes_ += bytes;
  ++blocks_of_depth_[depth];
  return block;
}

void KeyTable::free_block(Block* block) {
  blocks_bytes_ -= sizeof(Block) + block->capacity * sizeof(std::uint64_t);
  --blocks_of_depth_[block->depth];
  std::free(block);
}

KeyTable::Block* KeyTable::resize_block(std::size_t index, std::size_t capacity) {
  Block* old = directory_[index].block;
  assert(capacity >= old->size);
  const std::size_t first = first_index(index);
  Block* block = make_block(old->depth, capacity);
  block->size = old->size;
  std::memcpy(block->slots(), old->slots(), old->size * sizeof(std::uint64_t));
  copied_ += old->size;
  free_block(old);
  point_to(first, block);
  return block;
}

void KeyTable::point_to(std::size_t first, Block* block) {
  const std::size_t span = span_of(*block);
  std::fill_n(directory_.begin() + static_cast<std::ptrdiff_t>(first), span,
              DirectoryEntry{.block = block, .size = block->size, .depth = block->depth});
  copied_ += span;
}

void KeyTable::tell_size(std::size_t index) {
  const Block& block = block_at(index);
  const std::size_t span = span_of(block);
  if (span > entries_told_max) {
    directory_[index].size = block.size;
    return;
  }
  const std::size_t first = index & ~(span - 1);
  for (std::size_t i = first; i < first + span; ++i) directory_[i].size = block.size;
}

// Tags that are no good hashes (or more equal ones than a block takes) must not double the
// directory without end; their block grows past its limit instead.
bool KeyTable::may_deepen() const {
  return depth_ < tag_bits && size_ >> (depth_ + 1) >= 16;
}

void KeyTable::split(std::size_t index) {
  if (block_at(index).depth == depth_) {
    std::vector<DirectoryEntry> doubled(directory_.size() * 2);
    for (std::size_t i = 0; i < doubled.size(); ++i) doubled[i] = directory_[i / 2];
    copied_ += doubled.size();
    directory_ = std::move(doubled);
    ++depth_;
    index *= 2;
  }
  Block* old = directory_[index].block;
  const std::size_t first = first_index(index);
  const std::uint32_t depth = old->depth + 1;
  // The bit that tells the two halves apart.
  const std::uint64_t bit = std::uint64_t{1} << (2 * tag_bits - depth);
  const std::uint64_t* slots = old->slots();
  const std::uint64_t* middle = std::partition_point(
      slots, slots + old->size, [bit](std::uint64_t slot) { return (slot & bit) == 0; });
  const std::size_t lower = static_cast<std::size_t>(middle - slots);
  const std::size_t upper = old->size - lower;
  Block* low = make_block(depth, lower + capacity_min);
  Block* high = make_block(depth, upper + capacity_min);
  low->size = static_cast<std::uint32_t>(lower);
  high->size = static_cast<std::uint32_t>(upper);
  std::memcpy(low->slots(), slots, lower * sizeof *slots);
  std::memcpy(high->slots(), middle, upper * sizeof *slots);
  copied_ += old->size;
  free_block(old);
  point_to(first, low);
  point_to(first + span_of(*low), high);
}

void KeyTable::merge(std::size_t index) {
  for (;;) {
    Block* block = directory_[index].block;
    if (block->depth == 0 || block->size > merged_slots_max) break;
    const std::size_t span = span_of(*block);
    const std::size_t first = first_index(index);
    Block* buddy = directory_[first ^ span].block;
    if (buddy->depth != block->depth || block->size + buddy->size > merged_slots_max) break;
    Block* low = (first & span) == 0 ? block : buddy;
    Block* high = low == block ? buddy : block;
    Block* merged = make_block(block->depth - 1, low->size + high->size + capacity_min);
    merged->size = low->size + high->size;
    std::memcpy(merged->slots(), low->slots(), low->size * sizeof(std::uint64_t));
    std::memcpy(merged->slots() + low->size, high->slots(), high->size * sizeof(std::uint64_t));
    copied_ += merged->size;
    free_block(low);
    free_block(high);
    index = first & ~span;
    point_to(index, merged);
  }
  while (depth_ > 0 && blocks_of_depth_[depth_] == 0) {
    std::vector<DirectoryEntry> halved(directory_.size() / 2);
    for (std::size_t i = 0; i < halved.size(); ++i) halved[i] = directory_[2 * i];
    copied_ += halved.size();
    directory_ = std::move(halved);
    --depth_;
  }
}

void KeyTable::erase_at(std::size_t index, std::size_t place) {
  Block* block = directory_[index].block;
  std::uint64_t* slots = block->slots();
  std::memmove(slots + place, slots + place + 1, (block->size - place - 1) * sizeof *slots);
  copied_ += block->size - place;
  --block->size;
  --size_;
  tell_size(index);
  if (block->capacity > 2 * (block->size + capacity_min)) {
    resize_block(index, block->size + capacity_min);
  }
  merge(index);
}

}  // namespace kvs::log
