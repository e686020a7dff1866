// client.h - the native client: a connection to kvs (or any RESP2 server), in all four forms.
//
//   form                     example                                        resumes on, costs
//   coroutine                auto getting = client.get("k");                the loop's thread; a
//   frame
//                            Result<...> value = co_await std::move(getting);
//   written by hand          auto getting = client.get_op(key);             the same; no heap
//                            Result<...> value = co_await getting;
//   combinators              auto size = map(client.get_op(key), length);   the same; no heap
//   boxed                    auto future = client.get_future("k");          any thread may wait;
//   one
//                            ... future.get()                               state on the heap
//
// A task or operation sends its command when it is awaited or started, a future at once. Commands
// that are under way at the same time are in flight together on the one connection, leave in one
// write per loop iteration, and are answered in the order in which they were started.
//
// Keys and values are any bytes. What an error says about the command: errors.h. When the
// connection ends, commands in flight end with an error; later ones are refused with
// Code::unreachable, or wait for the next connection if options.reconnect says that there is one.
//
// Dropping: safe at any time, on the loop's thread (a future: on any); a command that was sent is
// executed all the same and its reply is thrown away. A loop that is destroyed while commands are
// in flight answers none of them.
//
// Nothing here raises SIGPIPE. A function given to a combinator that throws gives Code::exception;
// an exception that leaves a coroutine ends the process (protocol/async/README.md).
//
// Not here: programs without a loop (background_client.h), blocking calls (sync_client.h), pools of
// connections (pool.h), publish/subscribe (subscription.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/async/future.h"
#include "protocol/async/result.h"
#include "protocol/async/task.h"
#include "protocol/client/address.h"
#include "protocol/client/commands.h"
#include "protocol/client/operation.h"
#include "protocol/client/options.h"
#include "protocol/client/pipeline.h"
#include "protocol/client/reply.h"
#include "protocol/client/session.h"
#include "protocol/uv/loop.h"

namespace kvs::client {
namespace detail {

// Owns all it needs: a Client may move or end while it waits.
template <class Command>
Task<Result<typename Command::Value>> run_command(std::shared_ptr<Session> session,
                                                  commands::Encoded<Command> command) {
  CommandOperation<commands::Encoded<Command>> operation(std::move(session), std::move(command));
  co_return co_await operation;
}

}  // namespace detail

// Thread: all members, and every task and operation, on the loop's. A Client is moved, not copied;
// the last one closes the connection, and commands that are still in flight end with
// Code::cancelled when the loop runs next.
class Client {
 public:
  template <class T>
  using Answer = Task<Result<T>>;
  template <class T>
  using Later = Future<Result<T>>;
  using Strings = std::span<const std::string_view>;

  // Errors: Code::unreachable when nobody accepts at `address` within options.connect_timeout,
  //         Code::server when the server refuses the password, database or name,
  //         Code::invalid when a TLS file cannot be used.
  // Lifetime: `loop` outlives the Client.
  static Task<Result<Client>> connect(uv::Loop& loop, SocketAddress address,
                                      ConnectOptions options = {});
  // Begins to connect and returns at once: commands wait as options.wait_while_down says. Without
  // options.reconnect a first attempt that fails is the last.
  static Client open(uv::Loop& loop, const SocketAddress& address, ConnectOptions options = {});

  Client(Client&&) noexcept = default;
  Client& operator=(Client&& other) noexcept;
  ~Client();

  // What the destructor does, for a Client that others still look at: every command is refused.
  void close() { session_->close(); }

  bool connected() const noexcept { return session_->connected(); }
  // Neither connected nor ever again: make a new one.
  bool ended() const noexcept { return session_->closed(); }
  // Commands whose replies are due.
  std::size_t in_flight() const noexcept { return session_->in_flight(); }

  // The value of `key`, or nullopt when it is absent.
  Answer<std::optional<std::string>> get(std::string_view key) { return task(commands::Get{key}); }
  GetOperation get_op(std::string_view key) { return op(commands::Get{key}); }
  Later<std::optional<std::string>> get_future(std::string_view key) { return boxed(get_op(key)); }

  // True: stored. False: options.when did not hold, nothing has changed.
  Answer<bool> set(std::string_view key, std::string_view value, SetOptions options = {}) {
    return task(commands::Set{key, value, options});
  }
  SetOperation set_op(std::string_view key, std::string_view value, SetOptions options = {}) {
    return op(commands::Set{key, value, options});
  }
  Later<bool> set_future(std::string_view key, std::string_view value, SetOptions options = {}) {
    return boxed(set_op(key, value, options));
  }

  // As set, but the value is what was there before (SET ... GET), nullopt for nothing.
  Answer<std::optional<std::string>> get_and_set(std::string_view key, std::string_view value,
                                                 SetOptions options = {}) {
    return task(commands::GetAndSet{key, value, options});
  }
  GetAndSetOperation get_and_set_op(std::string_view key, std::string_view value,
                                    SetOptions options = {}) {
    return op(commands::GetAndSet{key, value, options});
  }
  Later<std::optional<std::string>> get_and_set_future(std::string_view key, std::string_view value,
                                                       SetOptions options = {}) {
    return boxed(get_and_set_op(key, value, options));
  }

  // Errors: Code::not_found ("Key not found") when `key` is absent.
  Answer<void> remove(std::string_view key) { return task(commands::Remove{key}); }
  RemoveOperation remove_op(std::string_view key) { return op(commands::Remove{key}); }
  Later<void> remove_future(std::string_view key) { return boxed(remove_op(key)); }

  Answer<bool> exists(std::string_view key) { return task(commands::Exists{key}); }
  ExistsOperation exists_op(std::string_view key) { return op(commands::Exists{key}); }
  Later<bool> exists_future(std::string_view key) { return boxed(exists_op(key)); }

  // False: `key` is absent.
  Answer<bool> expire(std::string_view key, std::chrono::milliseconds after) {
    return task(commands::Expire{key, after});
  }
  ExpireOperation expire_op(std::string_view key, std::chrono::milliseconds after) {
    return op(commands::Expire{key, after});
  }
  Later<bool> expire_future(std::string_view key, std::chrono::milliseconds after) {
    return boxed(expire_op(key, after));
  }

  // How long `key` will live; nullopt: for ever. Errors: Code::not_found when it is absent.
  Answer<std::optional<std::chrono::milliseconds>> time_to_live(std::string_view key) {
    return task(commands::TimeToLive{key});
  }
  TimeToLiveOperation time_to_live_op(std::string_view key) {
    return op(commands::TimeToLive{key});
  }
  Later<std::optional<std::chrono::milliseconds>> time_to_live_future(std::string_view key) {
    return boxed(time_to_live_op(key));
  }

  // The number after adding `by`; an absent key counts as 0.
  Answer<std::int64_t> increment(std::string_view key, std::int64_t by = 1) {
    return task(commands::Increment{key, by});
  }
  IncrementOperation increment_op(std::string_view key, std::int64_t by = 1) {
    return op(commands::Increment{key, by});
  }
  Later<std::int64_t> increment_future(std::string_view key, std::int64_t by = 1) {
    return boxed(increment_op(key, by));
  }

  // The values of `keys`, in their order. At least one key, else Code::invalid.
  Answer<std::vector<std::optional<std::string>>> get_many(Strings keys) {
    return task(commands::GetMany{keys});
  }
  GetManyOperation get_many_op(Strings keys) { return op(commands::GetMany{keys}); }
  Later<std::vector<std::optional<std::string>>> get_many_future(Strings keys) {
    return boxed(get_many_op(keys));
  }

  // Sets all or, if the server fails, none. At least one pair, else Code::invalid.
  Answer<void> set_many(std::span<const KeyValue> pairs) { return task(commands::SetMany{pairs}); }
  SetManyOperation set_many_op(std::span<const KeyValue> pairs) {
    return op(commands::SetMany{pairs});
  }
  Later<void> set_many_future(std::span<const KeyValue> pairs) { return boxed(set_many_op(pairs)); }

  // The next page of a walk over all keys that begins and ends with the cursor 0.
  Answer<ScanPage> scan(std::uint64_t cursor, ScanOptions options = {}) {
    return task(commands::Scan{cursor, options});
  }
  ScanOperation scan_op(std::uint64_t cursor, ScanOptions options = {}) {
    return op(commands::Scan{cursor, options});
  }
  Later<ScanPage> scan_future(std::uint64_t cursor, ScanOptions options = {}) {
    return boxed(scan_op(cursor, options));
  }

  // Any command, for example {"LASTSAVE"}; at least one word, else Code::invalid.
  // Errors: an error reply is Code::server with its text.
  Answer<Reply> command(const std::vector<std::string>& words) {
    const std::vector<std::string_view> views(words.begin(), words.end());
    return task(commands::Any{views});
  }
  AnyOperation command_op(Strings words) { return op(commands::Any{words}); }
  Later<Reply> command_future(Strings words) { return boxed(command_op(words)); }

  // Collects commands that leave together.
  Pipeline pipeline() { return Pipeline(session_); }

  // What the above are made of; for those who define a command of their own (commands.h).
  const std::shared_ptr<Session>& session() const noexcept { return session_; }

 private:
  explicit Client(std::shared_ptr<Session> session) : session_(std::move(session)) {}

  template <class Command>
  Task<Result<typename Command::Value>> task(const Command& command) {
    return detail::run_command(session_, commands::Encoded<Command>(command));
  }
  template <class Command>
  CommandOperation<Command> op(Command command) {
    return CommandOperation<Command>(session_, command);
  }

  std::shared_ptr<Session> session_;  // null when moved from
};

}  // namespace kvs::client
