#include "protocol/uv/loop.h"

#include <cassert>
#include <utility>

namespace kvs::uv {

Loop::Loop() : own_(std::make_unique<uv_loop_t>()), loop_(own_.get()) {
  const int failed = uv_loop_init(loop_);
  assert(failed == 0);  // fails only without memory or descriptors, before anything was promised
  start_wakeup();
}

Loop::Loop(uv_loop_t& program_loop) : loop_(&program_loop), thread_(std::this_thread::get_id()) {
  start_wakeup();
  uv_unref(reinterpret_cast<uv_handle_t*>(wakeup_.get()));
}

void Loop::start_wakeup() {
  wakeup_ = make_handle<uv_async_t>([this](uv_async_t* async) {
    const int refused = uv_async_init(
        loop_, async, [](uv_async_t* handle) { static_cast<Loop*>(handle->data)->run_posted(); });
    assert(refused == 0);
  });
  wakeup_->data = this;
}

Loop::~Loop() {
  // Outside the lock, and repeated: what is destroyed may post once more.
  for (;;) {
    std::vector<std::move_only_function<void()>> dropped;
    {
      const std::scoped_lock lock(mutex_);
      dropped.swap(posted_);
    }
    if (dropped.empty()) break;
  }
  wakeup_.reset();
  if (!own_) return;
  uv_run(loop_, UV_RUN_DEFAULT);
  const int open_handles = uv_loop_close(loop_);
  assert(open_handles == 0);
}

void Loop::run() {
  run(UV_RUN_DEFAULT);
}

void Loop::run_ready() {
  run(UV_RUN_NOWAIT);
}

void Loop::run(uv_run_mode mode) {
  assert(own_);
  thread_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  uv_run(loop_, mode);
  thread_.store(std::thread::id(), std::memory_order_relaxed);
}

void Loop::post(std::move_only_function<void()> work) {
  bool first = false;
  {
    const std::scoped_lock lock(mutex_);
    first = posted_.empty();
    posted_.push_back(std::move(work));
  }
  if (first) uv_async_send(wakeup_.get());
}

void Loop::run_posted() {
  std::vector<std::move_only_function<void()>> now;
  {
    const std::scoped_lock lock(mutex_);
    now.swap(posted_);
  }
  for (auto& work : now) work();
}

}  // namespace kvs::uv
