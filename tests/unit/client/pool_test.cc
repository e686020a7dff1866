// pool_test.cc - connections on loan: bounded, in turn, checked, replaced.
#include "protocol/client/pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "protocol/async/gate.h"
#include "protocol/client/run.h"
#include "tests/support/server_process.h"
#include "tests/unit/client/fixture.h"

using kvs::Code;
using kvs::Gate;
using kvs::Result;
using kvs::Task;
using kvs::client::Client;
using kvs::client::ClientPool;
using kvs::client::run;
using kvs::test::failed_with;
using kvs::test::FakeServer;
using kvs::test::Peer;
using namespace std::chrono_literals;

namespace {

using Lease = ClientPool::Lease;

kvs::test::ServerProcess& server() {
  static kvs::test::ServerProcess process;
  return process;
}

kvs::client::SocketAddress address() {
  return {"127.0.0.1", server().port()};
}

Task<void> closed(Gate& gate) {
  auto closing = gate.closed();
  co_await closing;
}

struct Usage {
  std::vector<int> asked;
  std::vector<int> served;
  std::int64_t counted = 0;
  std::size_t most_lent = 0;
};

Task<void> use(ClientPool& pool, int number, int rounds, Usage& usage) {
  for (int round = 0; round < rounds; ++round) {
    usage.asked.push_back(number);
    auto acquiring = pool.acquire();
    Result<Lease> lease = co_await std::move(acquiring);
    if (!lease) co_return;
    usage.served.push_back(number);
    usage.most_lent = std::max(usage.most_lent, pool.lent());
    auto counting = (*lease)->increment("pooled");
    const Result<std::int64_t> counted = co_await std::move(counting);
    if (counted) ++usage.counted;
  }
}

Task<void> acquire_into(ClientPool& pool, std::optional<Result<Lease>>& lease) {
  auto acquiring = pool.acquire();
  lease.emplace(co_await std::move(acquiring));
}

std::string id_of(kvs::uv::Loop& loop, Lease& lease) {
  return std::to_string(run(loop, lease->command({"CLIENT", "ID"}))->integer);
}

}  // namespace

TEST_CASE("many users share a few connections, in turn") {
  kvs::uv::Loop loop;
  ClientPool pool(loop, address(), {}, {.connections_max = 3});
  {
    // Connections that are there already take no time that would change the order.
    Result<Lease> one = run(loop, pool.acquire());
    Result<Lease> two = run(loop, pool.acquire());
    Result<Lease> three = run(loop, pool.acquire());
    REQUIRE(three);
  }
  Usage usage;
  Gate gate;
  for (int number = 0; number < 20; ++number) spawn(gate, use(pool, number, 10, usage));
  CHECK(pool.waiting() == 17);
  run(loop, closed(gate));
  CHECK(usage.counted == 200);
  CHECK(usage.served == usage.asked);
  CHECK(usage.most_lent == 3);
  CHECK(pool.lent() == 0);
  CHECK(pool.idle() == 3);
}

TEST_CASE("a connection is used again, and replaced when it has ended") {
  kvs::uv::Loop loop;
  ClientPool pool(loop, address(), {}, {.connections_max = 2});
  std::string first;
  {
    Result<Lease> lease = run(loop, pool.acquire());
    REQUIRE(lease);
    first = id_of(loop, *lease);
  }
  {
    Result<Lease> lease = run(loop, pool.acquire_future());
    REQUIRE(lease);
    CHECK(id_of(loop, *lease) == first);
    Result<Lease> other = run(loop, pool.acquire());
    REQUIRE(other);
    CHECK(id_of(loop, *other) != first);
    // The server closes ours.
    CHECK(run(loop, (*other)->command({"CLIENT", "KILL", "ID", first})));
  }
  Result<Lease> one = run(loop, pool.acquire());
  Result<Lease> two = run(loop, pool.acquire());
  REQUIRE(one);
  REQUIRE(two);
  CHECK(id_of(loop, *one) != first);
  CHECK(id_of(loop, *two) != first);
  one->discard();
  CHECK(pool.lent() == 1);
  CHECK(pool.idle() == 0);
}

TEST_CASE("a connection that was idle for long is asked before it is lent") {
  std::atomic<int> connections = 0;
  FakeServer fake(
      [&](Peer& peer) {
        // The first one does not answer its check.
        const bool healthy = ++connections > 1;
        std::string ping;
        kvs::client::append_request(ping, {"PING"});
        if (peer.expect(ping) && healthy) peer.send("+PONG\r\n");
        if (healthy) peer.wait_for_close();
      },
      2);
  kvs::uv::Loop loop;
  ClientPool pool(loop, fake.address(), {.operation_timeout = 5s},
                  {.connections_max = 1, .check_after_idle = 0ms});
  for (int round = 0; round < 3; ++round) CHECK(run(loop, pool.acquire()));
  CHECK(connections == 2);
}

TEST_CASE("the wait for one's turn has a bound, and a place that was given up goes on") {
  kvs::uv::Loop loop;
  ClientPool pool(loop, address(), {}, {.connections_max = 1, .acquire_timeout = 50ms});
  {
    Result<Lease> taken = run(loop, pool.acquire());
    REQUIRE(taken);
    CHECK(failed_with(run(loop, pool.acquire()), Code::timeout, "within 50 ms"));
    { auto dropped = pool.acquire(); }
    struct Ignore final : kvs::Completion {
      void complete() noexcept override {}
    } ignore;
    {
      auto dropped = pool.acquire();
      REQUIRE_FALSE(dropped.start(ignore));
      CHECK(pool.waiting() == 1);
    }
    CHECK(pool.waiting() == 0);
  }
  CHECK(run(loop, pool.acquire()));
  // Dropped while it connects: the place comes back.
  ClientPool other(loop, address(), {}, {.connections_max = 1});
  {
    struct Ignore final : kvs::Completion {
      void complete() noexcept override {}
    } ignore;
    auto dropped = other.acquire();
    REQUIRE_FALSE(dropped.start(ignore));
    CHECK(other.lent() == 1);
  }
  CHECK(other.lent() == 0);
  CHECK(run(loop, other.acquire()));
}

TEST_CASE("a server that is gone is an error for each, and the places stay") {
  kvs::uv::Loop loop;
  ClientPool pool(loop, kvs::test::deserted_address(), {}, {.connections_max = 2});
  for (int round = 0; round < 5; ++round) {
    CHECK(failed_with(run(loop, pool.acquire()), Code::unreachable));
  }
  CHECK(pool.lent() == 0);
}

TEST_CASE("closing the pool cancels those who wait; leases stay good") {
  kvs::uv::Loop loop;
  std::optional<ClientPool> pool(std::in_place, loop, address(), kvs::client::ConnectOptions{},
                                 kvs::client::PoolOptions{.connections_max = 1});
  Result<Lease> lease = run(loop, pool->acquire());
  REQUIRE(lease);
  std::optional<Result<Lease>> waiting;
  Gate gate;
  spawn(gate, acquire_into(*pool, waiting));
  pool.reset();
  CHECK_FALSE(waiting);
  run(loop, closed(gate));
  CHECK(failed_with(*waiting, Code::cancelled, "pool was closed"));
  CHECK(run(loop, (*lease)->command({"PING"})));
}
