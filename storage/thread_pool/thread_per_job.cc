#include "storage/thread_pool/thread_per_job.h"

#include <map>
#include <mutex>
#include <thread>
#include <utility>

namespace kvs {

struct ThreadPerJobPool::Threads {
  std::mutex mutex;
  std::map<std::thread::id, std::thread> running;  // guarded by mutex, as is
  std::thread ended;                               // to be joined by the next that ends

  // The calling thread's last act.
  void leave() {
    std::thread before;
    {
      const std::scoped_lock lock(mutex);
      const auto self = running.find(std::this_thread::get_id());
      if (self == running.end()) return;  // the pool is gone or going, and joins this thread
      before = std::exchange(ended, std::move(self->second));
      running.erase(self);
    }
    if (before.joinable()) before.join();
  }
};

ThreadPerJobPool::ThreadPerJobPool(ThreadPoolOptions options)
    : options_(std::move(options)), threads_(std::make_shared<Threads>()) {}

Result<void> ThreadPerJobPool::start() {
  ThreadPoolOptions one = options_;
  one.threads = 1;
  return reserve_.start(one);
}

ThreadPerJobPool::~ThreadPerJobPool() {
  std::map<std::thread::id, std::thread> running;
  std::thread ended;
  {
    const std::scoped_lock lock(threads_->mutex);
    running.swap(threads_->running);
    ended.swap(threads_->ended);
  }
  for (auto& [id, thread] : running) join_or_release(thread);
  if (ended.joinable()) join_or_release(ended);
}

void ThreadPerJobPool::spawn(PoolJob& job) noexcept {
  {
    // Held while the thread starts: it must find itself in `running` when it ends.
    const std::scoped_lock lock(threads_->mutex);
    auto thread = start_thread(options_, [threads = threads_, &job] {
      job.run();
      threads->leave();
    });
    if (thread) {
      const std::thread::id id = thread->get_id();
      threads_->running.emplace(id, std::move(*thread));
      return;
    }
  }
  reserve_.spawn(job);
}

}  // namespace kvs
