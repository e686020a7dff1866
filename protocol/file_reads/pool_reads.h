// pool_reads.h - FileReads on libuv's pool: a few jobs at a time, each reading a few files in turn.
//
// The pool is one queue for everything, so that the number of jobs bounds what others wait for.
#pragma once

#include <array>
#include <condition_variable>
#include <list>
#include <mutex>

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

  struct Job {
    Job(PoolReads& owner, Loop& loop)
        : work(
              loop, [this, &owner] { owner.run(*this); },
              [this, &owner] { owner.finished(*this); }) {}

    PoolWork work;
    bool busy = false;  // loop thread
    std::array<ReadOperation*, job_reads_max>
        reads{};                       // guarded by mutex_; null: none, or given up
    ReadOperation* reading = nullptr;  // guarded by mutex_
  };

  void enqueue(ReadOperation& read) noexcept override { waiting_.push(read); }
  void abandon(ReadOperation& read) noexcept override;
  void run(Job& job);       // pool thread
  void finished(Job& job);  // loop thread

  ReadQueue waiting_;
  std::list<Job> jobs_;
  std::mutex mutex_;
  std::condition_variable read_ended_;
};

}  // namespace kvs::uv
