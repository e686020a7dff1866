// async_engine.h - an engine behind futures: the blocking work is done on a thread pool.
//
//   AsyncEngine engine(std::move(*open_engine("kvs", {.directory = "data"})),
//                      *open_shared_queue_pool({.threads = 4}));
//   auto length = map(engine.get_op("key"), [](auto value) { return value ? value->size() : 0; });
//
// Each operation comes in the four forms of protocol/async/README.md:
//   get_op(...)      GetOperation, written by hand; for co_await and for combinators. No heap
//   get(...)         Task: one frame
//   get_future(...)  Future: one state, started at once
//
// Threads: start an operation on any thread. What can be answered from memory is complete at once
// (Reads::memory_first); all else runs on the pool and goes on there. So whoever awaits on a loop
// and wants to go on on it has to go back by itself (uv::Loop::post).
//
// Dropping: an operation that has not begun never happens. One that a pool's thread is in the
// middle of happens; destroying a GetOperation (or a Task or combinator with one inside) waits
// until that thread is done with it, dropping a Future does not.
//
// Keys and values are owned by the operation. The server does not use this: it sends batches to the
// pool, not single commands (daemon/lane.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "protocol/async/future.h"
#include "protocol/async/result.h"
#include "protocol/async/task.h"
#include "protocol/async/thread_pool.h"
#include "storage/engine.h"
#include "storage/engine_operation.h"

namespace kvs {

// Thread: any, for all members. A handle: copies name the same engine and pool, which live until
// the last copy and the last operation are gone (then the pool ends first).
class AsyncEngine {
 public:
  AsyncEngine(std::shared_ptr<Engine> engine, ThreadPool pool, Reads reads = Reads::memory_first);

  Engine& engine() const noexcept { return *core_->engine; }

  // The value of `key`, or nullopt when it is absent. Errors: as Reader::get.
  GetOperation get_op(std::string key, Database database = 0) const;
  Task<GetOperation::value_type> get(std::string key, Database database = 0) const;
  Future<GetOperation::value_type> get_future(std::string key, Database database = 0) const;

  // What is known of `key`, or nullopt when it is absent.
  FindOperation find_op(std::string key, Database database = 0) const;
  Task<FindOperation::value_type> find(std::string key, Database database = 0) const;
  Future<FindOperation::value_type> find_future(std::string key, Database database = 0) const;

  // True: stored. False: options.when did not hold, nothing has changed.
  // Errors: too_large (limits.h), invalid (a time that is not positive), as WriteSession::commit.
  SetOperation set_op(std::string key, std::string value, SetOptions options = {}) const;
  Task<SetOperation::value_type> set(std::string key, std::string value,
                                     SetOptions options = {}) const;
  Future<SetOperation::value_type> set_future(std::string key, std::string value,
                                              SetOptions options = {}) const;

  // Errors: not_found when `key` is absent; as WriteSession::commit.
  RemoveOperation remove_op(std::string key, Database database = 0) const;
  Task<RemoveOperation::value_type> remove(std::string key, Database database = 0) const;
  Future<RemoveOperation::value_type> remove_future(std::string key, Database database = 0) const;

  // A step of a scan: see Engine::scan.
  ScanOperation scan_op(std::uint64_t cursor, std::size_t count, Database database = 0) const;
  Task<ScanOperation::value_type> scan(std::uint64_t cursor, std::size_t count,
                                       Database database = 0) const;
  Future<ScanOperation::value_type> scan_future(std::uint64_t cursor, std::size_t count,
                                                Database database = 0) const;

  // `change(WriteSession&)` returns a Result<void>; after an error nothing is committed. All writes
  // of one call become visible at one instant. Yields the position that covers them.
  // `change` runs on the pool with the writer's place held: it must not wait for other operations.
  // Errors: what `change` returns, exception when it throws; as begin and commit.
  template <SessionChange F>
  WriteOperation<F> write_op(F change) const {
    return WriteOperation<F>(core_, {std::move(change)});
  }
  template <SessionChange F>
  Task<Result<Position>> write(F change) const {
    return run_as_task(write_op(std::move(change)));
  }
  template <SessionChange F>
  Future<Result<Position>> write_future(F change) const {
    return boxed(write_op(std::move(change)));
  }

  // Brings everything committed before the call to stable storage. A failure is final.
  SyncOperation sync_op() const;
  Task<SyncOperation::value_type> sync() const;
  Future<SyncOperation::value_type> sync_future() const;

 private:
  template <Operation O>
  static Task<typename O::value_type> run_as_task(O operation) {
    auto value = co_await operation;
    co_return value;
  }

  std::shared_ptr<EngineCore> core_;
};

}  // namespace kvs
