// thread_pool.h - threads for work that blocks, behind one handle.
//
// `ThreadPool` is a handle: copies name the same pool, and when the last one is gone every job has
// been run and every thread has stopped. That holds when the last handle goes inside a job as well:
// the thread that runs it stops right after the job, all others before.
//
// What runs the jobs is a Backend: a shared queue or a thread per job (storage/thread_pool), or
// libuv's pool (protocol/uv/thread_pool.h). A job that is an object of the caller's (PoolJob) costs
// no heap: it is linked into the queue itself.
#pragma once

#include <atomic>
#include <cassert>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

namespace kvs {

class JobList;

// A job that the caller owns; it stays where it is from `spawn` until `run` has begun or it was
// withdrawn. The pool does not touch it after `run` has been entered: it may destroy itself there.
class PoolJob {
 public:
  PoolJob() = default;
  PoolJob(const PoolJob&) = delete;
  PoolJob& operator=(const PoolJob&) = delete;

  virtual ~PoolJob() = default;

  virtual void run() noexcept = 0;

 private:
  friend JobList;
  PoolJob* earlier_ = nullptr;
  PoolJob* later_ = nullptr;
  bool queued_ = false;
};

// First in, first out. Not locked: whoever has one guards it.
class JobList {
 public:
  bool empty() const noexcept { return first_ == nullptr; }
  std::size_t size() const noexcept { return size_; }
  void push(PoolJob& job) noexcept {
    assert(!job.queued_);
    job.queued_ = true;
    job.earlier_ = last_;
    job.later_ = nullptr;
    (last_ == nullptr ? first_ : last_->later_) = &job;
    last_ = &job;
    ++size_;
  }
  // Null when empty.
  PoolJob* pop() noexcept {
    PoolJob* const job = first_;
    if (job != nullptr) remove(*job);
    return job;
  }
  // False: not in the list (any more).
  bool remove(PoolJob& job) noexcept {
    if (!job.queued_) return false;
    (job.earlier_ == nullptr ? first_ : job.earlier_->later_) = job.later_;
    (job.later_ == nullptr ? last_ : job.later_->earlier_) = job.earlier_;
    job.queued_ = false;
    --size_;
    return true;
  }

 private:
  PoolJob* first_ = nullptr;
  PoolJob* last_ = nullptr;
  std::size_t size_ = 0;
};

// Thread: any, for all members, in jobs too.
class ThreadPool {
 public:
  // Its destructor runs what is queued and stops the threads.
  class Backend {
   public:
    virtual ~Backend() = default;
    Backend(const Backend&) = delete;
    Backend& operator=(const Backend&) = delete;

    virtual void spawn(PoolJob& job) noexcept = 0;
    virtual bool withdraw(PoolJob& job) noexcept = 0;

    std::atomic<std::uint64_t> exceptions{0};

   protected:
    Backend() = default;
  };

  explicit ThreadPool(std::shared_ptr<Backend> backend) : backend_(std::move(backend)) {}

  // `job.run()` will be called once, on a thread of the pool. Never fails.
  void spawn(PoolJob& job) const noexcept { backend_->spawn(job); }

  // The same for any function; one allocation. What it throws ends with it and is counted.
  template <std::invocable F>
  void spawn(F function) const;

  // Takes back a job that has not begun. False: it has begun, or is over. Never blocks for long.
  bool withdraw(PoolJob& job) const noexcept { return backend_->withdraw(job); }

  // How many functions have ended with an exception.
  std::uint64_t exceptions() const noexcept { return backend_->exceptions.load(); }

  // Do both name the same pool?
  bool operator==(const ThreadPool&) const = default;

 private:
  std::shared_ptr<Backend> backend_;
};

namespace detail {

// Owns itself from spawn to the end of run.
template <class F>
class FunctionJob final : public PoolJob {
 public:
  // `backend` runs all its jobs before it is gone.
  FunctionJob(ThreadPool::Backend& backend, F function)
      : backend_(backend), function_(std::move(function)) {}
  void keep(std::unique_ptr<FunctionJob> self) noexcept { self_ = std::move(self); }

  void run() noexcept override {
    const std::unique_ptr<FunctionJob> freed_at_the_end = std::move(self_);
    try {
      std::invoke(function_);
    } catch (...) {
      backend_.exceptions.fetch_add(1);
    }
  }

 private:
  ThreadPool::Backend& backend_;
  F function_;
  std::unique_ptr<FunctionJob> self_;
};

}  // namespace detail

template <std::invocable F>
void ThreadPool::spawn(F function) const {
  auto job = std::make_unique<detail::FunctionJob<F>>(*backend_, std::move(function));
  detail::FunctionJob<F>& spawned = *job;
  spawned.keep(std::move(job));
  backend_->spawn(spawned);
}

}  // namespace kvs
