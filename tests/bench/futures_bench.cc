// futures_bench.cc - what one engine read costs in each form of futures, in time and on the heap.
//
//   resident/FORM          the value is in memory: complete on the calling thread
//   one/POOL/FORM          one read after the other, each on the pool: the price of two hops
//   many/POOL/FORM/N       1000 reads at once on a pool of N threads
//
// `allocations` is per read. Keys are short and values empty, so that every one is the machinery's.
// tests/bench/plot_futures draws the figures.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>

#include "storage/async_engine.h"
#include "storage/options.h"
#include "tests/support/allocations.h"
#include "tests/support/pools.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/forms/forms.h"

namespace {

using kvs::AsyncEngine;
using kvs::Reads;
using namespace kvs::test;

constexpr std::size_t reads_at_once = 1000;

[[noreturn]] void give_up(const char* what) {
  std::fprintf(stderr, "futures_bench: %s\n", what);
  std::exit(1);
}

std::shared_ptr<kvs::Engine> open_with_one_key(const TempDir& dir) {
  kvs::EngineOptions options;
  options.directory = dir.path();
  auto opened = kvs::open_engine("kvs", std::move(options));
  if (!opened) give_up(opened.error().message().c_str());
  std::shared_ptr<kvs::Engine> engine = std::move(*opened);
  auto session = engine->begin();
  if (!session) give_up(session.error().message().c_str());
  (*session)->put({0, "key"}, "", kvs::never);
  if (!(*session)->commit()) give_up("the key cannot be written");
  return engine;
}

template <class Value>
void expect_key(const Value& value) {
  if (!value || !*value) give_up("a read did not find its key");
}

void report(benchmark::State& state, std::uint64_t allocations_before, std::size_t per_iteration) {
  const auto reads = static_cast<double>(state.iterations()) * static_cast<double>(per_iteration);
  state.SetItemsProcessed(static_cast<std::int64_t>(reads));
  state.counters["allocations"] = static_cast<double>(allocations() - allocations_before) / reads;
}

template <class Form>
void one_by_one(benchmark::State& state, const AsyncEngine& engine) {
  const std::uint64_t before = allocations();
  for (auto _ : state) expect_key(kvs::sync_wait(Form::get(engine, "key")));
  report(state, before, 1);
}

template <class Form>
void many_at_once(benchmark::State& state, const AsyncEngine& engine) {
  using O = decltype(Form::get(engine, "key"));
  const std::uint64_t before = allocations();
  for (auto _ : state) {
    std::vector<O> operations;
    operations.reserve(reads_at_once);
    for (std::size_t i = 0; i < reads_at_once; ++i) operations.push_back(Form::get(engine, "key"));
    for (const auto& value : Form::all(BlockingWait(), std::move(operations))) expect_key(value);
  }
  report(state, before, reads_at_once);
}

template <class Form>
void register_form(const std::shared_ptr<kvs::Engine>& engine) {
  const std::string form = Form::name;
  const AsyncEngine resident(engine, open_pool(pool_kinds[0], 1));
  benchmark::RegisterBenchmark(("resident/" + form).c_str(),
                               [resident](auto& state) { one_by_one<Form>(state, resident); });
  for (const PoolKind& kind : pool_kinds) {
    const std::string pool(kind.name);
    for (const unsigned threads : {1U, 2U, 4U, 8U}) {
      const auto on_pool = [engine, &kind, threads](benchmark::State& state, auto run) {
        const AsyncEngine pooled(engine, open_pool(kind, threads), Reads::pool_only);
        run(state, pooled);
      };
      if (threads == 1) {
        benchmark::RegisterBenchmark(("one/" + pool + "/" + form).c_str(), [on_pool](auto& state) {
          on_pool(state, one_by_one<Form>);
        })->UseRealTime();
      }
      // A thread per job has no number of threads.
      if (threads > 1 && kind.name == "thread_per_job") continue;
      benchmark::RegisterBenchmark(
          ("many/" + pool + "/" + form + "/" + std::to_string(threads)).c_str(),
          [on_pool](auto& state) { on_pool(state, many_at_once<Form>); })
          ->UseRealTime();
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  // Before libuv's pool is first used, whose size is fixed then.
  setenv("UV_THREADPOOL_SIZE", "8", 0);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  const TempDir dir;
  {
    const std::shared_ptr<kvs::Engine> engine = open_with_one_key(dir);
    register_form<ByHand>(engine);
    register_form<Combined>(engine);
    register_form<Coroutine>(engine);
    register_form<Boxed>(engine);
    benchmark::RunSpecifiedBenchmarks();
    if (!engine->close()) give_up("the engine cannot be closed");
  }
  benchmark::Shutdown();
  return 0;
}
