// loop.h - a libuv loop with an owner, and the one way into it from other threads: post.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include <uv.h>

#include "protocol/uv/handle.h"

namespace kvs::uv {

class Loop {
 public:
  Loop();
  // Runs the loop until closed handles are freed. All handles must be closing or closed by now.
  // Thread: any, when nothing runs the loop any more.
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  uv_loop_t* raw() noexcept { return &loop_; }

  // Runs until stop(). The calling thread becomes the loop's thread.
  void run();
  // Makes run() return after the current iteration. Thread: the loop's.
  void stop() noexcept { uv_stop(&loop_); }

  // True on the thread that runs the loop, and on any thread while nobody runs it yet.
  bool on_this_thread() const noexcept {
    const std::thread::id running = thread_.load(std::memory_order_relaxed);
    return running == std::thread::id() || running == std::this_thread::get_id();
  }

  // Runs `work` on the loop's thread, in the order of the calls. Any thread. Work that is posted
  // after the last iteration is dropped with the loop.
  void post(std::move_only_function<void()> work);

 private:
  void run_posted();

  uv_loop_t loop_;
  std::atomic<std::thread::id> thread_;
  HandlePtr<uv_async_t> wakeup_;  // thread-safe by libuv
  std::mutex mutex_;
  std::vector<std::move_only_function<void()>> posted_;  // guarded by mutex_
};

}  // namespace kvs::uv
