// lane.h - how a loop's requests get to the pool: gathered while the previous job runs, then sent
// as one.
//
// A hop to the pool costs more than a command, so it must carry many. A loop has two lanes: one for
// ordinary requests, whose batch is everything that its connections have gathered, and one for
// commands that may look at every key (KEYS), which go one at a time and delay nobody else.
//
// A batch that nobody can be answered from before a sync (`--sync always`) makes it in its own job.
// Meanwhile whoever must wait for a sync too gathers; whoever need not goes in a second job.
#pragma once

#include <atomic>
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
  Lane(uv::Loop& loop, Services& services, SyncTurn& turn, WorkerMetrics& metrics,
       std::size_t entries_max);

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
  // What rides in one job. There are two, so that who need not wait for a sync can be under way
  // while the other, whose commands have run, makes one; no two run commands at a time.
  struct Batch {
    explicit Batch(Lane& lane);

    std::vector<Done*> riders;  // with `entries`: the pool's while the job runs
    std::vector<BatchEntry*> entries;
    uv::PoolWork work;
  };

  void gather(Done& done);
  Batch* free_batch();  // null: a later launch() will find one
  bool waits_for_more();
  void start(Batch& batch);
  void run(const Batch& batch);  // pool thread
  void finished(Batch& batch);   // loop thread
  void let_next_go();            // pool thread

  Services& services_;
  SyncTurn& turn_;
  WorkerMetrics& metrics_;
  uv::Loop& loop_;
  const std::size_t entries_max_;
  std::vector<Done*> gathering_;
  std::size_t gathered_requests_ = 0;
  bool gathered_unbound_ = false;  // some of it may be answered without a sync
  std::size_t behind_sync_ = 0;    // how many of it are counted as waiting for one
  Batch first_{*this};
  Batch second_{*this};
  std::atomic<bool> running_{false};  // a batch's commands
  std::atomic<bool> held_up_{false};  // launch() has met that, and is to be called when it is over

  Patience patience_;
  uv::MicroTimer patience_ends_;
  bool waiting_ = false;  // the timer runs
};

}  // namespace kvs::daemon
