// shared_queue.h - some threads, one queue, one condition variable.
#pragma once

#include <memory>
#include <thread>
#include <vector>

#include "protocol/async/result.h"
#include "protocol/async/thread_pool.h"
#include "storage/thread_pool/thread_pools.h"

namespace kvs {

class SharedQueuePool final : public ThreadPool::Backend {
 public:
  SharedQueuePool();
  // Once. Errors: as open_shared_queue_pool; the destructor stops the threads that there are.
  Result<void> start(const ThreadPoolOptions& options);
  ~SharedQueuePool() override;

  void spawn(PoolJob& job) noexcept override;
  bool withdraw(PoolJob& job) noexcept override;

 private:
  struct Queue;

  static void serve(Queue& queue);

  // Shared with the threads: one of them may outlive this for the rest of its job.
  const std::shared_ptr<Queue> queue_;
  std::vector<std::thread> threads_;
};

// Joins `thread`, unless it is the calling one: that one is let go, and ends on its own.
void join_or_release(std::thread& thread) noexcept;

// Starts a thread as `options` say. Errors: busy.
Result<std::thread> start_thread(const ThreadPoolOptions& options, std::function<void()> run);

}  // namespace kvs
