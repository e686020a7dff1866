#include "daemon/metrics.h"

#include <algorithm>
#include <array>
#include <sys/resource.h>

#include <sodium.h>

namespace kvs::daemon {

namespace {

using Counter = std::atomic<std::uint64_t> WorkerMetrics::*;

// Everything that CONFIG RESETSTAT sets back. A new counter goes here too.
constexpr std::array<Counter, 17> counters = {
    &WorkerMetrics::commands,
    &WorkerMetrics::net_input_bytes,
    &WorkerMetrics::net_output_bytes,
    &WorkerMetrics::net_reads,
    &WorkerMetrics::net_writes,
    &WorkerMetrics::keyspace_hits,
    &WorkerMetrics::keyspace_misses,
    &WorkerMetrics::connections_accepted,
    &WorkerMetrics::connections_rejected,
    &WorkerMetrics::batches,
    &WorkerMetrics::batched_requests,
    &WorkerMetrics::cold_reads,
    &WorkerMetrics::error_replies,
    &WorkerMetrics::query_limit_closed,
    &WorkerMetrics::output_limit_closed,
    &WorkerMetrics::timeouts_closed,
    &WorkerMetrics::auth_failures,
};

std::string random_run_id() {
  std::array<unsigned char, 20> bytes;
  randombytes_buf(bytes.data(), bytes.size());
  std::array<char, 2 * bytes.size() + 1> text;
  sodium_bin2hex(text.data(), text.size(), bytes.data(), bytes.size());
  return text.data();
}

}  // namespace

Metrics::Metrics(std::size_t workers) : workers_(workers), run_id_(random_run_id()) {}

std::uint64_t Metrics::total(Counter counter) const {
  std::uint64_t sum = 0;
  for (const WorkerMetrics& worker : workers_) {
    sum += (worker.*counter).load(std::memory_order_relaxed);
  }
  return sum;
}

std::uint64_t Metrics::sum(Counter counter) const {
  return total(counter) - (baseline_.*counter).load(std::memory_order_relaxed);
}

void Metrics::Rate::tick(std::uint64_t total, double seconds) noexcept {
  per_second.store(
      static_cast<std::uint64_t>(static_cast<double>(total - ticked_total) / seconds + 0.5));
  ticked_total = total;
}

void Metrics::tick() {
  const auto microseconds = [](const timeval& time) {
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000 +
           static_cast<std::uint64_t>(time.tv_usec);
  };
  rusage used{};
  getrusage(RUSAGE_THREAD, &used);
  main_thread_user_us_.store(microseconds(used.ru_utime));
  main_thread_system_us_.store(microseconds(used.ru_stime));

  const auto now = std::chrono::steady_clock::now();
  const double seconds = std::chrono::duration<double>(now - ticked_at_).count();
  if (seconds <= 0) return;
  operations_.tick(total(&WorkerMetrics::commands), seconds);
  input_bytes_.tick(total(&WorkerMetrics::net_input_bytes), seconds);
  output_bytes_.tick(total(&WorkerMetrics::net_output_bytes), seconds);
  ticked_at_ = now;
}

CommandFigures Metrics::figures_of(const Command& command) const {
  CommandFigures figures;
  for (const WorkerMetrics& worker : workers_) worker.by_command.add_to(command, figures);
  return figures;
}

std::map<std::string, std::uint64_t, std::less<>> Metrics::errors() const {
  std::map<std::string, std::uint64_t, std::less<>> errors;
  for (const WorkerMetrics& worker : workers_) worker.by_command.add_errors_to(errors);
  return errors;
}

bool Metrics::all_have_rings() const {
  return std::all_of(workers_.begin(), workers_.end(),
                     [](const WorkerMetrics& worker) { return worker.has_ring.load(); });
}

void Metrics::reset() {
  for (WorkerMetrics& worker : workers_) worker.by_command.reset();
  for (const Counter counter : counters) {
    (baseline_.*counter).store(total(counter), std::memory_order_relaxed);
  }
}

}  // namespace kvs::daemon
