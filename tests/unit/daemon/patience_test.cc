// patience_test.cc - when a batch waits for more requests to ride with it.
#include "daemon/patience.h"

#include <memory>
#include <vector>

#include <doctest/doctest.h>

#include "daemon/client_registry.h"

using kvs::daemon::Client;
using kvs::daemon::Patience;

namespace {

struct Clients {
  explicit Clients(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      all.push_back(
          std::make_unique<Client>(std::make_shared<kvs::daemon::ClientShared>(i, "", "", -1, 0)));
    }
  }
  std::vector<std::unique_ptr<Client>> all;
};

// `rounds` milliseconds, in each of which every client brings `steps` batches' worth.
void let_pass(Patience& patience, Clients& clients, std::uint64_t from_ms, std::uint64_t rounds,
              std::size_t steps) {
  for (std::uint64_t now = from_ms; now < from_ms + rounds; ++now) {
    for (std::size_t step = 0; step < steps; ++step) {
      for (const auto& client : clients.all) patience.note(*client, now);
    }
  }
}

}  // namespace

TEST_CASE("one connection, however fast, waits for nobody") {
  Patience patience;
  Clients one(1);
  let_pass(patience, one, 1000, 20, 50);
  CHECK(patience.wanted(1020) == 1);
}

TEST_CASE("requests that come slowly wait for nobody, however many connections send them") {
  Patience patience;
  Clients many(15);
  let_pass(patience, many, 1000, 20, 1);
  CHECK(patience.wanted(1020) == 1);
}

TEST_CASE("a batch waits for a third of the connections that are at work, and for 16 at most") {
  Patience patience;
  Clients some(24);
  let_pass(patience, some, 1000, 20, 2);
  CHECK(patience.wanted(1020) == 8);
  Clients many(200);
  let_pass(patience, many, 1020, 20, 1);
  CHECK(patience.wanted(1040) == 16);
}

TEST_CASE("after a silence nobody is waited for") {
  Patience patience;
  Clients many(100);
  let_pass(patience, many, 1000, 20, 1);
  CHECK(patience.wanted(1019) > 1);
  CHECK(patience.wanted(1030) == 1);
  let_pass(patience, many, 1100, 1, 1);
  CHECK(patience.wanted(1100) == 1);
}
