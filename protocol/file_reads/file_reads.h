// file_reads.h - many reads of files at a time, for one loop and without blocking it.
//
//   auto reads = uv::open_file_reads(loop, {.method = uv::ReadMethod::io_uring});
//   uv::ReadOperation read(*reads, descriptor, offset, buffer);
//   const Result<std::size_t> got = co_await read;   // on the loop's thread again
//
// Two ways to the disk behind one interface: io_uring (one ring per loop, no thread waits), and
// libuv's pool for kernels and sandboxes that refuse it. What is started during an iteration of the
// loop is gathered and sent by submit(), which whoever owns the loop calls at its end: one system
// call for all of them.
//
// On the way to the pool the page cache is asked first (RWF_NOWAIT): what it has needs no thread.
// The ring does that by itself, for all reads of a submit() at once.
//
// A read allocates nothing: it is a link of the queue itself. What is beyond the depth waits there.
//
// Not here: what is read and whether it is right (storage/), writes, and O_DIRECT - the page cache
// is wanted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "protocol/async/operation.h"
#include "protocol/async/result.h"
#include "protocol/file_reads/read_queue.h"
#include "protocol/uv/loop.h"

namespace kvs::uv {

enum class ReadMethod : std::uint8_t { io_uring, pool };

struct FileReadsOptions {
  ReadMethod method = ReadMethod::io_uring;
  unsigned depth = 128;    // io_uring: reads in the kernel's hands at a time
  unsigned pool_jobs = 2;  // pool: jobs at a time, so that other work has its turn; at least 1
};

// Thread: the loop's, but for construction. Outlives its operations.
class FileReads {
 public:
  virtual ~FileReads() = default;
  FileReads(const FileReads&) = delete;
  FileReads& operator=(const FileReads&) = delete;

  virtual ReadMethod method() const noexcept = 0;

  // Sends what was started since the last call, and may complete reads that need no disk. Call it
  // at the end of each iteration of the loop (uv_prepare); completions may start further reads.
  virtual void submit() = 0;

 protected:
  FileReads() = default;

 private:
  friend class ReadOperation;
  // True: it is done already.
  virtual bool enqueue(ReadOperation& read) noexcept = 0;
  // Returns when nobody touches `read` or its buffer any more; waits for the disk if need be.
  virtual void abandon(ReadOperation& read) noexcept = 0;
};

// Errors: io when `options.method` is io_uring and the kernel (or seccomp) refuses, or the build is
// without it; the message says why. Thread: the loop's, or any while nobody runs it yet.
Result<std::unique_ptr<FileReads>> open_file_reads(Loop& loop, const FileReadsOptions& options);

// Does this process get a ring? Errors: as open_file_reads.
Result<void> try_io_uring();

// Reads until `out` is full or the file ends; yields the number of bytes, or Code::io. Completes on
// the loop's thread. Destroying it while it is under way waits for the disk.
// Lifetime: descriptor and buffer must live until it has completed or is destroyed.
class [[nodiscard]] ReadOperation {
 public:
  using value_type = Result<std::size_t>;

  ReadOperation(FileReads& reads, int descriptor, std::uint64_t offset_bytes,
                std::span<char> out) noexcept
      : reads_(reads), descriptor_(descriptor), offset_bytes_(offset_bytes), out_(out) {}
  // Only before it is started.
  ReadOperation(ReadOperation&& other) noexcept;
  ReadOperation& operator=(ReadOperation&&) = delete;
  ~ReadOperation();

  bool start(Completion& done) noexcept;
  value_type take();
  auto operator co_await() noexcept { return OperationAwaiter<ReadOperation>(*this); }

 private:
  friend class RingReads;
  friend class PoolReads;
  friend class ReadQueue;
  enum class State : std::uint8_t { fresh, waiting, under_way, done };

  // What the next system call is for.
  std::uint64_t next_offset_bytes() const noexcept { return offset_bytes_ + done_bytes_; }
  std::span<char> rest() const noexcept { return out_.subspan(done_bytes_); }
  // Takes the result of one (bytes, or a negative errno); returns whether the read is over.
  bool advance(std::int64_t result) noexcept;
  void finish() noexcept;  // tells the parent, who may destroy this

  FileReads& reads_;
  const int descriptor_;
  const std::uint64_t offset_bytes_;
  const std::span<char> out_;
  std::size_t done_bytes_ = 0;
  int errno_ = 0;
  unsigned interruptions_ = 0;
  State state_ = State::fresh;
  Completion* completion_ = nullptr;
  ReadOperation* next_ = nullptr;  // ReadQueue's
};

static_assert(Operation<ReadOperation>);

}  // namespace kvs::uv
