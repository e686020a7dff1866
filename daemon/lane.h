// lane.h - how a loop's requests get to the pool: gathered while the previous job runs, then sent
// as one.
//
// A hop to the pool costs more than a command, so it must carry many. A loop has two lanes: one for
// ordinary requests, whose batch is everything that its connections have gathered, and one for
// commands that may look at every key (KEYS), which go one at a time and delay nobody else.
#pragma once

#include <coroutine>
#include <cstddef>
#include <vector>

#include "daemon/context.h"
#include "daemon/executor.h"
#include "daemon/patience.h"
#include "protocol/uv/loop.h"
#include "protocol/uv/micro_timer.h"
#include "protocol/uv/pool_work.h"

namespace kvs::daemon {

// Thread: the loop's.
class Lane {
 public:
  // At most `entries_max` connections ride in one job.
  Lane(uv::Loop& loop, Services& services, WorkerMetrics& metrics, std::size_t entries_max);

  // Puts `entry` into the next batch and resumes on the loop's thread when it has run. `entry` and
  // what it points to belong to the pool until then.
  class Done {
   public:
    Done(Lane& lane, BatchEntry& entry) : lane_(lane), entry_(entry) {}
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiter) {
      waiter_ = waiter;
      lane_.gather(*this);
    }
    void await_resume() const noexcept {}

   private:
    friend class Lane;
    Lane& lane_;
    BatchEntry& entry_;
    std::coroutine_handle<> waiter_;
  };

  // Sends what has been gathered, if nothing is in flight and it need not wait for more. Called at
  // the end of each iteration.
  void launch();

 private:
  void gather(Done& done);
  bool waits_for_more();
  void start();
  void run();       // pool thread
  void finished();  // loop thread

  Services& services_;
  WorkerMetrics& metrics_;
  uv::Loop& loop_;
  const std::size_t entries_max_;
  std::vector<Done*> gathering_;
  std::size_t gathered_requests_ = 0;
  std::vector<Done*> in_flight_;  // with entries_: the pool's while work_ runs
  std::vector<BatchEntry*> entries_;
  uv::PoolWork work_;

  Patience patience_;
  uv::MicroTimer patience_ends_;
  bool waiting_ = false;  // the timer runs
};

}  // namespace kvs::daemon
