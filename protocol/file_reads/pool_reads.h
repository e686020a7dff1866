// pool_reads.h - FileReads on libuv's pool: a few jobs at a time, each reading a few files in turn.
//
// The pool is one queue for everything, so that the number of jobs bounds what others wait for.
#pragma once

#include <array>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "protocol/file_reads/file_reads.h"
#include "protocol/uv/pool_work.h"

namespace kvs::uv {

class PoolReads final : public FileReads {
 public:
  PoolReads(Loop& loop, const FileReadsOptions& options);
  ~PoolReads() override;  // nothing may be under way

  ReadMethod method() const noexcept override { return ReadMethod::pool; }
  void submit() override;

 private:
  // Reads of one job: a hop to the pool costs as much as a read that is cached.
  static constexpr std::size_t job_reads_max = 4;

  // Keeps itself while it runs: what it was given may all have been dropped by the time it ends.
  struct Job {
    Job(PoolReads& reads, Loop& loop);
    void run();       // pool thread
    void finished();  // loop thread
    // Returns whether `read` was in here; nobody touches it any more then.
    bool give_up(const ReadOperation& read);

    PoolReads* owner;           // null: gone. Loop thread
    std::shared_ptr<Job> self;  // while it runs. Loop thread
    bool busy = false;          // until its parents have been told, too. Loop thread

    std::mutex mutex;  // guards what follows
    std::condition_variable read_ended;
    std::array<ReadOperation*, job_reads_max> reads{};  // null: none, or given up
    ReadOperation* reading = nullptr;

    PoolWork work;
  };

  bool enqueue(ReadOperation& read) noexcept override;
  void abandon(ReadOperation& read) noexcept override;

  ReadQueue waiting_;
  std::vector<std::shared_ptr<Job>> jobs_;
};

}  // namespace kvs::uv
