#include "storage/log/reserve.h"

#include <string>

namespace kvs::log {

Reserve::Reserve(Directory& directory, std::uint64_t segment_bytes)
    : directory_(directory),
      segment_bytes_(segment_bytes),
      removals_bytes_(segment_bytes / 4),
      bytes_(segment_bytes + removals_bytes_ + segment_bytes / 4) {}

void Reserve::adopt() {
  std::scoped_lock lock(mutex_);
  auto file = directory_.open(reserve_name, OpenMode::existing);
  if (!file) return;
  const auto size = (*file)->size();
  if (size && *size >= bytes_) state_ = State::held;
}

Result<void> Reserve::take() {
  if (held()) return {};
  std::scoped_lock lock(mutex_);
  if (held()) return {};
  if (released()) {
    // Not from compaction, which needs it to give back more: only with a segment's room beside it.
    const auto free = directory_.free_bytes();
    if (free && *free < bytes_ + segment_bytes_) {
      return fail(Code::no_space, "no room for the reserve of " + std::to_string(bytes_) +
                                      " bytes and a segment in " + directory_.path());
    }
  }
  auto file = directory_.open(reserve_name, OpenMode::replace);
  if (!file) return std::unexpected(file.error());
  if (auto allocated = (*file)->preallocate(bytes_); !allocated) {
    file->reset();
    // What was allocated before the disk was full must not be kept from those who can use it.
    (void)directory_.remove(reserve_name);
    return allocated;
  }
  state_.store(State::held, std::memory_order_release);
  return {};
}

bool Reserve::release() {
  std::scoped_lock lock(mutex_);
  if (!held()) return false;
  if (!directory_.remove(reserve_name)) return false;
  state_.store(State::released, std::memory_order_release);
  return true;
}

}  // namespace kvs::log
