#include "storage/thread_pool/thread_pools.h"

#include <memory>
#include <utility>

#include "storage/thread_pool/shared_queue.h"
#include "storage/thread_pool/thread_per_job.h"

namespace kvs {
namespace {

ThreadPool as_handle(std::unique_ptr<ThreadPool::Backend> started) {
  return ThreadPool(std::shared_ptr<ThreadPool::Backend>(std::move(started)));
}

}  // namespace

Result<ThreadPool> open_shared_queue_pool(ThreadPoolOptions options) {
  auto pool = std::make_unique<SharedQueuePool>();
  if (auto started = pool->start(options); !started) return std::unexpected(started.error());
  return as_handle(std::move(pool));
}

Result<ThreadPool> open_thread_per_job_pool(ThreadPoolOptions options) {
  auto pool = std::make_unique<ThreadPerJobPool>(std::move(options));
  if (auto started = pool->start(); !started) return std::unexpected(started.error());
  return as_handle(std::move(pool));
}

}  // namespace kvs
