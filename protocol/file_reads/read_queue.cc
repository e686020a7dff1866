#include "protocol/file_reads/read_queue.h"

#include <cassert>
#include <utility>

#include "protocol/file_reads/file_reads.h"

namespace kvs::uv {

void ReadQueue::push(ReadOperation& read) noexcept {
  read.next_ = nullptr;
  (first_ == nullptr ? first_ : last_->next_) = &read;
  last_ = &read;
}

ReadOperation& ReadQueue::pop() noexcept {
  assert(first_ != nullptr);
  ReadOperation& read = *first_;
  first_ = std::exchange(read.next_, nullptr);
  return read;
}

bool ReadQueue::remove(ReadOperation& read) noexcept {
  ReadOperation* before = nullptr;
  for (ReadOperation* at = first_; at != nullptr; before = at, at = at->next_) {
    if (at != &read) continue;
    (before == nullptr ? first_ : before->next_) = read.next_;
    if (last_ == &read) last_ = before;
    read.next_ = nullptr;
    return true;
  }
  return false;
}

}  // namespace kvs::uv
