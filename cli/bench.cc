#include "cli/bench.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <random>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "cli/exit_code.h"
#include "cli/files.h"
#include "cli/latency.h"
#include "cli/progress.h"
#include "protocol/async/when_all.h"
#include "protocol/client/run.h"

namespace kvs::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t key_digits = 12;
constexpr unsigned fill_pipeline = 100;

// Shared by all clients; they run on one thread.
struct Run {
  const BenchOptions& options;
  unsigned read_percent;
  std::string value;
  Clock::time_point end = Clock::time_point::max();
  std::uint64_t left = 0;  // requests to be sent
  std::uint64_t next_key = 0;
  Latencies latencies;
  std::uint64_t reads = 0;
  std::uint64_t misses = 0;
  std::uint64_t error_replies = 0;
  std::string first_error_reply;
  Progress* progress = nullptr;
};

std::string key_name(const BenchOptions& options, std::uint64_t number) {
  const std::string digits = std::to_string(number);
  return options.prefix + std::string(key_digits - std::min(key_digits, digits.size()), '0') +
         digits;
}

void count(Run& run, const Result<client::Reply>& reply) {
  if (reply) {
    if (reply->kind == client::Reply::Kind::nil) ++run.misses;
    return;
  }
  if (run.error_replies++ == 0) run.first_error_reply = reply.error().message();
}

// One client until the run is over. Errors: that of its connection; error replies are counted.
Task<Result<void>> use(client::Client& client, Run& run, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const BenchOptions& options = run.options;
  while (run.left > 0 && Clock::now() < run.end) {
    client::Pipeline pipeline = client.pipeline();
    const std::uint64_t size = std::min<std::uint64_t>(options.pipeline, run.left);
    run.left -= size;
    for (std::uint64_t i = 0; i < size; ++i) {
      const std::string key = key_name(options, random() % options.keys);
      if (random() % 100 < run.read_percent) {
        ++run.reads;
        pipeline.get(key);
      } else {
        pipeline.set(key, run.value);
      }
    }
    const auto begin = Clock::now();
    auto running = pipeline.run_op();
    const client::PipelineReplies replies = co_await running;
    const auto took = Clock::now() - begin;
    if (!replies) co_return std::unexpected(replies.error());
    for (const Result<client::Reply>& reply : *replies) {
      if (!reply && reply.error().code() != Code::server) {
        co_return std::unexpected(reply.error());
      }
      count(run, reply);
      run.latencies.add(took);
    }
    if (run.progress != nullptr) run.progress->update(run.latencies.count());
  }
  co_return Result<void>();
}

// Sets keys, of those that nobody has set, until all are there.
Task<Result<void>> fill(client::Client& client, Run& run) {
  while (run.next_key < run.options.keys) {
    client::Pipeline pipeline = client.pipeline();
    for (unsigned i = 0; i < fill_pipeline && run.next_key < run.options.keys; ++i) {
      pipeline.set(key_name(run.options, run.next_key++), run.value);
    }
    auto running = pipeline.run_op();
    const client::PipelineReplies replies = co_await running;
    if (!replies) co_return std::unexpected(replies.error());
    for (const Result<client::Reply>& reply : *replies) {
      if (!reply) co_return std::unexpected(reply.error());
    }
    if (run.progress != nullptr) run.progress->update(run.next_key);
  }
  co_return Result<void>();
}

Task<Result<std::vector<client::Client>>> connect_all(uv::Loop& loop, ConnectionOptions to,
                                                      unsigned clients) {
  std::vector<client::Client> all;
  for (unsigned i = 0; i < clients; ++i) {
    auto connecting = client::Client::connect(loop, to.address, connect_options(to));
    Result<client::Client> client = co_await std::move(connecting);
    if (!client) co_return std::unexpected(std::move(client).error());
    all.push_back(std::move(*client));
  }
  co_return all;
}

Result<void> run_all(uv::Loop& loop, std::vector<Task<Result<void>>> tasks) {
  for (Result<void>& outcome : client::run(loop, when_all(std::move(tasks)))) {
    if (!outcome) return std::unexpected(std::move(outcome).error());
  }
  return {};
}

double milliseconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

struct Percentile {
  const char* name;
  double part;
};
constexpr std::array percentiles{Percentile{"p50", 0.5}, Percentile{"p90", 0.9},
                                 Percentile{"p99", 0.99}, Percentile{"p99.9", 0.999}};

std::string result_json(const Run& run, double seconds) {
  Json latency;
  for (const Percentile& each : percentiles) {
    latency[each.name] = milliseconds(run.latencies.percentile(each.part));
  }
  latency["max"] = milliseconds(run.latencies.max());
  const BenchOptions& options = run.options;
  const std::uint64_t requests = run.latencies.count();
  const Json json{{"kind", options.kind},
                  {"clients", options.clients},
                  {"pipeline", options.pipeline},
                  {"keys", options.keys},
                  {"value_bytes", options.value_bytes},
                  {"seed", options.seed},
                  {"requests", requests},
                  {"reads", run.reads},
                  {"misses", run.misses},
                  {"error_replies", run.error_replies},
                  {"seconds", seconds},
                  {"requests_per_second", static_cast<double>(requests) / seconds},
                  {"latency_ms", latency}};
  return to_line(json) + "\n";
}

std::string result_text(const Run& run, double seconds) {
  const BenchOptions& options = run.options;
  const std::uint64_t requests = run.latencies.count();
  std::string text = options.kind + ": " + std::to_string(options.clients) + " clients, pipeline " +
                     std::to_string(options.pipeline) + ", " + shown_count(options.keys) +
                     " keys, values of " + std::to_string(options.value_bytes) + " bytes, seed " +
                     std::to_string(options.seed) + "\n";
  std::array<char, 160> line{};
  std::snprintf(
      line.data(), line.size(), "%s requests in %.2f s: %s/s\n", shown_count(requests).c_str(),
      seconds,
      shown_count(static_cast<std::uint64_t>(static_cast<double>(requests) / seconds)).c_str());
  text += line.data();
  text += "latency";
  for (const Percentile& each : percentiles) {
    std::snprintf(line.data(), line.size(), "  %s %.3f ms", each.name,
                  milliseconds(run.latencies.percentile(each.part)));
    text += line.data();
  }
  std::snprintf(line.data(), line.size(), "  max %.3f ms\n", milliseconds(run.latencies.max()));
  text += line.data();
  return text;
}

}  // namespace

CLI::App* declare_bench(CLI::App& app, BenchOptions& options) {
  CLI::App* const bench = app.add_subcommand(
      "bench", "Measure the server with random keys; overwrites keys that begin with the prefix");
  bench->add_option("KIND", options.kind, "set, get or mixed")
      ->type_name("")
      ->capture_default_str()
      ->check(CLI::IsMember({"set", "get", "mixed"}));
  const auto number = [bench](const char* name, auto& value, const char* about, double low,
                              double high, const char* unit) {
    bench->add_option(name, value, about)
        ->type_name(unit)
        ->capture_default_str()
        ->check(CLI::Range(low, high));
  };
  number("--clients", options.clients, "Connections", 1, 10'000, "N");
  number("--pipeline", options.pipeline, "Requests that a client sends together", 1, 100'000, "N");
  number("--keys", options.keys, "Different keys", 1, 1e12, "N");
  number("--value-size", options.value_bytes, "Size of each value", 0, 512.0 * 1024 * 1024,
         "BYTES");
  number("--duration", options.duration_seconds, "How long", 0.001, 1e7, "SECONDS");
  bench->add_option("--requests", options.requests, "So many instead of a duration")
      ->type_name("N")
      ->check(CLI::Range(1.0, 1e15));
  number("--read-percent", options.read_percent, "Part of GET in mixed", 0, 100, "N");
  number("--seed", options.seed, "For the same keys again", 0, 1e15, "N");
  bench->add_option("--prefix", options.prefix, "Of the keys")
      ->type_name("TEXT")
      ->capture_default_str();
  return bench;
}

int run_bench(const ConnectionOptions& to, const OutputOptions& output,
              const BenchOptions& options) {
  // Waits for the server if that is wanted, and says what is wrong before anything is measured.
  if (const Result<client::SyncClient> ready = connect(to); !ready) return report(ready.error());
  uv::Loop loop;
  Result<std::vector<client::Client>> clients =
      client::run(loop, connect_all(loop, to, options.clients));
  if (!clients) return report(clients.error());

  const unsigned read_percent = options.kind == "get"   ? 100
                                : options.kind == "set" ? 0
                                                        : options.read_percent;
  Run run{.options = options,
          .read_percent = read_percent,
          .value = std::string(options.value_bytes, 'x')};
  std::mt19937_64 random(options.seed);
  for (char& byte : run.value) byte = static_cast<char>('a' + random() % 26);

  std::vector<Task<Result<void>>> tasks;
  if (read_percent > 0) {
    Progress progress("fill", options.keys, Progress::Unit::keys);
    run.progress = &progress;
    for (client::Client& client : *clients) tasks.push_back(fill(client, run));
    const Result<void> filled = run_all(loop, std::exchange(tasks, {}));
    if (!filled) {
      progress.clear();
      return report(filled.error());
    }
  }

  Progress progress(options.kind, options.requests, Progress::Unit::requests);
  run.progress = &progress;
  run.left = options.requests.value_or(UINT64_MAX);
  const auto begin = Clock::now();
  if (!options.requests) {
    run.end = begin + std::chrono::duration_cast<Clock::duration>(
                          std::chrono::duration<double>(options.duration_seconds));
  }
  for (client::Client& client : *clients) tasks.push_back(use(client, run, random()));
  const Result<void> used = run_all(loop, std::move(tasks));
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  progress.clear();
  if (!used) return report(used.error());
  const Result<void> printed =
      print(output.format == Format::json ? result_json(run, seconds) : result_text(run, seconds));
  if (!printed) return report(printed.error());
  if (run.error_replies == 0) return exit_done;
  std::fprintf(stderr, "%s error replies, the first: %s\n", shown_count(run.error_replies).c_str(),
               run.first_error_reply.c_str());
  return exit_error_reply;
}

}  // namespace kvs::cli
