#include "storage/log/key_node.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstdlib>

namespace kvs::log {
namespace {

// A node:
//   u16 flags
//   u8  key length, or long_key and then u32 key length
//   key
//   LSN            4-6 bytes
//   offset         4
//   segment        2 or 4
//   value length   1, 2 or 4
//   record length  4, if it is not a usual distance above key and value
//   deadline       6 or 8, if there is one
//   ring position  4, if there is one or may be one
constexpr unsigned lsn_shift = 0;  // 2 bits: bytes beyond 4
constexpr std::uint16_t wide_segment = 1 << 2;
constexpr unsigned value_shift = 3;     // 2 bits: log2 of the bytes
constexpr unsigned overhead_shift = 5;  // 2 bits: (overhead - 16) / 8, or 3
constexpr std::uint16_t short_deadline = 1 << 7;
constexpr std::uint16_t long_deadline = 1 << 8;
constexpr std::uint16_t has_ring_position = 1 << 9;
constexpr std::uint16_t is_removed = 1 << 10;
constexpr std::uint16_t is_listed = 1 << 14;  // of holes
constexpr std::uint16_t is_hole = 1 << 15;

constexpr unsigned overhead_stored = 3;
constexpr std::uint64_t overhead_min = 16;
constexpr std::uint64_t overhead_step = 8;
constexpr std::size_t head_bytes = 3;
constexpr std::size_t long_head_bytes = 7;
constexpr unsigned long_key = 255;
constexpr std::size_t fields_bytes_max = 6 + 4 + 4 + 4 + 4 + 8 + 4;
constexpr UnixMs short_deadline_end = UnixMs{1} << 48;

std::uint16_t load_u16(const std::byte* from) {
  std::uint16_t number = 0;
  std::memcpy(&number, from, sizeof number);
  return number;
}

std::uint32_t load_u32(const std::byte* from) {
  std::uint32_t number = 0;
  std::memcpy(&number, from, sizeof number);
  return number;
}

// A number of 4-6 bytes. Nothing is read behind it.
std::uint64_t load_long(const std::byte* from, std::size_t bytes) {
  const std::uint64_t low = load_u32(from);
  // The last two bytes overlap the low part when there are fewer than six: shifted out again.
  const std::uint64_t high = load_u16(from + bytes - 2);
  return low | high << (8 * (bytes - 2));
}

struct Head {
  std::uint16_t flags;
  std::uint32_t key_bytes;
  std::size_t bytes;  // of the head itself
};

Head read_head(const std::byte* at) {
  Head head{
      .flags = load_u16(at), .key_bytes = std::to_integer<unsigned>(at[2]), .bytes = head_bytes};
  if (head.key_bytes == long_key) [[unlikely]] {
    head.key_bytes = load_u32(at + head_bytes);
    head.bytes = long_head_bytes;
  }
  return head;
}

std::size_t head_bytes_of(std::size_t key_bytes) {
  return key_bytes < long_key ? head_bytes : long_head_bytes;
}

std::size_t lsn_bytes(unsigned flags) {
  return 4 + (flags >> lsn_shift & 3);
}
std::size_t segment_bytes(unsigned flags) {
  return flags & wide_segment ? 4 : 2;
}
std::size_t value_length_bytes(unsigned flags) {
  return std::size_t{1} << (flags >> value_shift & 3);
}
std::size_t record_length_bytes(unsigned flags) {
  return (flags >> overhead_shift & 3) == overhead_stored ? 4 : 0;
}
std::size_t deadline_bytes(unsigned flags) {
  return flags & short_deadline ? 6 : flags & long_deadline ? 8 : 0;
}

// The ring position is the last field.
std::size_t bytes_before_ring_position(unsigned flags) {
  return lsn_bytes(flags) + 4 + segment_bytes(flags) + value_length_bytes(flags) +
         record_length_bytes(flags) + deadline_bytes(flags);
}

std::size_t fields_bytes(unsigned flags) {
  return bytes_before_ring_position(flags) + (flags & has_ring_position ? sizeof(RingPosition) : 0);
}

std::size_t node_bytes(const Head& head) {
  return head.bytes + head.key_bytes + fields_bytes(head.flags);
}

// The fields, as they lie in memory. Each is written with some bytes to spare, which the next
// one overwrites.
struct Fields {
  std::uint16_t flags = 0;
  std::size_t bytes = 0;
  std::array<std::byte, fields_bytes_max + 8> memory;

  void add(std::uint64_t number, std::size_t number_bytes) {
    std::memcpy(memory.data() + bytes, &number, sizeof number);
    bytes += number_bytes;
  }
};

void pack(const KeyNode& node, std::size_t key_bytes, bool with_copies, Fields& fields) {
  const Entry& entry = node.entry;
  assert(entry.lsn < lsn_end);
  assert(entry.value_bytes <= UINT32_MAX);
  unsigned flags = node.removed ? is_removed : 0U;

  const unsigned lsn_more = entry.lsn >> 32 == 0 ? 0 : entry.lsn >> 40 == 0 ? 1 : 2;
  flags |= lsn_more << lsn_shift;
  fields.add(entry.lsn, 4 + lsn_more);
  fields.add(entry.location.offset_bytes, 4);
  if (entry.location.segment > UINT16_MAX) flags |= wide_segment;
  fields.add(entry.location.segment, segment_bytes(flags));
  const unsigned value_log = entry.value_bytes <= UINT8_MAX    ? 0
                             : entry.value_bytes <= UINT16_MAX ? 1
                                                               : 2;
  flags |= value_log << value_shift;
  fields.add(entry.value_bytes, std::size_t{1} << value_log);

  // Wraps to something large when the record is shorter than its parts.
  const std::uint64_t overhead =
      std::uint64_t{entry.location.record_bytes} - key_bytes - entry.value_bytes - overhead_min;
  if (overhead % overhead_step == 0 && overhead / overhead_step < overhead_stored) {
    flags |= static_cast<unsigned>(overhead / overhead_step) << overhead_shift;
  } else {
    flags |= overhead_stored << overhead_shift;
    fields.add(entry.location.record_bytes, 4);
  }
  if (entry.expire_at != never) {
    const bool is_short = entry.expire_at >= 0 && entry.expire_at < short_deadline_end;
    flags |= is_short ? short_deadline : long_deadline;
    fields.add(static_cast<std::uint64_t>(entry.expire_at), is_short ? 6 : 8);
  }
  if (with_copies || node.ring_position != 0) {
    flags |= has_ring_position;
    fields.add(node.ring_position, sizeof node.ring_position);
  }
  fields.flags = static_cast<std::uint16_t>(flags);
}

}  // namespace

NodeArena::NodeArena(bool with_copies, ChunkMemory& memory)
    : with_copies_(with_copies), memory_(memory) {
  chunks_.resize(1);
}

NodeArena::~NodeArena() {
  drop_all();
}

NodeHandle NodeArena::create(const KeyNode& node, std::string_view key) {
  Fields fields;
  pack(node, key.size(), with_copies_, fields);
  assert(key.size() <= UINT32_MAX);
  const std::size_t before_key = head_bytes_of(key.size());
  const NodeHandle handle = allocate(before_key + key.size() + fields.bytes);
  std::byte* place = at(handle);
  std::memcpy(place, &fields.flags, sizeof fields.flags);
  if (before_key == head_bytes) {
    place[2] = static_cast<std::byte>(key.size());
  } else {
    const auto key_bytes = static_cast<std::uint32_t>(key.size());
    place[2] = std::byte{long_key};
    std::memcpy(place + head_bytes, &key_bytes, sizeof key_bytes);
  }
  place += before_key;
  if (!key.empty()) std::memcpy(place, key.data(), key.size());
  std::memcpy(place + key.size(), fields.memory.data(), fields.bytes);
  return handle;
}

NodeHandle NodeArena::update(NodeHandle handle, const KeyNode& node) {
  std::byte* place = at(handle);
  const Head head = read_head(place);
  Fields fields;
  pack(node, head.key_bytes, with_copies_, fields);
  const std::size_t before = node_bytes(head);
  const std::size_t after = head.bytes + head.key_bytes + fields.bytes;
  if (units_of(before) != units_of(after) || units_of(after) > class_units_max) {
    const std::string_view own_key = key(handle);
    const NodeHandle now = create(node, own_key);
    release(handle, before);
    return now;
  }
  std::memcpy(place, &fields.flags, sizeof fields.flags);
  std::memcpy(place + head.bytes + head.key_bytes, fields.memory.data(), fields.bytes);
  return handle;
}

RingPosition NodeArena::ring_position(NodeHandle handle) const {
  const std::byte* place = at(handle);
  const Head head = read_head(place);
  if (!(head.flags & has_ring_position)) return 0;
  return load_u32(place + head.bytes + head.key_bytes + bytes_before_ring_position(head.flags));
}

void NodeArena::forget_ring_position(NodeHandle handle) {
  std::byte* place = at(handle);
  const Head head = read_head(place);
  if (!(head.flags & has_ring_position)) return;
  std::memset(place + head.bytes + head.key_bytes + bytes_before_ring_position(head.flags), 0,
              sizeof(RingPosition));
}

void NodeArena::destroy(NodeHandle handle) {
  release(handle, node_bytes(read_head(at(handle))));
}

KeyNode NodeArena::read(NodeHandle handle) const {
  const std::byte* from = at(handle);
  const Head head = read_head(from);
  const unsigned flags = head.flags;
  from += head.bytes + head.key_bytes;
  KeyNode node;
  node.removed = (flags & is_removed) != 0;
  node.entry.lsn = load_long(from, lsn_bytes(flags));
  from += lsn_bytes(flags);
  node.entry.location.offset_bytes = load_u32(from);
  from += 4;
  node.entry.location.segment = flags & wide_segment ? load_u32(from) : load_u16(from);
  from += segment_bytes(flags);
  switch (flags >> value_shift & 3) {
    case 0:
      node.entry.value_bytes = std::to_integer<std::uint64_t>(*from);
      break;
    case 1:
      node.entry.value_bytes = load_u16(from);
      break;
    default:
      node.entry.value_bytes = load_u32(from);
  }
  from += value_length_bytes(flags);
  const unsigned overhead = flags >> overhead_shift & 3;
  if (overhead == overhead_stored) {
    node.entry.location.record_bytes = load_u32(from);
    from += 4;
  } else {
    node.entry.location.record_bytes = static_cast<std::uint32_t>(
        head.key_bytes + node.entry.value_bytes + overhead_min + overhead * overhead_step);
  }
  if (flags & short_deadline) {
    node.entry.expire_at = static_cast<UnixMs>(load_long(from, 6));
  } else if (flags & long_deadline) {
    std::memcpy(&node.entry.expire_at, from, sizeof node.entry.expire_at);
  }
  from += deadline_bytes(flags);
  if (flags & has_ring_position) node.ring_position = load_u32(from);
  return node;
}

std::string_view NodeArena::key(NodeHandle handle) const {
  const std::byte* from = at(handle);
  const Head head = read_head(from);
  return {reinterpret_cast<const char*>(from + head.bytes), head.key_bytes};
}

std::uint64_t NodeArena::memory_bytes() const {
  // The rest of the newest chunk has not been touched.
  return (total_units_ - fresh_units_) * unit_bytes + large_bytes_ +
         chunks_.capacity() * sizeof chunks_.front() +
         unused_chunk_numbers_.capacity() * sizeof(std::uint32_t);
}

std::size_t NodeArena::units_of(std::size_t bytes) {
  const std::size_t units = std::max((bytes + unit_bytes - 1) / unit_bytes, node_units_min);
  if (units <= fine_units_max) return units;
  return (units + coarse_units - 1) / coarse_units * coarse_units;
}

std::size_t NodeArena::class_of(std::size_t units) {
  if (units <= fine_units_max) return units - 1;
  return fine_units_max + (units - fine_units_max) / coarse_units - 1;
}

NodeHandle NodeArena::allocate(std::size_t bytes) {
  ++nodes_;
  const std::size_t units = units_of(bytes);
  if (units > class_units_max) {
    auto* memory = static_cast<std::byte*>(std::malloc(bytes));
    if (memory == nullptr) std::abort();
    large_bytes_ += bytes;
    return add_chunk(memory, bytes) << chunk_bits;
  }
  const NodeHandle handle = take_place(units);
  chunks_[handle >> chunk_bits].live_units += static_cast<std::uint32_t>(units);
  return handle;
}

NodeHandle NodeArena::take_place(std::size_t units) {
  if (const NodeHandle handle = take_hole(units); handle != no_node) return handle;
  if (fresh_units_ < units) {
    if (fresh_units_ > 0) {
      hole_units_ += fresh_units_;
      make_holes(fresh_, fresh_units_);
    }
    fresh_ = add_chunk(memory_.take(), 0) << chunk_bits;
    fresh_units_ = chunk_units;
    total_units_ += chunk_units;
  }
  const NodeHandle handle = fresh_;
  fresh_ += static_cast<NodeHandle>(units);
  fresh_units_ -= units;
  return handle;
}

// Exactly the size if there is one, else a larger place whose rest is of use as well.
NodeHandle NodeArena::take_hole(std::size_t units) {
  const std::size_t exact = class_of(units);
  if (holes_[exact] != no_node) {
    if (const NodeHandle handle = pop_hole(exact); handle != no_node) {
      hole_units_ -= units;
      return handle;
    }
  }
  if (units + node_units_min > class_units_max) return no_node;
  // Rounded up: from this class on all holes are large enough.
  const std::size_t wanted = units_of((units + node_units_min) * unit_bytes);
  for (std::size_t from = class_of(wanted); from < classes_count;) {
    const std::uint64_t mask = holes_mask_[from / 64] >> (from % 64);
    if (mask == 0) {
      from = (from / 64 + 1) * 64;
      continue;
    }
    from += static_cast<std::size_t>(std::countr_zero(mask));
    const NodeHandle handle = pop_hole(from);
    if (handle == no_node) {
      ++from;
      continue;
    }
    Hole hole;
    std::memcpy(&hole, at(handle), sizeof hole);
    hole_units_ -= units;
    make_holes(handle + static_cast<NodeHandle>(units), hole.units - units);
    return handle;
  }
  return no_node;
}

// Holes of the chunk that is being emptied are of no use: they leave their list here.
NodeHandle NodeArena::pop_hole(std::size_t hole_class) {
  constexpr int attempts = 4;
  for (int attempt = 0; attempt < attempts; ++attempt) {
    const NodeHandle handle = holes_[hole_class];
    if (handle == no_node) break;
    Hole hole;
    std::memcpy(&hole, at(handle), sizeof hole);
    unlist_hole(handle, hole);
    if (!in_victim(handle)) return handle;
    mark_hole(handle, hole.units);
  }
  return no_node;
}

void NodeArena::release(NodeHandle handle, std::size_t bytes) {
  assert(nodes_ > 0);
  --nodes_;
  const std::size_t units = units_of(bytes);
  const std::uint32_t number = handle >> chunk_bits;
  if (units > class_units_max) {
    std::free(chunks_[number].memory);
    large_bytes_ -= bytes;
    drop_chunk(number);
  } else {
    chunks_[number].live_units -= static_cast<std::uint32_t>(units);
    hole_units_ += units;
    if (number == victim_) {
      mark_hole(handle, units);
    } else {
      list_hole(handle, units);
    }
  }
  // With more chunks than that it would take long; tidy() gives them back in small steps.
  if (nodes_ == 0 && total_units_ <= 2 * chunk_units) drop_all();
}

// Cuts any number of units into places of sizes that are classes.
void NodeArena::make_holes(NodeHandle handle, std::size_t units) {
  while (units > 0) {
    std::size_t part = units;
    if (units > fine_units_max) {
      part = std::min(units / coarse_units * coarse_units, class_units_max);
    }
    if (part < node_units_min) {
      mark_hole(handle, part);
    } else {
      list_hole(handle, part);
    }
    handle += static_cast<NodeHandle>(part);
    units -= part;
  }
}

void NodeArena::list_hole(NodeHandle handle, std::size_t units) {
  const std::size_t hole_class = class_of(units);
  const NodeHandle next = holes_[hole_class];
  const Hole hole{.flags = is_hole | is_listed,
                  .units = static_cast<std::uint16_t>(units),
                  .next = next,
                  .previous = no_node};
  std::memcpy(at(handle), &hole, sizeof hole);
  if (next != no_node) std::memcpy(at(next) + offsetof(Hole, previous), &handle, sizeof handle);
  holes_[hole_class] = handle;
  holes_mask_[hole_class / 64] |= std::uint64_t{1} << (hole_class % 64);
}

void NodeArena::mark_hole(NodeHandle handle, std::size_t units) {
  const Hole hole{.flags = is_hole,
                  .units = static_cast<std::uint16_t>(units),
                  .next = no_node,
                  .previous = no_node};
  std::memcpy(at(handle), &hole, unlisted_hole_bytes);
}

void NodeArena::unlist_hole(NodeHandle handle, const Hole& hole) {
  const std::size_t hole_class = class_of(hole.units);
  if (hole.next != no_node) {
    std::memcpy(at(hole.next) + offsetof(Hole, previous), &hole.previous, sizeof hole.previous);
  }
  if (hole.previous != no_node) {
    std::memcpy(at(hole.previous) + offsetof(Hole, next), &hole.next, sizeof hole.next);
  } else {
    assert(holes_[hole_class] == handle);
    holes_[hole_class] = hole.next;
    if (hole.next == no_node) {
      holes_mask_[hole_class / 64] &= ~(std::uint64_t{1} << (hole_class % 64));
    }
  }
}

std::uint32_t NodeArena::add_chunk(std::byte* memory, std::size_t large_bytes) {
  assert(large_bytes <= UINT32_MAX);
  std::uint32_t number = 0;
  if (!unused_chunk_numbers_.empty()) {
    number = unused_chunk_numbers_.back();
    unused_chunk_numbers_.pop_back();
  } else {
    assert(chunks_.size() < std::size_t{1} << (32 - chunk_bits));
    number = static_cast<std::uint32_t>(chunks_.size());
    chunks_.emplace_back();
  }
  chunks_[number] = {
      .memory = memory, .live_units = 0, .large_bytes = static_cast<std::uint32_t>(large_bytes)};
  return number;
}

void NodeArena::drop_chunk(std::uint32_t number) {
  chunks_[number] = Chunk();
  unused_chunk_numbers_.push_back(number);
}

void NodeArena::drop_all() {
  for (const Chunk& chunk : chunks_) {
    if (chunk.memory == nullptr) continue;
    if (chunk.large_bytes != 0) {
      std::free(chunk.memory);
    } else {
      memory_.give_back(chunk.memory);
    }
  }
  chunks_.assign(1, Chunk());
  unused_chunk_numbers_.clear();
  large_bytes_ = 0;
  total_units_ = 0;
  hole_units_ = 0;
  nodes_ = 0;
  fresh_ = no_node;
  fresh_units_ = 0;
  victim_ = 0;
  holes_ = {};
  holes_mask_ = {};
}

bool NodeArena::choose_victim() {
  const std::uint32_t newest = fresh_units_ > 0 ? fresh_ >> chunk_bits : 0;
  std::uint32_t best = 0;
  for (std::uint32_t number = 1; number < chunks_.size(); ++number) {
    const Chunk& chunk = chunks_[number];
    if (chunk.memory == nullptr || chunk.large_bytes != 0 || number == newest) continue;
    if (best == 0 || chunk.live_units < chunks_[best].live_units) best = number;
  }
  victim_ = best;
  victim_next_ = 0;
  return best != 0;
}

NodeArena::Moved NodeArena::empty_place() {
  if (victim_next_ == chunk_units) {
    assert(chunks_[victim_].live_units == 0);
    memory_.give_back(chunks_[victim_].memory);
    drop_chunk(victim_);
    total_units_ -= chunk_units;
    hole_units_ -= chunk_units;
    victim_ = 0;
    return {};
  }
  const auto handle = static_cast<NodeHandle>(victim_ << chunk_bits | victim_next_);
  std::byte* place = at(handle);
  Moved moved;
  std::size_t units = 0;
  if (const std::uint16_t flags = load_u16(place); flags & is_hole) {
    Hole hole;
    std::memcpy(&hole, place, unlisted_hole_bytes);
    units = hole.units;
    if (flags & is_listed) {
      std::memcpy(&hole, place, sizeof hole);
      unlist_hole(handle, hole);
      mark_hole(handle, units);
    }
  } else {
    // The old bytes stay readable until the chunk is gone, which is not before the next call.
    const std::size_t bytes = node_bytes(read_head(place));
    units = units_of(bytes);
    moved.old = handle;
    moved.now = take_place(units);
    std::memcpy(at(moved.now), place, bytes);
    chunks_[moved.now >> chunk_bits].live_units += static_cast<std::uint32_t>(units);
    chunks_[victim_].live_units -= static_cast<std::uint32_t>(units);
    hole_units_ += units;
  }
  victim_next_ += units;
  assert(victim_next_ <= chunk_units);
  return moved;
}

}  // namespace kvs::log
