// loop.h - a libuv loop with an owner, and the one way into it from other threads: post.
//
// A Loop either has a libuv loop of its own and runs it, or stands beside one that the program has
// and runs itself: then it only adds a wake-up handle, which does not keep that loop alive.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <uv.h>

#include "protocol/uv/handle.h"

namespace kvs::uv {

class Loop {
 public:
  Loop();
  // Stands beside `program_loop`, which outlives this. Thread: the one that runs or will run it.
  explicit Loop(uv_loop_t& program_loop);
  // Posted work that has not run is destroyed, with the handles it owns.
  // A loop of its own runs until closed handles are freed; all handles must be closing or closed by
  // now. Thread: any, when nothing runs the loop any more. Beside a program's loop: on its thread,
  // and that loop must go round once more to free the handles.
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  uv_loop_t* raw() noexcept { return loop_; }

  // Runs until stop(). The calling thread becomes the loop's thread. Not beside a program's loop.
  void run();
  // Handles what is ready now, without waiting; as run() otherwise.
  void run_ready();
  // Makes run() return after the current iteration. Thread: the loop's.
  void stop() noexcept { uv_stop(loop_); }

  // True on the thread that runs the loop, and on any thread while nobody runs it yet.
  bool on_this_thread() const noexcept {
    const std::thread::id running = thread_.load(std::memory_order_relaxed);
    return running == std::thread::id() || running == std::this_thread::get_id();
  }

  // Runs `work` on the loop's thread, in the order of the calls. Any thread. Work that is posted
  // after the last iteration is dropped with the loop.
  void post(std::move_only_function<void()> work);

 private:
  void start_wakeup();
  void run(uv_run_mode mode);
  void run_posted();

  std::unique_ptr<uv_loop_t> own_;  // null beside a program's loop
  uv_loop_t* const loop_;
  std::atomic<std::thread::id> thread_;
  HandlePtr<uv_async_t> wakeup_;  // thread-safe by libuv
  std::mutex mutex_;
  std::vector<std::move_only_function<void()>> posted_;  // guarded by mutex_
};

}  // namespace kvs::uv
