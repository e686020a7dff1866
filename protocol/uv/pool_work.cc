#include "protocol/uv/pool_work.h"

#include <cassert>
#include <utility>

namespace kvs::uv {

PoolWork::PoolWork(Loop& loop, std::function<void()> run, std::function<void()> done)
    : loop_(loop), run_(std::move(run)), done_(std::move(done)) {
  request_.data = this;
}

PoolWork::~PoolWork() {
  assert(!running_);
}

void PoolWork::start() {
  assert(loop_.on_this_thread());
  assert(!running_);
  running_ = true;
  const int failed = uv_queue_work(
      loop_.raw(), &request_,
      [](uv_work_t* request) { static_cast<PoolWork*>(request->data)->run_(); },
      [](uv_work_t* request, int /*never cancelled*/) {
        auto* self = static_cast<PoolWork*>(request->data);
        self->running_ = false;
        self->done_();
      });
  assert(failed == 0);  // only for a null callback
}

}  // namespace kvs::uv
