// thread_pools.h - the pools made of plain threads: a shared queue, and a thread per job.
//
// shared queue   a fixed number of threads takes jobs in the order in which they came. For blocking
//                file work, where more threads than the disk has use for only wait.
// thread per job every job begins at once, at the cost of starting a thread. For jobs that may wait
//                for each other, and as the measure that the others are compared with.
//
// Not here: libuv's pool (protocol/uv/thread_pool.h); what a handle promises (thread_pool.h of
// protocol/async).
#pragma once

#include <functional>
#include <thread>

#include "protocol/async/result.h"
#include "protocol/async/thread_pool.h"

namespace kvs {

struct ThreadPoolOptions {
  // Of the shared queue; at least 1.
  unsigned threads = 4;
  // Starts a thread that runs the function; throws std::system_error if it cannot. Empty: a
  // std::thread. Tests replace it.
  std::function<std::thread(std::function<void()>)> start_thread;
};

// Errors: busy when a thread cannot be started (those that were are stopped again), invalid for no
// threads at all.
Result<ThreadPool> open_shared_queue_pool(ThreadPoolOptions options = {});

// The threads are started by the jobs. One is started now and waits for jobs for which no thread
// can be had later, so that spawn never fails. Errors: busy when that one cannot be started.
Result<ThreadPool> open_thread_per_job_pool(ThreadPoolOptions options = {});

}  // namespace kvs
