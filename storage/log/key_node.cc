#include "storage/log/key_node.h"

#include <bit>
#include <cassert>
#include <cstddef>
#include <cstring>

namespace kvs::log {
namespace {

// The fixed part of a node. The optional parts follow at `header_bytes`, not at sizeof(Header):
//   [i64 expire_at]     with has_deadline
//   [u32 value_bytes]   with has_value_bytes
//   key
struct Header {
  std::uint32_t lsn_low;
  std::uint32_t ring_low;
  std::uint16_t lsn_high;
  std::uint16_t ring_high;
  std::uint32_t segment;
  std::uint32_t offset_bytes;
  std::uint32_t record_bytes;
  std::uint32_t key_bytes;
  std::uint8_t flags;
  // A record is little longer than its key and value: the difference stands for value_bytes,
  // unless it does not fit.
  std::uint8_t overhead_bytes;
};
constexpr std::size_t header_bytes = 30;
static_assert(offsetof(Header, overhead_bytes) + 1 == header_bytes);

constexpr std::uint8_t has_deadline = 1;
constexpr std::uint8_t has_value_bytes = 2;
constexpr std::uint8_t is_removed = 4;

Header read_header(const std::byte* at) {
  Header header;
  std::memcpy(&header, at, header_bytes);
  return header;
}

std::size_t options_bytes(std::uint8_t flags) {
  return (flags & has_deadline ? sizeof(UnixMs) : 0) +
         (flags & has_value_bytes ? sizeof(std::uint32_t) : 0);
}

std::size_t node_bytes(const Header& header) {
  return header_bytes + options_bytes(header.flags) + header.key_bytes;
}

Header pack(const KeyNode& node, std::size_t key_bytes) {
  const Entry& entry = node.entry;
  assert(entry.lsn < lsn_end);
  assert(node.ring_position < ring_position_end);
  assert(entry.value_bytes <= UINT32_MAX);
  assert(key_bytes <= UINT32_MAX);
  Header header{
      .lsn_low = static_cast<std::uint32_t>(entry.lsn),
      .ring_low = static_cast<std::uint32_t>(node.ring_position),
      .lsn_high = static_cast<std::uint16_t>(entry.lsn >> 32),
      .ring_high = static_cast<std::uint16_t>(node.ring_position >> 32),
      .segment = entry.location.segment,
      .offset_bytes = entry.location.offset_bytes,
      .record_bytes = entry.location.record_bytes,
      .key_bytes = static_cast<std::uint32_t>(key_bytes),
      .flags = 0,
      .overhead_bytes = 0,
  };
  if (entry.expire_at != never) header.flags |= has_deadline;
  if (node.removed) header.flags |= is_removed;
  // Wraps to something large when the record is shorter than its parts.
  const std::uint64_t overhead = entry.location.record_bytes - key_bytes - entry.value_bytes;
  if (overhead <= UINT8_MAX) {
    header.overhead_bytes = static_cast<std::uint8_t>(overhead);
  } else {
    header.flags |= has_value_bytes;
  }
  return header;
}

// Writes all but the key.
void write(std::byte* at, const Header& header, const Entry& entry) {
  std::memcpy(at, &header, header_bytes);
  at += header_bytes;
  if (header.flags & has_deadline) {
    std::memcpy(at, &entry.expire_at, sizeof entry.expire_at);
    at += sizeof entry.expire_at;
  }
  if (header.flags & has_value_bytes) {
    const auto value_bytes = static_cast<std::uint32_t>(entry.value_bytes);
    std::memcpy(at, &value_bytes, sizeof value_bytes);
  }
}

}  // namespace

NodeArena::NodeArena() {
  chunks_.resize(1);
}

NodeHandle NodeArena::create(const KeyNode& node, std::string_view key) {
  const Header header = pack(node, key.size());
  const NodeHandle handle = allocate(node_bytes(header));
  std::byte* place = at(handle);
  write(place, header, node.entry);
  if (!key.empty()) {
    std::memcpy(place + header_bytes + options_bytes(header.flags), key.data(), key.size());
  }
  return handle;
}

NodeHandle NodeArena::update(NodeHandle handle, const KeyNode& node) {
  const Header before = read_header(at(handle));
  const Header after = pack(node, before.key_bytes);
  if (options_bytes(before.flags) == options_bytes(after.flags)) {
    write(at(handle), after, node.entry);
    return handle;
  }
  const NodeHandle moved = create(node, key(handle));
  destroy(handle);
  return moved;
}

void NodeArena::set_ring_position(NodeHandle handle, std::uint64_t ring_position) {
  assert(ring_position < ring_position_end);
  Header header = read_header(at(handle));
  header.ring_low = static_cast<std::uint32_t>(ring_position);
  header.ring_high = static_cast<std::uint16_t>(ring_position >> 32);
  std::memcpy(at(handle), &header, header_bytes);
}

void NodeArena::destroy(NodeHandle handle) {
  release(handle, node_bytes(read_header(at(handle))));
}

KeyNode NodeArena::read(NodeHandle handle) const {
  const std::byte* from = at(handle);
  const Header header = read_header(from);
  KeyNode node;
  node.entry.location = {header.segment, header.offset_bytes, header.record_bytes};
  node.entry.lsn = std::uint64_t{header.lsn_high} << 32 | header.lsn_low;
  node.ring_position = std::uint64_t{header.ring_high} << 32 | header.ring_low;
  node.removed = (header.flags & is_removed) != 0;
  from += header_bytes;
  if (header.flags & has_deadline) {
    std::memcpy(&node.entry.expire_at, from, sizeof node.entry.expire_at);
    from += sizeof node.entry.expire_at;
  }
  if (header.flags & has_value_bytes) {
    std::uint32_t value_bytes = 0;
    std::memcpy(&value_bytes, from, sizeof value_bytes);
    node.entry.value_bytes = value_bytes;
  } else {
    node.entry.value_bytes = header.record_bytes - header.key_bytes - header.overhead_bytes;
  }
  return node;
}

std::string_view NodeArena::key(NodeHandle handle) const {
  const std::byte* from = at(handle);
  const Header header = read_header(from);
  return {reinterpret_cast<const char*>(from + header_bytes + options_bytes(header.flags)),
          header.key_bytes};
}

std::uint64_t NodeArena::memory_bytes() const {
  return chunks_bytes_ + chunks_.capacity() * sizeof chunks_.front() +
         unused_chunk_numbers_.capacity() * sizeof(std::uint32_t);
}

NodeHandle NodeArena::allocate(std::size_t bytes) {
  ++nodes_;
  const std::size_t units = (bytes + unit_bytes - 1) / unit_bytes;
  if (units > class_units_max) return add_chunk(bytes) << chunk_bits;
  if (const NodeHandle handle = take_free(units); handle != no_node) return handle;
  if (fresh_units_ < units) {
    if (fresh_units_ >= node_units_min) put_free(fresh_, fresh_units_);
    fresh_ = add_chunk(chunk_units * unit_bytes) << chunk_bits;
    fresh_units_ = chunk_units;
  }
  const NodeHandle handle = fresh_;
  fresh_ += static_cast<NodeHandle>(units);
  fresh_units_ -= units;
  return handle;
}

void NodeArena::release(NodeHandle handle, std::size_t bytes) {
  assert(nodes_ > 0);
  const std::size_t units = (bytes + unit_bytes - 1) / unit_bytes;
  if (units > class_units_max) {
    const std::uint32_t number = handle >> chunk_bits;
    chunks_[number].reset();
    chunks_bytes_ -= bytes;
    unused_chunk_numbers_.push_back(number);
  } else {
    put_free(handle, units);
  }
  if (--nodes_ == 0 && chunks_.size() > 2) release_all();
}

// Exactly the size if there is one, else a larger place whose rest is of use as well.
NodeHandle NodeArena::take_free(std::size_t units) {
  std::size_t found = units;
  if (free_[units - 1] == no_node) {
    const std::size_t wanted = units + node_units_min;
    if (wanted > class_units_max) return no_node;
    const std::uint64_t larger = free_mask_ >> (wanted - 1);
    if (larger == 0) return no_node;
    found = wanted + static_cast<std::size_t>(std::countr_zero(larger));
  }
  const NodeHandle handle = free_[found - 1];
  std::memcpy(&free_[found - 1], at(handle), sizeof handle);
  if (free_[found - 1] == no_node) free_mask_ &= ~(std::uint64_t{1} << (found - 1));
  if (found > units) put_free(handle + static_cast<NodeHandle>(units), found - units);
  return handle;
}

void NodeArena::put_free(NodeHandle handle, std::size_t units) {
  std::memcpy(at(handle), &free_[units - 1], sizeof handle);
  free_[units - 1] = handle;
  free_mask_ |= std::uint64_t{1} << (units - 1);
}

std::uint32_t NodeArena::add_chunk(std::size_t bytes) {
  chunks_bytes_ += bytes;
  auto memory = std::make_unique_for_overwrite<std::byte[]>(bytes);
  if (!unused_chunk_numbers_.empty()) {
    const std::uint32_t number = unused_chunk_numbers_.back();
    unused_chunk_numbers_.pop_back();
    chunks_[number] = std::move(memory);
    return number;
  }
  assert(chunks_.size() < std::size_t{1} << (32 - chunk_bits));
  chunks_.push_back(std::move(memory));
  return static_cast<std::uint32_t>(chunks_.size() - 1);
}

void NodeArena::release_all() {
  *this = NodeArena();
}

}  // namespace kvs::log
