// client.h - the native client: a connection to kvs (or any RESP2 server), awaited.
//
//   Task<Result<void>> greet(uv::Loop& loop) {
//     auto connecting = Client::connect(loop, SocketAddress{});
//     Result<Client> client = co_await std::move(connecting);
//     if (!client) co_return std::unexpected(client.error());
//     auto setting = client->set("greeting", "hello");
//     Result<bool> done = co_await std::move(setting);
//     ...
//   }
//
// A task sends its command when it is awaited. Tasks that are awaited at the same time (spawned on
// a Gate, say) are in flight together on the one connection and are answered in the order in which
// they were started.
//
// Keys and values are any bytes. What an error says about the command: errors.h. After the
// connection has ended, every command is refused with Code::unreachable: make a new Client.
//
// Dropping a task: safe at any time; the command, if it was sent, is executed all the same and its
// reply is thrown away. SIGPIPE: the program has to ignore it, as libuv asks of every program that
// writes to sockets. Not here: blocking calls (sync_client.h), reconnecting, pools of connections.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/async/result.h"
#include "protocol/async/task.h"
#include "protocol/client/address.h"
#include "protocol/client/connection.h"
#include "protocol/client/reply.h"
#include "protocol/uv/loop.h"

namespace kvs::client {

struct SetOptions {
  enum class When : std::uint8_t { always, absent, present };

  When when = When::always;
  std::optional<std::chrono::milliseconds> expire_after;  // none: the key stays
};

// Thread: all members, and every task, on the loop's. A Client is moved, not copied; the last one
// closes the connection, and commands that are still in flight end with Code::cancelled when the
// loop runs next.
class Client {
 public:
  // Errors: Code::unreachable when nobody accepts at `address` within options.connect_timeout.
  // Lifetime: `loop` outlives the Client.
  static Task<Result<Client>> connect(uv::Loop& loop, SocketAddress address,
                                      ConnectOptions options = {});

  Client(Client&&) noexcept = default;
  Client& operator=(Client&& other) noexcept;
  ~Client();

  // The value of `key`, or nullopt when it is absent.
  Task<Result<std::optional<std::string>>> get(std::string_view key);

  // True: stored. False: options.when did not hold, nothing has changed.
  Task<Result<bool>> set(std::string_view key, std::string_view value, SetOptions options = {});

  // Errors: Code::not_found ("Key not found") when `key` is absent.
  Task<Result<void>> remove(std::string_view key);

  // Any command, for example {"INCR", "counter"}; at least one word, else Code::invalid.
  // Errors: an error reply is Code::server with its text.
  Task<Result<Reply>> command(std::vector<std::string> words);

 private:
  explicit Client(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {}

  std::shared_ptr<Connection> connection_;  // null when moved from
};

}  // namespace kvs::client
