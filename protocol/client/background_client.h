// background_client.h - the client for programs without a loop: one runs on a thread of its own.
//
//   Result<std::unique_ptr<BackgroundClient>> client = BackgroundClient::connect(address);
//   auto value = (*client)->get_future("k");   // from any thread
//   ... value.get()
//
// Every call is handed to the loop's thread and gives a boxed Future, which any thread may wait for
// or drop. A coroutine that awaits one goes on on the loop's thread: it must not block there.
//
// For a dependent sequence of commands, `run` executes a coroutine next to the connection, which
// spares the hop between the threads for each of them.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/async/future.h"
#include "protocol/async/result.h"
#include "protocol/async/task.h"
#include "protocol/client/address.h"
#include "protocol/client/client.h"
#include "protocol/client/commands.h"
#include "protocol/client/options.h"
#include "protocol/uv/loop_thread.h"

namespace kvs::client {

// Thread: any, also many at once; destroy it on any but the loop's, when no call is under way.
// Results and errors: as Client's. Words are copied before a call returns.
class BackgroundClient {
 public:
  template <class T>
  using Later = Future<Result<T>>;
  using Strings = std::span<const std::string_view>;

  // Starts the thread and blocks until the connection is there, or is not.
  // Errors: as Client::connect, and Code::io when there is no thread to be had.
  static Result<std::unique_ptr<BackgroundClient>> connect(const SocketAddress& address,
                                                           ConnectOptions options = {});
  // Starts the thread and returns; as Client::open.
  static Result<std::unique_ptr<BackgroundClient>> open(const SocketAddress& address,
                                                        ConnectOptions options = {});

  // Futures that have no value yet get one: Code::cancelled, or Code::unreachable for what was not
  // sent. Returns when the thread has ended.
  ~BackgroundClient();
  BackgroundClient(const BackgroundClient&) = delete;
  BackgroundClient& operator=(const BackgroundClient&) = delete;

  Later<std::optional<std::string>> get_future(std::string_view key) {
    return start(commands::Get{key});
  }
  Later<bool> set_future(std::string_view key, std::string_view value, SetOptions options = {}) {
    return start(commands::Set{key, value, options});
  }
  Later<std::optional<std::string>> get_and_set_future(std::string_view key, std::string_view value,
                                                       SetOptions options = {}) {
    return start(commands::GetAndSet{key, value, options});
  }
  Later<void> remove_future(std::string_view key) { return start(commands::Remove{key}); }
  Later<bool> exists_future(std::string_view key) { return start(commands::Exists{key}); }
  Later<bool> expire_future(std::string_view key, std::chrono::milliseconds after) {
    return start(commands::Expire{key, after});
  }
  Later<std::optional<std::chrono::milliseconds>> time_to_live_future(std::string_view key) {
    return start(commands::TimeToLive{key});
  }
  Later<std::int64_t> increment_future(std::string_view key, std::int64_t by = 1) {
    return start(commands::Increment{key, by});
  }
  Later<std::vector<std::optional<std::string>>> get_many_future(Strings keys) {
    return start(commands::GetMany{keys});
  }
  Later<void> set_many_future(std::span<const KeyValue> pairs) {
    return start(commands::SetMany{pairs});
  }
  Later<ScanPage> scan_future(std::uint64_t cursor, ScanOptions options = {}) {
    return start(commands::Scan{cursor, options});
  }
  Later<Reply> command_future(Strings words) { return start(commands::Any{words}); }

  // Calls `work(client)` on the loop's thread and gives the value of the Task that it returns.
  // `work` lives until that task has ended. It must not block, nor keep the Client; it should end
  // when the client is closed, as everything does that waits for commands only.
  template <class Work>
  auto run(Work work) -> Future<typename std::invoke_result_t<Work&, Client&>::value_type> {
    using Value = typename std::invoke_result_t<Work&, Client&>::value_type;
    Promise<Value> promise;
    Future<Value> future = promise.future();
    thread_->loop().post([this, work = std::move(work), promise = std::move(promise)]() mutable {
      run_work(*client_, std::move(work), std::move(promise));
    });
    return future;
  }

  // For connect() and open().
  explicit BackgroundClient(std::unique_ptr<uv::LoopThread> thread) : thread_(std::move(thread)) {}

 private:
  template <class Command>
  Later<typename Command::Value> start(const Command& command) {
    Promise<Result<typename Command::Value>> promise;
    auto future = promise.future();
    thread_->loop().post([this, encoded = commands::Encoded<Command>(command),
                          promise = std::move(promise)]() mutable {
      if (promise.abandoned()) return;  // dropped before it was sent
      forward(detail::run_command(client_->session(), std::move(encoded)), std::move(promise));
    });
    return future;
  }

  template <class Value>
  static kvs::detail::Detached forward(Task<Value> task, Promise<Value> promise) {
    Value value = co_await std::move(task);
    promise.set(std::move(value));
  }
  template <class Work, class Value>
  static kvs::detail::Detached run_work(Client& client, Work work, Promise<Value> promise) {
    auto task = work(client);
    Value value = co_await std::move(task);
    promise.set(std::move(value));
  }

  std::unique_ptr<uv::LoopThread> thread_;
  std::optional<Client> client_;  // loop's thread's, as long as there is one
};

}  // namespace kvs::client
