// allocation_test.cc - a program of its own that counts the heap: in steady state an operation
// written by hand, and a combinator of them, allocates nothing.
#include <string>
#include <thread>

#include <doctest/doctest.h>

#include "protocol/async/combinators.h"
#include "protocol/client/client.h"
#include "protocol/client/run.h"
#include "tests/support/allocations.h"
#include "tests/unit/client/fixture.h"

using kvs::map;
using kvs::then;
using kvs::test::ClientFixture;
using kvs::test::FakeServer;
using kvs::test::Peer;

namespace {

constexpr int rounds = 1000;

// Without the heap, since it is counted for the whole process.
void answer_gets(Peer& peer) {
  peer.answer_fixed(20, "$5\r\nvalue\r\n");
}

template <class Make>
std::uint64_t allocations_of(ClientFixture& fixture, Make make) {
  for (int round = 0; round < 10; ++round) {
    CHECK(kvs::client::run(fixture.loop(), make()));  // buffers find their size
  }
  const std::uint64_t before = kvs::test::allocations();
  bool right = true;
  for (int round = 0; round < rounds; ++round) {
    right = kvs::client::run(fixture.loop(), make()).has_value() && right;
  }
  const std::uint64_t after = kvs::test::allocations();
  CHECK(right);
  return after - before;
}

}  // namespace

TEST_CASE("what each form of get costs on the heap") {
  FakeServer server(answer_gets);
  ClientFixture fixture(server.address());
  kvs::client::Client& client = fixture.client();
  const std::string key = "k";
  CHECK(allocations_of(fixture, [&] { return client.get_op(key); }) == 0);
  CHECK(allocations_of(fixture, [&] {
          return map(client.get_op(key),
                     [](const std::optional<std::string>& value) { return value->size(); });
        }) == 0);
  CHECK(allocations_of(fixture, [&] {
          return then(client.get_op(key),
                      [&](const std::optional<std::string>&) { return client.get_op(key); });
        }) == 0);
  // Its frame, and the request that it owns.
  CHECK(allocations_of(fixture, [&] { return client.get(key); }) <= 2 * rounds);
  CHECK(allocations_of(fixture, [&] { return client.get_future(key); }) == rounds);
}
