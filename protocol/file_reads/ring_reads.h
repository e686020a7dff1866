// ring_reads.h - FileReads through io_uring: one ring, whose descriptor the loop watches.
//
// The descriptor of a ring is readable while completions wait in it, so that it needs no eventfd
// beside it, nor a read(2) per wake-up to reset one. What the page cache has is complete when
// submit() returns, and is handed over there: no trip through epoll.
#pragma once

#include <liburing.h>
#include <memory>

#include "protocol/file_reads/file_reads.h"
#include "protocol/uv/handle.h"
#include "protocol/uv/timer.h"

namespace kvs::uv {

class RingReads final : public FileReads {
 public:
  static Result<std::unique_ptr<FileReads>> open(Loop& loop, const FileReadsOptions& options);
  static Result<void> probe();

  RingReads(Loop& loop, unsigned depth, const io_uring& ring);
  ~RingReads() override;  // nothing may be under way

  ReadMethod method() const noexcept override { return ReadMethod::io_uring; }
  void submit() override;

 private:
  bool enqueue(ReadOperation& read) noexcept override {
    waiting_.push(read);
    return false;
  }
  void abandon(ReadOperation& read) noexcept override;

  void fill();       // moves what waits into the ring, up to the depth
  void enter();      // gives the kernel what is in the ring
  void reap();       // completes what is ready, and sends on what that leaves to do
  void hand_over();  // completes what `abandon` came across
  bool take(io_uring_cqe& completion, ReadOperation*& read);

  const unsigned depth_;
  io_uring ring_;
  unsigned under_way_ = 0;  // in the ring or in the kernel
  ReadQueue waiting_;
  ReadQueue over_;  // results are in, parents not told
  Timer later_;     // when the kernel would not take more, or `over_` holds something
  HandlePtr<uv_poll_t> readable_;
};

}  // namespace kvs::uv
