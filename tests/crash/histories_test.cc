// histories_test.cc - figure 13: what concurrent clients saw, across SIGKILLs and restarts, could
// have happened one after the other; and the checker that says so is checked itself.
//
//   KVS_HISTORIES=10000 build/release/bin/test_crash_histories
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <map>
#include <mutex>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "tests/crash/load.h"
#include "tests/support/linearizability.h"
#include "tests/support/seed.h"
#include "tests/support/server_process.h"

using namespace kvs::test;
using Kind = HistoryOperation::Kind;
using End = HistoryOperation::End;
using History = std::vector<HistoryOperation>;

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int histories_default = 20;
#else
constexpr int histories_default = 200;
#endif

// The definition itself, for short histories: some order, of all that was answered and of some of
// what was cut off, that keeps the order of time and gives every answer.
bool linearizable_by_trying(const History& history) {
  std::vector<std::size_t> order(history.size());
  for (std::uint64_t dropped = 0; dropped < (std::uint64_t{1} << history.size()); ++dropped) {
    bool possible = true;
    for (std::size_t i = 0; i < history.size(); ++i) {
      if ((dropped >> i & 1) != 0) possible = possible && history[i].end == End::cut_off;
    }
    if (!possible) continue;
    std::iota(order.begin(), order.end(), std::size_t{0});
    do {
      bool right = true;
      std::uint64_t value = 0;
      for (std::size_t a = 0; a < order.size() && right; ++a) {
        const HistoryOperation& operation = history[order[a]];
        for (std::size_t b = a + 1; b < order.size(); ++b) {
          // A dropped one is nowhere, so it is before and after nothing.
          if (((dropped >> order[a] | dropped >> order[b]) & 1) != 0) continue;
          right = right && history[order[b]].returned >= operation.called;
        }
        if ((dropped >> order[a] & 1) != 0) continue;
        const bool answered = operation.end == End::answered;
        switch (operation.kind) {
          case Kind::get:
            right = right && (!answered || operation.result == value);
            break;
          case Kind::set:
            value = operation.value;
            break;
          case Kind::set_if_absent:
            right = right && (!answered || (operation.result == 1) == (value == 0));
            if (value == 0) value = operation.value;
            break;
          case Kind::remove:
            right = right && (!answered || (operation.result == 1) == (value != 0));
            value = 0;
        }
      }
      if (right) return true;
    } while (std::next_permutation(order.begin(), order.end()));
  }
  return false;
}

HistoryOperation set(std::uint64_t value, std::uint64_t from, std::uint64_t to) {
  return {.kind = Kind::set, .value = value, .called = from, .returned = to};
}
HistoryOperation got(std::uint64_t value, std::uint64_t from, std::uint64_t to) {
  return {.kind = Kind::get, .result = value, .called = from, .returned = to};
}
HistoryOperation removed(std::uint64_t result, std::uint64_t from, std::uint64_t to) {
  return {.kind = Kind::remove, .result = result, .called = from, .returned = to};
}
HistoryOperation added(std::uint64_t value, std::uint64_t result, std::uint64_t from,
                       std::uint64_t to) {
  return {.kind = Kind::set_if_absent,
          .value = value,
          .result = result,
          .called = from,
          .returned = to};
}
HistoryOperation cut(HistoryOperation operation) {
  operation.end = End::cut_off;
  return operation;
}

// --- clients of a real server ---

constexpr int keys_count = 3;
constexpr int clients_count = 4;

// One client: single requests, each with the time before and after it.
class Client {
 public:
  Client(std::uint64_t seed, std::uint64_t number) : random_(seed + number), number_(number) {}

  // Until the connection ends, or `operations` are done. Thread: its own.
  void run(const ServerProcess& server, int operations) {
    try {
      Socket socket = server.connect();
      for (int i = 0; i < operations; ++i) one(socket);
    } catch (const SocketError&) {
    }
  }

  // The server is gone since `crash`: what had no answer by then was cut off.
  void crashed(std::uint64_t crash, std::map<int, History>& histories) {
    for (auto& [key, operation] : done_) {
      // One that was begun while the kill was on its way cannot have ended before it began.
      if (operation.end == End::cut_off) operation.returned = std::max(crash, operation.called);
      histories[key].push_back(operation);
    }
    done_.clear();
  }

  static std::uint64_t time_now() {
    return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  }

 private:
  void one(Socket& socket) {
    const int key = static_cast<int>(random_() % keys_count);
    const std::string name = "key" + std::to_string(key);
    HistoryOperation operation{.value = ++next_ * clients_count + number_, .end = End::cut_off};
    const std::string value = std::to_string(operation.value);
    Request request;
    switch (random_() % 6) {
      case 0:
      case 1:
        operation.kind = Kind::set;
        request = {"SET", name, value};
        break;
      case 2:
        operation.kind = Kind::remove;
        request = {"DEL", name};
        break;
      case 3:
        operation.kind = Kind::set_if_absent;
        request = {"SETNX", name, value};
        break;
      default:
        operation.kind = Kind::get;
        request = {"GET", name};
    }
    operation.called = time_now();
    const std::size_t at = done_.size();
    done_.emplace_back(key, operation);
    const std::string reply = socket.command(request);
    HistoryOperation& answered = done_[at].second;
    // An error says that it did not happen; that it may have is the weaker claim.
    if (reply.front() == '-') return;
    answered.returned = time_now();
    answered.end = End::answered;
    if (reply.front() == ':') {
      answered.result = reply[1] == '1' ? 1 : 0;
    } else if (operation.kind == Kind::get && reply != "$-1\r\n") {
      answered.result = std::strtoull(reply.c_str() + reply.find('\n') + 1, nullptr, 10);
    }
  }

  std::mt19937_64 random_;
  const std::uint64_t number_;
  std::uint64_t next_ = 1;
  std::vector<std::pair<int, HistoryOperation>> done_;
};

}  // namespace

TEST_CASE("the checker accepts what one register can do, and refuses what it cannot") {
  CHECK(linearizable({}));
  CHECK(linearizable({set(1, 0, 1), got(1, 2, 3)}));
  CHECK(linearizable({set(1, 0, 10), got(0, 1, 2), got(1, 3, 4)}));
  CHECK(linearizable({set(1, 0, 10), set(2, 0, 10), got(2, 11, 12)}));
  CHECK(linearizable({cut(set(1, 0, 5)), got(1, 6, 7)}));
  CHECK(linearizable({cut(set(1, 0, 5)), got(0, 6, 7)}));
  CHECK(linearizable({set(1, 0, 1), cut(removed(0, 2, 5)), got(0, 6, 7), added(2, 1, 8, 9)}));
  // A stale read; a lost write; one that comes back; one that was never there; one from the future.
  CHECK_FALSE(linearizable({set(1, 0, 1), set(2, 2, 3), got(1, 4, 5)}));
  CHECK_FALSE(linearizable({set(1, 0, 1), got(0, 2, 3)}));
  CHECK_FALSE(linearizable({set(1, 0, 1), removed(1, 2, 3), got(1, 4, 5)}));
  CHECK_FALSE(linearizable({set(1, 0, 1), got(7, 2, 3)}));
  CHECK_FALSE(linearizable({got(1, 0, 1), set(1, 2, 3)}));
  // Two readers that disagree about the order; two winners; a removal that missed.
  CHECK_FALSE(linearizable({set(1, 0, 10), got(1, 1, 2), got(0, 3, 4)}));
  CHECK_FALSE(linearizable({added(1, 1, 0, 5), added(2, 1, 0, 5), got(1, 6, 7)}));
  CHECK_FALSE(linearizable({set(1, 0, 1), removed(0, 2, 3)}));
  // Lost and found again; twice; after the crash instead of before it.
  CHECK_FALSE(linearizable({cut(set(1, 0, 5)), got(0, 6, 7), got(1, 8, 9)}));
  CHECK_FALSE(linearizable({cut(set(1, 0, 5)), got(1, 6, 7), removed(1, 8, 9), got(1, 10, 11)}));
  CHECK_FALSE(linearizable({set(1, 0, 1), set(2, 2, 3), cut(set(3, 2, 5)), got(1, 6, 7)}));
}

TEST_CASE("the checker agrees with trying every order, on short histories of any kind") {
  const std::uint64_t seed = test_seed("short histories");
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  int good = 0;
  constexpr int rounds = 3000;
  for (int round = 0; round < rounds; ++round) {
    CAPTURE(round);
    History history;
    const std::size_t size = 1 + random() % 5;
    for (std::uint64_t i = 0; i < size; ++i) {
      HistoryOperation operation{.kind = static_cast<Kind>(random() % 4), .value = i + 1};
      operation.called = random() % 20;
      operation.returned = operation.called + 1 + random() % 10;
      if (random() % 5 == 0) operation.end = End::cut_off;
      operation.result = operation.kind == Kind::get ? random() % (size + 1) : random() % 2;
      history.push_back(operation);
    }
    const bool expected = linearizable_by_trying(history);
    good += expected ? 1 : 0;
    REQUIRE_MESSAGE(linearizable(history) == expected, to_text(history));
  }
  CHECK(good > rounds / 20);
  CHECK(good < rounds - rounds / 20);
}

TEST_CASE("what clients see of a server that is killed and restarted is linearizable") {
  const std::uint64_t seed = test_seed("histories");
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const int wanted = repetitions("KVS_HISTORIES", histories_default);
  constexpr int per_server = 20;
  std::uint64_t operations = 0;
  std::uint64_t cut_off = 0;
  for (int number = 0; number < wanted;) {
    constexpr const char* policies[] = {"always", "everysec", "no"};
    const std::string policy = policies[random() % 3];
    CAPTURE(policy);
    ServerProcess server({.arguments = {"--sync", policy, "--segment-size", "16kb"}});
    for (int i = 0; i < per_server && number < wanted; ++i, ++number) {
      CAPTURE(number);
      REQUIRE(server.connect().command({"FLUSHALL"}) == "+OK\r\n");
      std::vector<Client> clients;
      for (std::uint64_t c = 0; c < clients_count; ++c) clients.emplace_back(random(), c);
      std::map<int, History> histories;
      // Two lives of the server, the first of which is killed at any time.
      for (int life = 0; life < 2; ++life) {
        std::vector<std::thread> threads;
        for (Client& client : clients) {
          threads.emplace_back([&] { client.run(server, life == 0 ? 400 : 15); });
        }
        if (life == 0) {
          std::this_thread::sleep_for(std::chrono::microseconds(500 + random() % 8000));
          server.kill();
        }
        const std::uint64_t crash = Client::time_now();
        for (std::thread& thread : threads) thread.join();
        for (Client& client : clients) {
          client.crashed(life == 0 ? crash : Client::time_now(), histories);
        }
        if (life == 0) server.restart();
      }
      for (const auto& [key, history] : histories) {
        CAPTURE(key);
        operations += history.size();
        cut_off += static_cast<std::uint64_t>(std::count_if(
            history.begin(), history.end(),
            [](const HistoryOperation& operation) { return operation.end == End::cut_off; }));
        REQUIRE_MESSAGE(linearizable(history), to_text(history));
      }
    }
  }
  MESSAGE("histories: ", wanted, " of ", keys_count, " keys and ", clients_count,
          " clients, each across a kill: ", operations, " operations, ", cut_off,
          " of them cut off, all linearizable");
}
