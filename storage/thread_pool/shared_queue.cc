#include "storage/thread_pool/shared_queue.h"

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>

namespace kvs {

struct SharedQueuePool::Queue {
  std::mutex mutex;
  std::condition_variable changed;
  JobList jobs;         // guarded by mutex, as is
  bool closed = false;  // no more jobs will come
};

SharedQueuePool::SharedQueuePool() : queue_(std::make_shared<Queue>()) {}

Result<void> SharedQueuePool::start(const ThreadPoolOptions& options) {
  if (options.threads == 0) return fail(Code::invalid, "a thread pool needs at least one thread");
  threads_.reserve(options.threads);
  for (unsigned i = 0; i < options.threads; ++i) {
    auto thread = start_thread(options, [queue = queue_] { serve(*queue); });
    if (!thread) return std::unexpected(thread.error());
    threads_.push_back(std::move(*thread));
  }
  return {};
}

SharedQueuePool::~SharedQueuePool() {
  {
    const std::scoped_lock lock(queue_->mutex);
    queue_->closed = true;
  }
  queue_->changed.notify_all();
  for (std::thread& thread : threads_) join_or_release(thread);
}

void SharedQueuePool::spawn(PoolJob& job) noexcept {
  {
    const std::scoped_lock lock(queue_->mutex);
    queue_->jobs.push(job);
  }
  queue_->changed.notify_one();
}

bool SharedQueuePool::withdraw(PoolJob& job) noexcept {
  const std::scoped_lock lock(queue_->mutex);
  return queue_->jobs.remove(job);
}

// One thread's life: until the queue is closed and empty.
void SharedQueuePool::serve(Queue& queue) {
  std::unique_lock lock(queue.mutex);
  for (;;) {
    queue.changed.wait(lock, [&queue] { return !queue.jobs.empty() || queue.closed; });
    PoolJob* const job = queue.jobs.pop();
    if (job == nullptr) return;
    lock.unlock();
    job->run();
    lock.lock();
  }
}

void join_or_release(std::thread& thread) noexcept {
  if (thread.get_id() == std::this_thread::get_id()) {
    // It owns a share of all that it still touches.
    thread.detach();
  } else {
    thread.join();
  }
}

Result<std::thread> start_thread(const ThreadPoolOptions& options, std::function<void()> run) {
  try {
    if (options.start_thread) return options.start_thread(std::move(run));
    return std::thread(std::move(run));
  } catch (const std::system_error& refused) {
    return fail(Code::busy, std::string("cannot start a thread: ") + refused.what());
  }
}

}  // namespace kvs
