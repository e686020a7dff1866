// value_ring.h - copies of values in memory: a circular log of fixed size.
//
// Appending overwrites what is oldest, so nothing is ever freed one by one and nothing has to point
// back at its owner: a position only grows, and whoever remembers one can tell from it alone
// whether the bytes are still there. A value that is read while it lies in the oldest quarter is
// worth appending again (`is_old`): what is read often enough stays.
//
// The memory is an anonymous mapping whose pages come into being as the ring first fills.
//
// Thread: guarded by the shard's lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace kvs::log {

class ValueRing {
 public:
  ValueRing() = default;
  ~ValueRing();
  ValueRing(const ValueRing&) = delete;
  ValueRing& operator=(const ValueRing&) = delete;

  // Once, before anything else; 0 keeps nothing.
  void set_capacity(std::size_t bytes) { capacity_bytes_ = bytes; }

  // Returns the position of the copy, or 0 when the value is not kept: larger than an eighth of the
  // ring (it would drive out too much), or no memory. `value` must not lie in the ring.
  std::uint64_t append(std::string_view value);

  // True if what was appended at `position` has not been overwritten. Position 0 is never there.
  bool holds(std::uint64_t position) const {
    return position != 0 && head_ - position <= capacity_bytes_;
  }
  // True in the quarter that will be overwritten next.
  bool is_old(std::uint64_t position) const {
    return head_ - position > capacity_bytes_ - capacity_bytes_ / 4;
  }

  // Sets `value` to the `bytes` that were appended at `position`, which the ring must hold.
  void copy(std::uint64_t position, std::size_t bytes, std::string& value) const;

  std::uint64_t used_bytes() const;

 private:
  bool map();

  std::size_t capacity_bytes_ = 0;
  char* memory_ = nullptr;  // mapped by the first append
  std::uint64_t head_ = 1;  // where the next value goes; byte p lies at p % capacity_bytes_
};

}  // namespace kvs::log
