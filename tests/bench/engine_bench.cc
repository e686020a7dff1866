// engine_bench.cc - the engines alone, one thread, no sync: the cases of contract.md 5.
//
//   engine-bench                                    every case on every store, side by side
//   engine-bench --benchmark_filter=get.*/65536     Google Benchmark's options
//
// Keys and values come from one fixed seed. Every read is compared with what was written; a store
// that fails or forgets ends the program. Filling and opening are outside the timed part.
#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "tests/bench/stores.h"
#include "tests/support/temp_dir.h"

namespace kvs::bench {
namespace {

constexpr std::uint64_t seed = 20240229;
constexpr int large_writes = 100;
constexpr int large_reads = 1000;
constexpr int small_writes = 1 << 12;
constexpr std::size_t blob_bytes_max = 100'000;

struct Pair {
  std::string key;
  std::string value;
};

std::string random_text(std::mt19937_64& random, std::size_t bytes_max) {
  std::string text(1 + random() % bytes_max, '\0');
  for (char& c : text) c = static_cast<char>('!' + random() % 94);
  return text;
}

// Random keys and values of 1 to 100,000 bytes; keys are cut to what LMDB takes (511 bytes), for
// every store alike.
const std::vector<Pair>& large_pairs() {
  static const std::vector<Pair> pairs = [] {
    std::mt19937_64 random(seed);
    std::vector<Pair> made(large_writes);
    for (int i = 0; i < large_writes; ++i) {
      std::string number = std::to_string(i) + ":";
      made[static_cast<std::size_t>(i)] = {
          .key = (number + random_text(random, blob_bytes_max)).substr(0, 511),
          .value = random_text(random, blob_bytes_max)};
    }
    return made;
  }();
  return pairs;
}

Pair small_pair(std::uint64_t number) {
  std::string digits = std::to_string(number);
  return {.key = "key:" + std::string(12 - digits.size(), '0') + digits,
          .value = "value of " + digits};
}

// A store in a directory of its own.
struct Place {
  explicit Place(std::string_view kind)
      : store(open_store(kind, directory.path(), Durability::process)) {}
  const test::TempDir directory;
  const std::unique_ptr<Store> store;
};

void must_hold(Store& store, const Pair& pair, std::string& value) {
  if (!store.get(pair.key, value) || value != pair.value) give_up("a read was wrong");
}

void write_large(benchmark::State& state, std::string_view kind) {
  const std::vector<Pair>& pairs = large_pairs();  // made here, and not in the first timed write
  for ([[maybe_unused]] auto _ : state) {
    state.PauseTiming();
    auto place = std::make_unique<Place>(kind);
    state.ResumeTiming();
    for (const Pair& pair : pairs) place->store->put(pair.key, pair.value);
    state.PauseTiming();
    std::string value;
    for (const Pair& pair : pairs) must_hold(*place->store, pair, value);
    place.reset();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * large_writes);
}

void read_large(benchmark::State& state, std::string_view kind) {
  const std::vector<Pair>& pairs = large_pairs();
  const Place place(kind);
  for (const Pair& pair : pairs) place.store->put(pair.key, pair.value);
  std::mt19937_64 random(seed);
  std::string value;
  for ([[maybe_unused]] auto _ : state) {
    for (int i = 0; i < large_reads; ++i) {
      must_hold(*place.store, pairs[random() % large_writes], value);
    }
  }
  state.SetItemsProcessed(state.iterations() * large_reads);
}

void set_small(benchmark::State& state, std::string_view kind) {
  std::vector<Pair> pairs;
  for (std::uint64_t i = 0; i < small_writes; ++i) pairs.push_back(small_pair(i));
  std::shuffle(pairs.begin(), pairs.end(), std::mt19937_64(seed));
  for ([[maybe_unused]] auto _ : state) {
    state.PauseTiming();
    auto place = std::make_unique<Place>(kind);
    state.ResumeTiming();
    for (const Pair& pair : pairs) place->store->put(pair.key, pair.value);
    state.PauseTiming();
    std::string value;
    for (const Pair& pair : pairs) must_hold(*place->store, pair, value);
    place.reset();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * small_writes);
}

void get_small(benchmark::State& state, std::string_view kind) {
  const auto keys = static_cast<std::uint64_t>(state.range(0));
  const Place place(kind);
  for (std::uint64_t i = 0; i < keys; ++i) {
    const Pair pair = small_pair(i);
    place.store->put(pair.key, pair.value);
  }
  // Made beforehand, in an order that no prefetcher knows.
  std::mt19937_64 random(seed);
  std::vector<Pair> asked;
  for (int i = 0; i < 1 << 14; ++i) asked.push_back(small_pair(random() % keys));
  std::string value;
  std::size_t next = 0;
  for ([[maybe_unused]] auto _ : state) {
    must_hold(*place.store, asked[next], value);
    next = (next + 1) % asked.size();
  }
  state.SetItemsProcessed(state.iterations());
}

void add_cases() {
  for (const std::string kind : {"kvs", "rocksdb", "rocksdb-library", "lmdb"}) {
    const auto name = [&kind](const char* what) { return std::string(what) + "/" + kind; };
    benchmark::RegisterBenchmark(name("write_large").c_str(), write_large, kind)
        ->Unit(benchmark::kMillisecond)
        ->UseRealTime();
    benchmark::RegisterBenchmark(name("read_large").c_str(), read_large, kind)
        ->Unit(benchmark::kMillisecond)
        ->UseRealTime();
    benchmark::RegisterBenchmark(name("set_small").c_str(), set_small, kind)
        ->Unit(benchmark::kMillisecond)
        ->UseRealTime();
    benchmark::RegisterBenchmark(name("get_small").c_str(), get_small, kind)
        ->Arg(1 << 8)
        ->Arg(1 << 12)
        ->Arg(1 << 16)
        ->Arg(1 << 20)
        ->UseRealTime();
  }
}

}  // namespace
}  // namespace kvs::bench

int main(int argc, char** argv) {
  kvs::bench::add_cases();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
