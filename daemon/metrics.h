// metrics.h - counters for INFO. Thread: any.
//
// Each worker counts in a block of its own (no shared cache lines on the hot path); INFO adds the
// blocks up. Which block a thread uses is bound to the connection that it serves, not to the
// thread.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "daemon/command_stats.h"

namespace kvs::daemon {

struct Command;

// Written with relaxed operations; each counter only grows.
struct alignas(64) WorkerMetrics {
  std::atomic<std::uint64_t> commands{0};
  std::atomic<std::uint64_t> net_input_bytes{0};
  std::atomic<std::uint64_t> net_output_bytes{0};
  std::atomic<std::uint64_t> net_reads{0};   // that brought something; the loop alone counts these
  std::atomic<std::uint64_t> net_writes{0};  // that took something
  std::atomic<std::uint64_t> keyspace_hits{0};
  std::atomic<std::uint64_t> keyspace_misses{0};
  std::atomic<std::uint64_t> connections_accepted{0};
  std::atomic<std::uint64_t> connections_rejected{0};
  std::atomic<std::uint64_t> batches{0};  // pool jobs
  std::atomic<std::uint64_t> batched_requests{0};
  std::atomic<std::uint64_t> cold_reads{0};  // values read beside the loop
  std::atomic<std::uint64_t> error_replies{0};
  std::atomic<std::uint64_t> query_limit_closed{0};
  std::atomic<std::uint64_t> output_limit_closed{0};
  std::atomic<std::uint64_t> timeouts_closed{0};
  std::atomic<std::uint64_t> auth_failures{0};
  CommandStats by_command;

  // For counters that one thread alone writes: an addition without a lock on the bus.
  static void count_one(std::atomic<std::uint64_t>& counter) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

  // Not a counter: this loop reads cold values through io_uring.
  std::atomic<bool> has_ring{false};
};

class Metrics {
 public:
  explicit Metrics(std::size_t workers);

  WorkerMetrics& worker(std::size_t index) { return workers_[index]; }
  CommandFigures figures_of(const Command& command) const;
  // How many errors of each kind were answered.
  std::map<std::string, std::uint64_t, std::less<>> errors() const;
  // Do all loops read cold values through io_uring?
  bool all_have_rings() const;
  std::uint64_t sum(std::atomic<std::uint64_t> WorkerMetrics::*counter) const;

  // Bytes in all connections' input and output buffers: what maxmemory-clients bounds.
  std::atomic<std::uint64_t> client_buffer_bytes{0};
  std::atomic<std::uint64_t> connected_clients_peak{0};
  void note_connected(std::uint64_t clients) noexcept {
    std::uint64_t peak = connected_clients_peak.load(std::memory_order_relaxed);
    while (clients > peak && !connected_clients_peak.compare_exchange_weak(peak, clients)) {
    }
  }

  std::chrono::steady_clock::time_point started_at() const noexcept { return started_at_; }

  // What follows is of the last full second or so; `tick` is called by main's timer.
  void tick();
  std::uint64_t operations_per_second() const noexcept { return operations_.per_second.load(); }
  std::uint64_t input_bytes_per_second() const noexcept { return input_bytes_.per_second.load(); }
  std::uint64_t output_bytes_per_second() const noexcept { return output_bytes_.per_second.load(); }

  // CPU time of the thread that calls tick().
  std::uint64_t main_thread_user_us() const noexcept { return main_thread_user_us_.load(); }
  std::uint64_t main_thread_system_us() const noexcept { return main_thread_system_us_.load(); }

  void reset();  // CONFIG RESETSTAT: sum() counts from here on

  // 40 hexadecimal digits that tell one start of the server from another.
  const std::string& run_id() const noexcept { return run_id_; }
  std::chrono::system_clock::time_point started_at_wall_clock() const noexcept {
    return started_at_wall_clock_;
  }

 private:
  struct Rate {
    std::atomic<std::uint64_t> per_second{0};
    std::uint64_t ticked_total = 0;  // main thread only
    void tick(std::uint64_t total, double seconds) noexcept;
  };

  std::uint64_t total(std::atomic<std::uint64_t> WorkerMetrics::*counter) const;

  std::vector<WorkerMetrics> workers_;
  WorkerMetrics baseline_;  // the totals at the last reset
  const std::string run_id_;
  const std::chrono::system_clock::time_point started_at_wall_clock_ =
      std::chrono::system_clock::now();
  const std::chrono::steady_clock::time_point started_at_ = std::chrono::steady_clock::now();
  Rate operations_;
  Rate input_bytes_;
  Rate output_bytes_;
  std::atomic<std::uint64_t> main_thread_user_us_{0};
  std::atomic<std::uint64_t> main_thread_system_us_{0};
  std::chrono::steady_clock::time_point ticked_at_ = started_at_;
};

}  // namespace kvs::daemon
