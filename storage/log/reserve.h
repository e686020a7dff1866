// reserve.h - disk space set aside for the day the disk is full.
//
// A full disk can only be emptied by writing: compaction writes survivors before it drops anything,
// and a removal is a record too. So a file RESERVE holds the space of one and a half segments: for
// one output of compaction, a small segment of removals, and the new MANIFEST. It exists from the
// moment the log needs its second segment, and it is given back only to those two. While it is out,
// nothing that makes the log grow is written; it is taken again as soon as there is room for it and
// for a segment, before anybody else gets that.
//
// The file holds nothing and is not synced: what a power cut leaves of it is of no account. Where a
// file system cannot allocate ahead, nothing is reserved, and a full disk waits for its operator.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>

#include "storage/fs.h"

namespace kvs::log {

inline constexpr std::string_view reserve_name = "RESERVE";

// Thread: any.
class Reserve {
 public:
  // `directory` must outlive this.
  Reserve(Directory& directory, std::uint64_t segment_bytes);

  // Takes over the file of an earlier run, if it is there and large enough.
  void adopt();

  // Takes the space, unless it is held. Errors: no_space, io; nothing is taken then.
  Result<void> take();

  // Gives the space to the caller, who is about to create a file; false when it is not held.
  bool release();

  bool held() const { return state_.load(std::memory_order_acquire) == State::held; }
  // Given away, and not yet taken again: the disk is full.
  bool released() const { return state_.load(std::memory_order_acquire) == State::released; }
  std::uint64_t bytes() const { return bytes_; }
  // Of a segment of removals that is created from the reserve.
  std::uint64_t removals_bytes() const { return removals_bytes_; }

 private:
  enum class State : std::uint8_t { untouched, held, released };

  Directory& directory_;
  const std::uint64_t segment_bytes_;
  const std::uint64_t removals_bytes_;
  const std::uint64_t bytes_;
  std::mutex mutex_;  // held while the file is created or removed
  std::atomic<State> state_ = State::untouched;
};

}  // namespace kvs::log
