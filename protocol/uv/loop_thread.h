// loop_thread.h - a loop that runs on a thread of its own, for programs that have none.
#pragma once

#include <memory>
#include <thread>

#include "protocol/async/result.h"
#include "protocol/uv/loop.h"

namespace kvs::uv {

class LoopThread {
 public:
  // Errors: Code::io when the system gives no thread.
  static Result<std::unique_ptr<LoopThread>> start();

  // Stops the loop after everything that was posted before, and joins. Thread: any but the loop's.
  // Whatever has handles on the loop must have closed them, from the loop's thread, by then.
  ~LoopThread();
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;

  Loop& loop() noexcept { return loop_; }

  LoopThread() = default;  // for start()

 private:
  Loop loop_;
  std::thread thread_;
};

}  // namespace kvs::uv
