// thread_per_job.h - a thread for every job.
//
// Each thread, at its end, joins the one that ended before it, so that at most one waits to be
// joined however long the pool lives.
#pragma once

#include <memory>

#include "protocol/async/result.h"
#include "protocol/async/thread_pool.h"
#include "storage/thread_pool/shared_queue.h"
#include "storage/thread_pool/thread_pools.h"

namespace kvs {

class ThreadPerJobPool final : public ThreadPool::Backend {
 public:
  explicit ThreadPerJobPool(ThreadPoolOptions options);
  // Once. Errors: as open_thread_per_job_pool.
  Result<void> start();
  ~ThreadPerJobPool() override;

  void spawn(PoolJob& job) noexcept override;
  // A job has begun when spawn returns, unless no thread could be had for it.
  bool withdraw(PoolJob& job) noexcept override { return reserve_.withdraw(job); }

 private:
  struct Threads;

  const ThreadPoolOptions options_;
  const std::shared_ptr<Threads> threads_;  // shared with the threads
  SharedQueuePool reserve_;
};

}  // namespace kvs
