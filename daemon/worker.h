// worker.h - one thread, one loop, and the connections that live on it.
//
// The end of each loop iteration is where batching happens: first the gathered reads of files go to
// the kernel and the gathered requests to the pool as one job, then every connection with replies
// gets one write.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <list>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include <uv.h>

#include "daemon/cold_reads.h"
#include "daemon/connection.h"
#include "daemon/context.h"
#include "daemon/durability.h"
#include "daemon/key_prefetch.h"
#include "daemon/lane.h"
#include "daemon/limits.h"
#include "daemon/listener.h"
#include "daemon/mailbox.h"
#include "daemon/metrics.h"
#include "protocol/async/gate.h"
#include "protocol/async/task.h"
#include "protocol/uv/loop.h"
#include "protocol/uv/timer.h"

namespace kvs::daemon {

// Thread: the worker's own, but for what says "any thread".
class Worker {
 public:
  Worker(Services& services, SyncTurn& turn, WorkerMetrics& metrics);
  ~Worker();  // after join()
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Watches one more listening socket, which it then owns. Before start().
  void listen(int listening_fd, Listener::Accepted accepted);

  // Starts the thread; `stopped` is called on it as its last act. From main.
  void start(std::function<void()> stopped);
  // Stops listening, lets every connection finish what it has begun, then ends the thread.
  // Any thread.
  void stop();
  void join();  // from main

  // Makes a connected socket a client of this loop; `tls` is null for a plain one. Any thread.
  void adopt(int fd, std::shared_ptr<ClientShared> shared, std::shared_ptr<const tls::Context> tls);
  // How many clients it has or is about to get. Any thread.
  std::size_t load() const noexcept { return load_.load(std::memory_order_relaxed); }

  // For connections.
  uv::Loop& loop() noexcept { return loop_; }
  Services& services() noexcept { return services_; }
  WorkerMetrics& metrics() noexcept { return metrics_; }
  Parking& parking() noexcept { return parking_; }
  Lane& lane() noexcept { return lane_; }
  Lane& slow_lane() noexcept { return slow_lane_; }
  ColdReads& cold_reads() noexcept { return cold_reads_; }
  KeyPrefetch& key_prefetch() noexcept { return key_prefetch_; }
  Mailroom& mailroom() noexcept { return mailroom_; }
  std::span<char> read_buffer() noexcept { return *read_buffer_; }
  // The loop's time, read once per iteration.
  Connection::Clock::time_point now() noexcept {
    return Connection::Clock::time_point(std::chrono::milliseconds(uv_now(loop_.raw())));
  }
  void flush_later(Connection& connection) { to_flush_.push_back(&connection); }
  void forget_flush(Connection& connection) { std::erase(to_flush_, &connection); }
  // Nobody finds this client any more, and its place is free.
  void forget_client(std::uint64_t id);

 private:
  Task<void> serve(int fd, std::shared_ptr<ClientShared> shared,
                   std::shared_ptr<const tls::Context> tls);
  Task<void> stop_when_idle();
  void end_of_iteration();
  void deliver_mail();
  void launch();

  uv::Loop loop_;
  Services& services_;
  WorkerMetrics& metrics_;
  Gate gate_;  // connections, and a sync that this loop runs
  Parking parking_;
  Lane lane_;
  Lane slow_lane_;
  ColdReads cold_reads_;
  KeyPrefetch key_prefetch_;
  Mailroom mailroom_;
  std::unique_ptr<std::array<char, limits::read_buffer_bytes>> read_buffer_;
  std::list<Listener> listeners_;
  std::list<Connection> connections_;  // a list: their addresses stay
  std::vector<Connection*> to_flush_;
  std::vector<Connection*> flushing_;
  bool stopping_ = false;
  std::atomic<std::size_t> load_{0};
  uv::HandlePtr<uv_prepare_t> prepare_;
  uv::Timer each_second_;
  std::thread thread_;
};

}  // namespace kvs::daemon
