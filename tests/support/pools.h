// pools.h - every kind of thread pool, for tests that run on each.
#pragma once

#include <array>
#include <functional>
#include <string_view>
#include <thread>
#include <utility>

#include "protocol/async/thread_pool.h"
#include "protocol/uv/thread_pool.h"
#include "storage/thread_pool/thread_pools.h"

namespace kvs::test {

using StartThread = std::function<std::thread(std::function<void()>)>;

struct PoolKind {
  std::string_view name;
  // `threads`: that run jobs at the same time, where the pool has a number.
  Result<ThreadPool> (*open)(unsigned threads, StartThread start_thread);
};

inline constexpr std::array<PoolKind, 3> pool_kinds{{
    {"shared_queue",
     [](unsigned threads, StartThread start) {
       return open_shared_queue_pool({.threads = threads, .start_thread = std::move(start)});
     }},
    {"thread_per_job",
     [](unsigned threads, StartThread start) {
       return open_thread_per_job_pool({.threads = threads, .start_thread = std::move(start)});
     }},
    {"libuv",
     [](unsigned threads, StartThread start) {
       return uv::open_libuv_pool({.slots = threads, .start_thread = std::move(start)});
     }},
}};

// A pool that must open.
inline ThreadPool open_pool(const PoolKind& kind, unsigned threads = 4) {
  return std::move(*kind.open(threads, {}));
}

}  // namespace kvs::test
