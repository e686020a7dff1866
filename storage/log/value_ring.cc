#include "storage/log/value_ring.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <sys/mman.h>

#include "storage/log/key_node.h"

namespace kvs::log {

ValueRing::~ValueRing() {
  if (memory_ != nullptr) munmap(memory_, capacity_bytes_);
}

std::uint64_t ValueRing::append(std::string_view value) {
  if (value.size() > capacity_bytes_ / 8) return 0;
  if (head_ + value.size() >= ring_position_end) return 0;
  if (memory_ == nullptr && !map()) return 0;
  const std::uint64_t position = head_;
  const std::size_t place = static_cast<std::size_t>(position % capacity_bytes_);
  const std::size_t before_end = std::min(value.size(), capacity_bytes_ - place);
  if (!value.empty()) {
    std::memcpy(memory_ + place, value.data(), before_end);
    std::memcpy(memory_, value.data() + before_end, value.size() - before_end);
  }
  head_ += value.size();
  return position;
}

void ValueRing::copy(std::uint64_t position, std::size_t bytes, std::string& value) const {
  assert(holds(position));
  assert(position + bytes <= head_);
  const std::size_t place = static_cast<std::size_t>(position % capacity_bytes_);
  const std::size_t before_end = std::min(bytes, capacity_bytes_ - place);
  value.assign(memory_ + place, before_end);
  value.append(memory_, bytes - before_end);
}

std::uint64_t ValueRing::used_bytes() const {
  return std::min<std::uint64_t>(head_ - 1, capacity_bytes_);
}

bool ValueRing::map() {
  if (capacity_bytes_ == 0) return false;
  void* memory = mmap(nullptr, capacity_bytes_, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    // The copies are a convenience: without memory for them values are read from disk.
    capacity_bytes_ = 0;
    return false;
  }
  memory_ = static_cast<char*>(memory);
  return true;
}

}  // namespace kvs::log
