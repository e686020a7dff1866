#include "protocol/file_reads/ring_reads.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <chrono>
#include <string>
#include <system_error>
#include <utility>

namespace kvs::uv {
namespace {

// One system call transfers at most 0x7ffff000 bytes; a round number below it.
constexpr std::size_t transfer_bytes_max = std::size_t{1} << 30;
// The kernel copies what is cached while it takes the request, on the loop's thread: of long reads
// a thread of its own may do that.
constexpr std::size_t inline_bytes_max = std::size_t{256} << 10;

// Then the loop has its turn, however many reads are cached.
constexpr int submit_rounds_max = 16;

int open_ring(unsigned depth, io_uring& ring) {
#ifdef IORING_SETUP_COOP_TASKRUN
  // Completions need no interrupt of the loop's thread: it enters the kernel soon enough.
  const int cooperative = io_uring_queue_init(depth, &ring, IORING_SETUP_COOP_TASKRUN);
  if (cooperative != -EINVAL) return cooperative;
#endif
  return io_uring_queue_init(depth, &ring, 0);  // a kernel before 5.19
}

Error refused(int result) {
  return Error(Code::io, "io_uring: " + std::generic_category().message(-result));
}

// A kernel that has rings and not the reads that we need (before 5.6) is as good as none.
bool can_read(io_uring& ring) {
  io_uring_probe* const probe = io_uring_get_probe_ring(&ring);
  if (probe == nullptr) return false;
  const bool supported = io_uring_opcode_supported(probe, IORING_OP_READ) != 0;
  io_uring_free_probe(probe);
  return supported;
}

}  // namespace

Result<void> RingReads::probe() {
  io_uring ring;
  if (const int failed = open_ring(4, ring); failed < 0) return std::unexpected(refused(failed));
  const bool supported = can_read(ring);
  io_uring_queue_exit(&ring);
  if (!supported) return fail(Code::io, "io_uring: this kernel's is too old");
  return {};
}

Result<std::unique_ptr<FileReads>> RingReads::open(Loop& loop, const FileReadsOptions& options) {
  assert(options.depth > 0);
  io_uring ring;
  if (const int failed = open_ring(options.depth, ring); failed < 0) {
    return std::unexpected(refused(failed));
  }
  if (!can_read(ring)) {
    io_uring_queue_exit(&ring);
    return fail(Code::io, "io_uring: this kernel's is too old");
  }
  return std::make_unique<RingReads>(loop, options.depth, ring);
}

RingReads::RingReads(Loop& loop, unsigned depth, const io_uring& ring)
    : depth_(depth),
      ring_(ring),
      later_(loop,
             [this] {
               hand_over();
               submit();
             }),
      readable_(make_handle<uv_poll_t>([&](uv_poll_t* poll) {
        const int failed = uv_poll_init(loop.raw(), poll, ring_.ring_fd);
        assert(failed == 0);
      })) {
  readable_->data = this;
  uv_poll_start(readable_.get(), UV_READABLE, [](uv_poll_t* poll, int /*status*/, int /*events*/) {
    static_cast<RingReads*>(poll->data)->reap();
  });
}

RingReads::~RingReads() {
  assert(under_way_ == 0);
  assert(waiting_.empty());
  readable_.reset();  // stops watching now, before the descriptor is closed
  io_uring_queue_exit(&ring_);
}

void RingReads::submit() {
  // What the page cache has is complete at once, and makes room for what waits.
  for (int round = 0; round < submit_rounds_max; ++round) {
    fill();
    if (io_uring_sq_ready(&ring_) == 0) return;
    enter();
    reap();
  }
  if (!waiting_.empty() && under_way_ < depth_) later_.start_once(std::chrono::milliseconds(0));
}

void RingReads::fill() {
  while (under_way_ < depth_ && !waiting_.empty()) {
    io_uring_sqe* const entry = io_uring_get_sqe(&ring_);
    if (entry == nullptr) return;  // the kernel has not taken the last ones yet
    ReadOperation& read = waiting_.pop();
    read.state_ = ReadOperation::State::under_way;
    const std::size_t bytes = std::min(read.rest().size(), transfer_bytes_max);
    io_uring_prep_read(entry, read.descriptor_, read.rest().data(), static_cast<unsigned>(bytes),
                       read.next_offset_bytes());
    if (bytes > inline_bytes_max) entry->flags |= IOSQE_ASYNC;
    io_uring_sqe_set_data(entry, &read);
    ++under_way_;
  }
}

void RingReads::enter() {
  int taken = 0;
  do {
    taken = io_uring_submit(&ring_);
  } while (taken == -EINTR || (taken > 0 && io_uring_sq_ready(&ring_) > 0));
  // No memory for it just now: what is in the ring stays there.
  if (io_uring_sq_ready(&ring_) > 0) later_.start_once(std::chrono::milliseconds(1));
}

// Takes one result out of the ring; true: `read` is over, false: it waits again for its rest.
bool RingReads::take(io_uring_cqe& completion, ReadOperation*& read) {
  read = static_cast<ReadOperation*>(io_uring_cqe_get_data(&completion));
  const int result = completion.res;
  io_uring_cqe_seen(&ring_, &completion);
  --under_way_;
  if (read->advance(result)) return true;
  read->state_ = ReadOperation::State::waiting;
  waiting_.push(*read);
  return false;
}

void RingReads::reap() {
  // Telling a parent may start and destroy reads; it never comes back in here.
  io_uring_cqe* completion = nullptr;
  while (io_uring_peek_cqe(&ring_, &completion) == 0) {
    ReadOperation* read = nullptr;
    if (take(*completion, read)) read->finish();
  }
}

void RingReads::hand_over() {
  while (!over_.empty()) over_.pop().finish();
}

void RingReads::abandon(ReadOperation& read) noexcept {
  if (waiting_.remove(read) || over_.remove(read)) return;
  // The kernel writes to the buffer: reads of files cannot be called back, and end soon.
  for (;;) {
    io_uring_cqe* completion = nullptr;
    if (io_uring_peek_cqe(&ring_, &completion) != 0) {
      (void)io_uring_submit_and_wait(&ring_, 1);
      continue;
    }
    ReadOperation* ended = nullptr;
    const bool over = take(*completion, ended);
    if (ended == &read) {
      if (!over) waiting_.remove(read);
      return;
    }
    if (over) over_.push(*ended);
    later_.start_once(std::chrono::milliseconds(0));
  }
}

}  // namespace kvs::uv
