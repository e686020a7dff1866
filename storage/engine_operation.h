// engine_operation.h - the operations of AsyncEngine: futures written by hand.
//
// One class has the state machine (not started, queued or running on the pool, complete); what is
// done to the engine is its `Work`: `run(engine)` may block, `now(engine)`, if there is one, may
// not and answers from memory. The operation is itself the pool's job, so that none of this
// allocates.
#pragma once

#include <cassert>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "protocol/async/call.h"
#include "protocol/async/completion_slot.h"
#include "protocol/async/operation.h"
#include "protocol/async/thread_pool.h"
#include "storage/engine.h"

namespace kvs {

// Where do reads begin?
enum class Reads : std::uint8_t {
  memory_first,  // on the calling thread; on the pool only if the value is not in memory
  pool_only,
};

// What the handles and operations of one AsyncEngine share.
struct EngineCore {
  EngineCore(std::shared_ptr<Engine> the_engine, ThreadPool the_pool, Reads the_reads)
      : engine(std::move(the_engine)), reads(the_reads), pool(std::move(the_pool)) {}

  const std::shared_ptr<Engine> engine;
  std::mutex syncing;  // Engine::sync is for one thread at a time
  const Reads reads;
  const ThreadPool pool;  // destroyed before the engine that its jobs use
};

template <class Work>
class [[nodiscard]] EngineOperation final : PoolJob {
 public:
  using value_type = typename Work::value_type;

  EngineOperation(std::shared_ptr<EngineCore> core, Work work)
      : core_(std::move(core)), work_(std::move(work)) {}
  EngineOperation(EngineOperation&& other) noexcept
      : core_(std::move(other.core_)), work_(std::move(other.work_)) {
    assert(!other.on_pool_);
  }
  EngineOperation& operator=(EngineOperation&&) = delete;
  ~EngineOperation() {
    if (!on_pool_ || slot_.was_fired() || core_->pool.withdraw(*this)) return;
    slot_.drain();
  }

  bool start(Completion& done) {
    if constexpr (requires(Work work, Engine & engine) { work.now(engine); }) {
      if (core_->reads == Reads::memory_first) {
        value_ = work_.now(*core_->engine);
        if (value_) return true;
      }
    }
    // The operation, and with it the pool's last handle, may be gone before spawn has returned.
    const std::shared_ptr<EngineCore> core = core_;
    on_pool_ = true;
    slot_.arm(done);
    core->pool.spawn(*this);
    return false;
  }
  value_type take() {
    assert(value_);
    return std::move(*value_);
  }
  bool cancel() noexcept {
    if (!core_->pool.withdraw(*this)) return false;
    on_pool_ = false;
    return true;
  }
  auto operator co_await() noexcept { return OperationAwaiter<EngineOperation>(*this); }

 private:
  void run() noexcept override {
    value_.emplace(work_.run(*core_));
    slot_.fire();
  }

  std::shared_ptr<EngineCore> core_;
  Work work_;
  std::optional<value_type> value_;
  CompletionSlot slot_;
  bool on_pool_ = false;
};

struct SetOptions {
  enum class When : std::uint8_t { always, absent, present };

  When when = When::always;
  std::optional<std::chrono::milliseconds> expire_after;  // none: the key stays
  Database database = 0;
};

struct ScanStep {
  std::uint64_t cursor = 0;  // to go on from; 0: the end
  std::vector<std::string> keys;
};

// A function that may be given to AsyncEngine::write.
template <class F>
concept SessionChange = std::move_constructible<F> && requires(F change, WriteSession& session) {
  { change(session) } -> std::same_as<Result<void>>;
};

namespace detail {

struct GetWork {
  using value_type = Result<std::optional<std::string>>;
  std::string key;
  Database database;

  std::optional<value_type> now(Engine& engine) const;
  value_type run(EngineCore& core) const;
};

struct FindWork {
  using value_type = Result<std::optional<KeyInfo>>;
  std::string key;
  Database database;

  std::optional<value_type> now(Engine& engine) const;
  value_type run(EngineCore& core) const;
};

struct SetWork {
  using value_type = Result<bool>;
  std::string key;
  std::string value;
  SetOptions options;

  value_type run(EngineCore& core) const;
};

struct RemoveWork {
  using value_type = Result<void>;
  std::string key;
  Database database;

  value_type run(EngineCore& core) const;
};

struct ScanWork {
  using value_type = Result<ScanStep>;
  std::uint64_t cursor;
  std::size_t count;
  Database database;

  value_type run(EngineCore& core) const;
};

template <SessionChange F>
struct WriteWork {
  using value_type = Result<Position>;
  F change;

  value_type run(EngineCore& core) {
    auto session = core.engine->begin();
    if (!session) return std::unexpected(session.error());
    (*session)->publish_together();
    if (auto changed = call_for_result(change, **session); !changed) {
      return std::unexpected(changed.error());
    }
    return (*session)->commit();
  }
};

struct SyncWork {
  using value_type = Result<Position>;

  value_type run(EngineCore& core) const;
};

}  // namespace detail

using GetOperation = EngineOperation<detail::GetWork>;
using FindOperation = EngineOperation<detail::FindWork>;
using SetOperation = EngineOperation<detail::SetWork>;
using RemoveOperation = EngineOperation<detail::RemoveWork>;
using ScanOperation = EngineOperation<detail::ScanWork>;
template <SessionChange F>
using WriteOperation = EngineOperation<detail::WriteWork<F>>;
using SyncOperation = EngineOperation<detail::SyncWork>;

}  // namespace kvs
