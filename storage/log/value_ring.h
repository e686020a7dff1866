// value_ring.h - copies of values in memory: a circular log of fixed size.
//
// Appending overwrites what is oldest, so nothing is ever freed one by one and nothing has to point
// back at its owner: whoever remembers a position can tell from it alone whether the bytes are
// still there. A value that is read while it lies in the oldest quarter is worth appending again
// (`is_old`): what is read often enough stays.
//
// A position counts units of 8 bytes and has 32 bits, since one is stored with every key: it comes
// round after 32 GiB. Who remembers positions must forget those that are no longer held before
// `reused_after_units` more have been appended (the keydir does so as the ring moves on).
//
// The memory is an anonymous mapping whose pages come into being as the ring first fills: small
// ones at first, so that little data takes little memory, and huge ones from then on
// (chunk_memory.h says why).
//
// Thread: guarded by the shard's lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace kvs::log {

// Where a copy lies; 0: nowhere.
using RingPosition = std::uint32_t;

class ValueRing {
 public:
  static constexpr std::size_t unit_bytes = 8;
  static constexpr unsigned position_bits_max = 32;

  ValueRing() = default;
  ~ValueRing();
  ValueRing(const ValueRing&) = delete;
  ValueRing& operator=(const ValueRing&) = delete;

  // Once, before anything else; 0 keeps nothing. Rounded down to units and to half of what
  // positions can tell apart. Fewer position bits than there are let a test see them come round.
  void set_capacity(std::size_t bytes, unsigned position_bits = position_bits_max);

  // Returns the position of the copy, or 0 when the value is not kept: larger than an eighth of the
  // ring (it would drive out too much), or no memory. `value` must not lie in the ring.
  RingPosition append(std::string_view value);

  // True if what was appended at `position` has not been overwritten. Position 0 is never there.
  bool holds(RingPosition position) const {
    return position != 0 && age_units(position) <= capacity_units_;
  }
  // True in the quarter that will be overwritten next.
  bool is_old(RingPosition position) const {
    return age_units(position) > capacity_units_ - capacity_units_ / 4;
  }

  // Sets `value` to the `bytes` that were appended at `position`, which the ring must hold.
  void copy(RingPosition position, std::size_t bytes, std::string& value) const;

  // Starts to bring the beginning of what lies at `position` into the processor's caches. Inlined
  // by force: GCC 12 takes a function that only prefetches for one without effect.
  [[gnu::always_inline]] void prefetch(RingPosition position) const {
    const std::size_t unit =
        static_cast<std::size_t>((head_ - age_units(position)) % capacity_units_);
    __builtin_prefetch(memory_ + unit * unit_bytes);
    __builtin_prefetch(memory_ + unit * unit_bytes + 64);
  }

  std::uint64_t capacity_bytes() const { return capacity_units_ * unit_bytes; }
  std::uint64_t appended_units() const { return head_; }
  std::uint64_t reused_after_units() const { return position_mask_ + 1; }
  std::uint64_t used_bytes() const;

 private:
  bool map();
  void want_huge_pages();
  std::uint64_t age_units(RingPosition position) const {
    return (head_ - position) & position_mask_;
  }

  std::uint64_t capacity_units_ = 0;
  char* memory_ = nullptr;  // mapped by the first append
  bool huge_pages_wanted_ = false;
  std::uint64_t head_ = 1;  // where the next value goes, in units; unit u lies at u % capacity
  std::uint64_t position_mask_ = UINT32_MAX;
};

}  // namespace kvs::log
