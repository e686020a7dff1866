#include "protocol/uv/thread_pool.h"

#include <cassert>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>

#include "protocol/uv/handle.h"
#include "protocol/uv/loop.h"
#include "protocol/uv/pool_work.h"

namespace kvs::uv {
namespace {

// Jobs that a slot runs before it lets others have their turn in libuv's queue.
constexpr int jobs_per_turn = 16;

// The loop's side. Shared by the backend and the loop's thread, which may outlive it when the last
// handle goes inside a job.
class Dispatcher {
 public:
  explicit Dispatcher(unsigned slots) {
    wakeup_ = make_handle<uv_async_t>([this](uv_async_t* async) {
      const int refused = uv_async_init(loop_.raw(), async, [](uv_async_t* handle) {
        static_cast<Dispatcher*>(handle->data)->dispatch();
      });
      assert(refused == 0);
    });
    wakeup_->data = this;
    for (unsigned i = 0; i < slots; ++i) slots_.emplace_back(*this);
  }

  // The loop's thread: until closed, with everything done.
  void run() { loop_.run(); }

  void push(PoolJob& job) noexcept {
    const std::scoped_lock lock(mutex_);
    jobs_.push(job);
    // A slot that runs takes it in its turn.
    if (idle_slots_ > 0) uv_async_send(wakeup_.get());
  }
  bool remove(PoolJob& job) noexcept {
    const std::scoped_lock lock(mutex_);
    return jobs_.remove(job);
  }
  void close() noexcept {
    const std::scoped_lock lock(mutex_);
    closed_ = true;
    uv_async_send(wakeup_.get());
  }

  // Does the calling thread run a job of this pool?
  bool on_pool_thread() const noexcept { return running_here == this; }

 private:
  struct Slot {
    explicit Slot(Dispatcher& owner)
        : work(
              owner.loop_, [&owner] { owner.take_jobs(); }, [&owner] { owner.dispatch(); }) {}
    PoolWork work;
  };

  // Pool thread.
  void take_jobs() {
    running_here = this;
    for (int i = 0; i < jobs_per_turn; ++i) {
      PoolJob* job = nullptr;
      {
        const std::scoped_lock lock(mutex_);
        job = jobs_.pop();
      }
      if (job == nullptr) break;
      job->run();
    }
    running_here = nullptr;
  }

  // Loop thread: puts idle slots to work, or ends the loop when all is done.
  void dispatch() {
    const std::scoped_lock lock(mutex_);
    unsigned idle = 0;
    std::size_t waiting = jobs_.size();
    for (Slot& slot : slots_) {
      if (slot.work.running()) continue;
      if (waiting > 0) {
        slot.work.start();
        --waiting;
      } else {
        ++idle;
      }
    }
    idle_slots_ = idle;
    if (closed_ && idle == slots_.size()) loop_.stop();
  }

  static inline thread_local constinit const Dispatcher* running_here = nullptr;

  Loop loop_;
  std::list<Slot> slots_;  // loop thread
  HandlePtr<uv_async_t> wakeup_;
  std::mutex mutex_;  // guards what follows
  JobList jobs_;
  unsigned idle_slots_ = 1;  // as of the last dispatch; at first nobody has dispatched
  bool closed_ = false;
};

class LibuvPool final : public ThreadPool::Backend {
 public:
  explicit LibuvPool(unsigned slots) : dispatcher_(std::make_shared<Dispatcher>(slots)) {}

  Result<void> start(const LibuvPoolOptions& options) {
    // The dispatcher is destroyed by whoever has the last share, when the loop runs no more.
    const auto run = [dispatcher = dispatcher_] { dispatcher->run(); };
    try {
      thread_ = options.start_thread ? options.start_thread(run) : std::thread(run);
    } catch (const std::system_error& refused) {
      return fail(Code::busy, std::string("cannot start a thread: ") + refused.what());
    }
    return {};
  }

  ~LibuvPool() override {
    if (!thread_.joinable()) return;
    const bool inside_a_job = dispatcher_->on_pool_thread();
    dispatcher_->close();
    if (inside_a_job) {
      thread_.detach();  // it ends when this job has
    } else {
      thread_.join();
    }
  }

  void spawn(PoolJob& job) noexcept override { dispatcher_->push(job); }
  bool withdraw(PoolJob& job) noexcept override { return dispatcher_->remove(job); }

 private:
  const std::shared_ptr<Dispatcher> dispatcher_;
  std::thread thread_;
};

}  // namespace

Result<ThreadPool> open_libuv_pool(LibuvPoolOptions options) {
  if (options.slots == 0) return fail(Code::invalid, "a thread pool needs at least one slot");
  auto pool = std::make_unique<LibuvPool>(options.slots);
  if (auto started = pool->start(options); !started) return std::unexpected(started.error());
  return ThreadPool(std::shared_ptr<ThreadPool::Backend>(std::move(pool)));
}

}  // namespace kvs::uv
