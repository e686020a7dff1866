// thread_pool.h - libuv's pool as a kvs::ThreadPool.
//
// libuv takes work on a loop's thread only, and one pool serves the whole process (its size is
// UV_THREADPOOL_SIZE, 4 if not set, fixed by its first use). So the handle brings a loop of its own
// on a thread of its own, and at most `slots` pieces of work (PoolWork) are in libuv's queue at a
// time: each takes jobs from the pool's own queue, some in a row, then goes back to the end of
// libuv's, behind the work of others.
//
// When the last handle is gone the jobs are done and the loop's thread has stopped; libuv's threads
// belong to the process and stay.
#pragma once

#include <functional>
#include <thread>

#include "protocol/async/result.h"
#include "protocol/async/thread_pool.h"

namespace kvs::uv {

struct LibuvPoolOptions {
  // Jobs that run at the same time, at least 1; more than libuv has threads is of no use.
  unsigned slots = 4;
  // As in ThreadPoolOptions (storage/thread_pool/thread_pools.h).
  std::function<std::thread(std::function<void()>)> start_thread;
};

// Errors: busy when the loop's thread cannot be started, invalid for no slots.
Result<ThreadPool> open_libuv_pool(LibuvPoolOptions options = {});

}  // namespace kvs::uv
