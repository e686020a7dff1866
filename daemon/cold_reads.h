// cold_reads.h - the values that a step of a connection needs and that are not in memory: read all
// at once, beside the loop, before the step runs.
//
// So a read of such values needs no pool thread and waits behind nobody else's (all connections of
// the loop have theirs under way together), and a write that needs old values never holds the
// writer's place across a disk read. What cannot be read like that - the engine offers nothing, a
// value is large, too much is being held, an error - is left out: the pool reads it as ever.
#pragma once

#include <coroutine>
#include <cstddef>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "daemon/context.h"
#include "daemon/executor.h"
#include "daemon/metrics.h"
#include "protocol/async/operation.h"
#include "protocol/file_reads/file_reads.h"
#include "protocol/uv/loop.h"

namespace kvs::daemon {

// One per loop. Thread: the loop's.
class ColdReads {
 public:
  // Reads as services.config.cold_reads says, on the pool when the kernel refuses io_uring.
  ColdReads(uv::Loop& loop, Services& services, WorkerMetrics& metrics);

  // Sends what has been gathered. Called at the end of each iteration.
  void submit() { reads_->submit(); }

  // Brings what entry.requests will need into entry.read_ahead, and resumes on the loop's thread;
  // does not suspend when that is nothing. Lives until the step is over: it says how much is held.
  class Done {
   public:
    Done(ColdReads& owner, BatchEntry& entry) : owner_(owner), entry_(entry) {}
    ~Done() { owner_.held_bytes_ -= held_bytes_; }
    Done(const Done&) = delete;
    Done& operator=(const Done&) = delete;

    bool await_ready() {
      plan();
      return wanted_.empty();
    }
    bool await_suspend(std::coroutine_handle<> waiter);
    void await_resume();

   private:
    struct Wanted final : Completion {
      Wanted(Done& step, Key wanted_key, ColdRead cold_read)
          : done(step), key(wanted_key), read(std::move(cold_read)) {}
      void complete() noexcept override { done.one_is_there(); }

      Done& done;
      const Key key;  // the words of a request live longer than the step
      const ColdRead read;
      std::string bytes;
      std::optional<uv::ReadOperation> operation;
    };

    void plan();
    void want(Key key);
    void one_is_there() noexcept;

    ColdReads& owner_;
    BatchEntry& entry_;
    std::list<Wanted> wanted_;
    std::size_t held_bytes_ = 0;
    std::size_t missing_ = 0;
    bool left_out_ = false;
    std::coroutine_handle<> waiter_;
  };

 private:
  Services& services_;
  WorkerMetrics& metrics_;
  std::unique_ptr<uv::FileReads> reads_;
  std::size_t held_bytes_ = 0;  // by all steps of the loop
};

}  // namespace kvs::daemon
