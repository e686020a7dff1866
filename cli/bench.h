// bench.h - `kvs-client bench`: how many requests a second, and how long each takes.
//
// A closed loop, as redis-benchmark: each client sends its next requests when the last were
// answered, so a server that stalls is asked less, and percentiles are better than what an
// independent arrival of requests would see. tests/bench/open_loop.cc measures that.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cli/connection.h"
#include "cli/output.h"

namespace CLI {
class App;
}

namespace kvs::cli {

struct BenchOptions {
  std::string kind = "mixed";  // set, get or mixed
  unsigned clients = 50;
  unsigned pipeline = 1;  // requests that a client sends together
  std::uint64_t keys = 100'000;
  std::uint64_t value_bytes = 100;
  double duration_seconds = 5;
  std::optional<std::uint64_t> requests;  // instead of a duration
  unsigned read_percent = 80;             // of mixed
  std::uint64_t seed = 1;
  std::string prefix = "bench:";
};

CLI::App* declare_bench(CLI::App& app, BenchOptions& options);

int run_bench(const ConnectionOptions& to, const OutputOptions& output,
              const BenchOptions& options);

}  // namespace kvs::cli
