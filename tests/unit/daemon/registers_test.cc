// registers_test.cc - what all connections share: watches, clients, metrics, settings.
#include <algorithm>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "daemon/client_registry.h"
#include "daemon/metrics.h"
#include "daemon/settings.h"
#include "daemon/watches.h"

namespace kvs::daemon {

namespace {

std::shared_ptr<ClientShared> client_with_id(std::uint64_t id) {
  return std::shared_ptr<ClientShared>(new ClientShared{
      .id = id, .address = "a", .local_address = "b", .fd = 1, .connected_at_ms = 0});
}

}  // namespace

TEST_CASE("a touched key tells its watchers and nobody else") {
  Watches watches;
  const auto first = std::make_shared<std::atomic<bool>>(false);
  const auto second = std::make_shared<std::atomic<bool>>(false);
  CHECK_FALSE(watches.anyone());
  watches.watch({0, "k"}, first);
  watches.watch({1, "k"}, second);
  CHECK(watches.count() == 2);
  watches.touch({0, "other"});
  watches.touch({2, "k"});
  CHECK_FALSE(first->load());
  watches.touch({0, "k"});
  CHECK(first->load());
  CHECK_FALSE(second->load());
  CHECK(watches.watched_in(1) == std::vector<std::string>{"k"});
  CHECK(watches.watched_in(2).empty());
  watches.touch({1, "k"});
  CHECK(second->load());

  watches.unwatch({0, "k"}, first);
  watches.unwatch({0, "k"}, first);  // again: nothing
  CHECK(watches.count() == 1);
  *first = false;
  watches.touch({0, "k"});
  CHECK_FALSE(first->load());
  watches.unwatch({1, "k"}, second);
  CHECK_FALSE(watches.anyone());
}

TEST_CASE("watching from many threads loses nothing") {
  Watches watches;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&watches, t] {
      const auto touched = std::make_shared<std::atomic<bool>>(false);
      const std::string key = "k" + std::to_string(t % 2);
      for (int i = 0; i < 2000; ++i) {
        watches.watch({0, key}, touched);
        watches.touch({0, key});
        CHECK(touched->load());
        watches.unwatch({0, key}, touched);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(watches.count() == 0);
}

TEST_CASE("the registry lists clients by id, and kill marks and wakes") {
  ClientRegistry registry;
  CHECK(registry.next_id() == 1);
  CHECK(registry.next_id() == 2);
  int woken = 0;
  const auto two = client_with_id(2);
  registry.add(two, [&] {
    ++woken;
    registry.remove(2);  // what a wake may lead to at once
  });
  registry.add(client_with_id(1), {});
  CHECK(registry.count() == 2);
  const auto clients = registry.list();
  CHECK(clients[0]->id == 1);
  CHECK(clients[1]->id == 2);
  CHECK(registry.kill(2));
  CHECK(two->kill.load());
  CHECK(woken == 1);
  CHECK_FALSE(registry.kill(2));
  CHECK(registry.kill(1));
  CHECK(registry.count() == 1);
}

TEST_CASE("metrics add up over workers, and a reset counts from there") {
  Metrics metrics(3);
  metrics.worker(0).commands += 5;
  metrics.worker(2).commands += 7;
  metrics.worker(1).keyspace_hits += 1;
  CHECK(metrics.sum(&WorkerMetrics::commands) == 12);
  metrics.reset();
  CHECK(metrics.sum(&WorkerMetrics::commands) == 0);
  CHECK(metrics.sum(&WorkerMetrics::keyspace_hits) == 0);
  metrics.worker(1).commands += 1;
  CHECK(metrics.sum(&WorkerMetrics::commands) == 1);
  CHECK(metrics.run_id().size() == 40);
  CHECK(metrics.run_id() != Metrics(1).run_id());
}

TEST_CASE("operations and bytes per second are those since the last tick") {
  Metrics metrics(1);
  metrics.tick();
  metrics.worker(0).commands += 1000;
  metrics.worker(0).net_input_bytes += 2000;
  metrics.worker(0).net_output_bytes += 4000;
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  metrics.tick();
  CHECK(metrics.operations_per_second() > 0);
  CHECK(metrics.operations_per_second() <= 50'000);
  CHECK(metrics.input_bytes_per_second() > 0);
  CHECK(metrics.output_bytes_per_second() > metrics.input_bytes_per_second());
  CHECK(metrics.output_bytes_per_second() <= 200'000);
  std::this_thread::sleep_for(std::chrono::milliseconds(1));
  metrics.tick();
  CHECK(metrics.operations_per_second() == 0);
  CHECK(metrics.input_bytes_per_second() == 0);
  CHECK(metrics.output_bytes_per_second() == 0);
  CHECK(metrics.main_thread_user_us() + metrics.main_thread_system_us() > 0);
}

TEST_CASE("settings start as the config says, and automatic sizes are resolved") {
  Config config;
  config.maxclients = 77;
  Settings settings(config);
  CHECK(settings.maxclients.load() == 77);
  CHECK(settings.maxmemory_clients.load() == physical_memory_bytes() / 4);
  config.maxmemory_clients = 5;
  CHECK(Settings(config).maxmemory_clients.load() == 5);
}

}  // namespace kvs::daemon
