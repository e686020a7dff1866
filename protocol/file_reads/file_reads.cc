#include "protocol/file_reads/file_reads.h"

#include <cassert>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "protocol/file_reads/pool_reads.h"
#ifdef KVS_IO_URING
#include "protocol/file_reads/ring_reads.h"
#endif

namespace kvs::uv {
namespace {

// A read that is interrupted more often than this has a problem that patience does not solve.
constexpr unsigned interruptions_max = 100;

}  // namespace

#ifdef KVS_IO_URING
Result<void> try_io_uring() {
  return RingReads::probe();
}
#else
Result<void> try_io_uring() {
  return fail(Code::io, "this build has no io_uring");
}
#endif

Result<std::unique_ptr<FileReads>> open_file_reads(Loop& loop, const FileReadsOptions& options) {
  if (options.method == ReadMethod::pool) return std::make_unique<PoolReads>(loop, options);
#ifdef KVS_IO_URING
  return RingReads::open(loop, options);
#else
  return std::unexpected(try_io_uring().error());
#endif
}

ReadOperation::ReadOperation(ReadOperation&& other) noexcept
    : reads_(other.reads_),
      descriptor_(other.descriptor_),
      offset_bytes_(other.offset_bytes_),
      out_(other.out_) {
  assert(other.state_ == State::fresh);
}

ReadOperation::~ReadOperation() {
  if (state_ == State::waiting || state_ == State::under_way) reads_.abandon(*this);
}

bool ReadOperation::start(Completion& done) noexcept {
  assert(state_ == State::fresh);
  if (out_.empty()) {
    state_ = State::done;
    return true;
  }
  completion_ = &done;
  state_ = State::waiting;
  return reads_.enqueue(*this);
}

Result<std::size_t> ReadOperation::take() {
  assert(state_ == State::done);
  if (errno_ != 0) {
    return fail(Code::io, "cannot read: " + std::generic_category().message(errno_));
  }
  return done_bytes_;
}

bool ReadOperation::advance(std::int64_t result) noexcept {
  if (result == -EINTR || result == -EAGAIN) {
    if (++interruptions_ < interruptions_max) return false;
  }
  if (result < 0) {
    errno_ = static_cast<int>(-result);
    return true;
  }
  done_bytes_ += static_cast<std::size_t>(result);
  assert(done_bytes_ <= out_.size());
  return result == 0 || done_bytes_ == out_.size();
}

void ReadOperation::finish() noexcept {
  state_ = State::done;
  completion_->complete();
}

}  // namespace kvs::uv
