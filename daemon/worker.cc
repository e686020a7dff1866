#include "daemon/worker.h"

#include <chrono>
#include <unistd.h>
#include <utility>

#include "daemon/client_registry.h"
#include "daemon/operations.h"

namespace kvs::daemon {

Worker::Worker(Services& services, SyncTurn& turn, WorkerMetrics& metrics)
    : services_(services),
      metrics_(metrics),
      parking_(loop_, turn, gate_),
      lane_(loop_, services, turn, metrics, limits::batch_connections_max),
      slow_lane_(loop_, services, turn, metrics, 1),
      cold_reads_(loop_, services, metrics),
      key_prefetch_(services.engine, services.commands),
      mailroom_([this] { loop_.post([this] { deliver_mail(); }); }),
      read_buffer_(std::make_unique<std::array<char, limits::read_buffer_bytes>>()),
      prepare_(uv::make_handle<uv_prepare_t>(
          [this](uv_prepare_t* prepare) { uv_prepare_init(loop_.raw(), prepare); })),
      each_second_(loop_, [this] {
        const auto time = now();
        // A connection that ends leaves the list only after libuv has closed it: not in here.
        for (Connection& connection : connections_) connection.check_timeouts(time);
      }) {
  turn.add(parking_);
  services.operations.pause.tell([this] {
    loop_.post([this] {
      // One that goes on may end, but leaves the list only after libuv has closed it.
      for (Connection& connection : connections_) connection.end_pause();
    });
  });
  prepare_->data = this;
  uv_prepare_start(prepare_.get(), [](uv_prepare_t* prepare) {
    static_cast<Worker*>(prepare->data)->end_of_iteration();
  });
  each_second_.start_every(std::chrono::seconds(1));
}

Worker::~Worker() = default;

void Worker::listen(int listening_fd, Listener::Accepted accepted) {
  listeners_.emplace_back(loop_, listening_fd, std::move(accepted));
}

void Worker::start(std::function<void()> stopped) {
  thread_ = std::thread([this, on_stopped = std::move(stopped)] {
    loop_.run();
    on_stopped();
  });
}

void Worker::join() {
  thread_.join();
}

void Worker::stop() {
  loop_.post([this] {
    stopping_ = true;
    listeners_.clear();
    for (Connection& connection : connections_) connection.finish();
    detail::start_detached(stop_when_idle());
  });
}

Task<void> Worker::stop_when_idle() {
  auto closed = gate_.closed();
  co_await closed;
  loop_.stop();
}

void Worker::adopt(int fd, std::shared_ptr<ClientShared> shared,
                   std::shared_ptr<const tls::Context> tls) {
  load_.fetch_add(1, std::memory_order_relaxed);
  loop_.post([this, fd, client = std::move(shared), context = std::move(tls)]() mutable {
    if (stopping_) {
      ::close(fd);
      return;
    }
    spawn(gate_, serve(fd, std::move(client), std::move(context)));
  });
}

Task<void> Worker::serve(int fd, std::shared_ptr<ClientShared> shared,
                         std::shared_ptr<const tls::Context> tls) {
  metrics_.connections_accepted.fetch_add(1, std::memory_order_relaxed);
  const std::uint64_t id = shared->id;
  const auto connection =
      connections_.emplace(connections_.end(), *this, fd, shared, std::move(tls));
  services_.clients.add(shared, [this, id] {
    loop_.post([this, id] {
      for (Connection& each : connections_) each.finish_if_killed(id);
    });
  });
  services_.metrics.note_connected(services_.clients.count());
  {
    Task<void> life = connection->serve();
    co_await std::move(life);
  }
  connections_.erase(connection);
}

void Worker::forget_client(std::uint64_t id) {
  services_.clients.remove(id);
  load_.fetch_sub(1, std::memory_order_relaxed);
}

void Worker::deliver_mail() {
  for (const auto& mailbox : mailroom_.collect()) {
    if (Connection* const owner = mailbox->owner()) owner->deliver_mail();
  }
}

void Worker::launch() {
  cold_reads_.submit();  // first: what it completes at once may have more for the lanes
  lane_.launch();
  slow_lane_.launch();
}

void Worker::end_of_iteration() {
  launch();
  while (!to_flush_.empty()) {
    flushing_.swap(to_flush_);
    // A flush may let a connection go on, which may end it, but never frees it in here.
    for (Connection* connection : flushing_) connection->flush();
    flushing_.clear();
    launch();
  }
}

}  // namespace kvs::daemon
