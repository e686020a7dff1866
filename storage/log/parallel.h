// parallel.h - runs a row of tasks on several threads that live no longer than the call.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <functional>
#include <system_error>
#include <thread>
#include <vector>

namespace kvs::log {

// Calls `run(task)` for 0 to tasks - 1, begun in this order, on the calling thread and on at most
// threads - 1 others (fewer if the system has no more), and returns when all are done.
inline void run_in_parallel(unsigned threads, std::size_t tasks,
                            const std::function<void(std::size_t task)>& run) {
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t task = next++; task < tasks; task = next++) run(task);
  };
  std::vector<std::jthread> others;
  const std::size_t wanted = std::min<std::size_t>(std::max(threads, 1U), tasks);
  for (std::size_t i = 1; i < wanted; ++i) {
    try {
      others.emplace_back(work);
    } catch (const std::system_error&) {
      break;
    }
  }
  work();
}

}  // namespace kvs::log
