// pool.h - a bounded set of connections to one server, lent to those who want one for themselves.
//
// A single Client serves any number of commands at once and is usually enough. A pool is for work
// that owns its connection's state for a while (WATCH and MULTI, SELECT) and for replies so large
// that others should not wait behind them.
//
//   auto acquiring = pool.acquire();
//   Result<ClientPool::Lease> lease = co_await std::move(acquiring);
//   auto getting = (*lease)->get("k");
//
// Those who wait are served in the order in which they came. A connection that has ended is
// replaced; one that was idle for long answers a PING before it is lent again.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>

#include "protocol/async/future.h"
#include "protocol/async/result.h"
#include "protocol/async/task.h"
#include "protocol/client/address.h"
#include "protocol/client/client.h"
#include "protocol/client/options.h"
#include "protocol/uv/loop.h"

namespace kvs::client {

struct PoolOptions {
  std::size_t connections_max = 8;
  std::chrono::milliseconds acquire_timeout{5000};    // of the wait for one's turn; 0: none
  std::chrono::milliseconds check_after_idle{30000};  // a connection idle for longer is PINGed
};

// Thread: all members, and leases, on the loop's.
class ClientPool {
 public:
  class Lease;
  class State;

  // Connects to nobody yet. `loop` outlives the pool and its leases. connect.reconnect is not used:
  // a connection that has ended is replaced when it is wanted.
  ClientPool(uv::Loop& loop, SocketAddress address, ConnectOptions connect = {},
             PoolOptions options = {});
  // Leases stay good; those who wait end with Code::cancelled in the loop's next iteration.
  ~ClientPool();
  ClientPool(const ClientPool&) = delete;
  ClientPool& operator=(const ClientPool&) = delete;

  // Errors: Code::timeout when it was not our turn in time, Code::busy when too many wait already,
  //         otherwise as Client::connect.
  Task<Result<Lease>> acquire();
  Future<Result<Lease>> acquire_future();

  std::size_t idle() const noexcept;
  std::size_t lent() const noexcept;
  std::size_t waiting() const noexcept;

 private:
  std::shared_ptr<State> state_;
};

// A connection on loan; its end gives it back. Whoever has changed the connection's state
// (database, WATCH) changes it back before, or calls discard().
class ClientPool::Lease {
 public:
  Lease(std::shared_ptr<State> state, Client client);  // for the pool
  Lease(Lease&&) noexcept = default;
  Lease& operator=(Lease&& other) noexcept;
  ~Lease();

  Client& operator*() noexcept { return *client_; }
  Client* operator->() noexcept { return &*client_; }

  // Closes the connection instead of giving it back; the lease is of no use afterwards.
  void discard();

 private:
  std::shared_ptr<State> state_;  // null when moved from or discarded
  std::optional<Client> client_;
};

}  // namespace kvs::client
