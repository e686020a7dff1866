#include "storage/log/value_ring.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <sys/mman.h>

namespace kvs::log {
namespace {

// A ring that has grown beyond this gets huge pages.
constexpr std::size_t small_pages_bytes = std::size_t{1} << 20;

}  // namespace

ValueRing::~ValueRing() {
  if (memory_ != nullptr) munmap(memory_, capacity_units_ * unit_bytes);
}

void ValueRing::set_capacity(std::size_t bytes, unsigned position_bits) {
  assert(memory_ == nullptr);
  assert(position_bits > 0 && position_bits <= position_bits_max);
  position_mask_ = (std::uint64_t{1} << position_bits) - 1;
  capacity_units_ = std::min<std::uint64_t>(bytes / unit_bytes, reused_after_units() / 2);
}

RingPosition ValueRing::append(std::string_view value) {
  const std::size_t capacity_bytes = capacity_units_ * unit_bytes;
  if (value.size() > capacity_bytes / 8) return 0;
  if (memory_ == nullptr && !map()) return 0;
  // Position 0 means that there is none.
  if ((head_ & position_mask_) == 0) ++head_;
  const std::size_t place = static_cast<std::size_t>(head_ % capacity_units_) * unit_bytes;
  const std::size_t before_end = std::min(value.size(), capacity_bytes - place);
  if (!value.empty()) {
    std::memcpy(memory_ + place, value.data(), before_end);
    std::memcpy(memory_, value.data() + before_end, value.size() - before_end);
  }
  const auto position = static_cast<RingPosition>(head_ & position_mask_);
  if (!huge_pages_wanted_ && place >= small_pages_bytes) want_huge_pages();
  head_ += (value.size() + unit_bytes - 1) / unit_bytes;
  return position;
}

void ValueRing::copy(RingPosition position, std::size_t bytes, std::string& value) const {
  assert(holds(position));
  const std::uint64_t age = age_units(position);
  assert(bytes <= age * unit_bytes);
  const std::size_t place = static_cast<std::size_t>((head_ - age) % capacity_units_) * unit_bytes;
  const std::size_t before_end = std::min(bytes, capacity_units_ * unit_bytes - place);
  value.assign(memory_ + place, before_end);
  value.append(memory_, bytes - before_end);
}

std::uint64_t ValueRing::used_bytes() const {
  return std::min<std::uint64_t>(head_ - 1, capacity_units_) * unit_bytes;
}

bool ValueRing::map() {
  if (capacity_units_ == 0) return false;
  void* memory = mmap(nullptr, capacity_units_ * unit_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    // The copies are a convenience: without memory for them values are read from disk.
    capacity_units_ = 0;
    return false;
  }
  memory_ = static_cast<char*>(memory);
  return true;
}

void ValueRing::want_huge_pages() {
  huge_pages_wanted_ = true;
  madvise(memory_, capacity_units_ * unit_bytes, MADV_HUGEPAGE);  // a wish
}

}  // namespace kvs::log
