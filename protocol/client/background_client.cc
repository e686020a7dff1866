#include "protocol/client/background_client.h"

#include <cassert>
#include <future>

namespace kvs::client {
namespace {

// Calls `work` on the loop's thread and waits until it is over.
void run_on(uv::Loop& loop, std::move_only_function<void(std::promise<void>)> work) {
  std::promise<void> over;
  const std::future<void> waiting = over.get_future();
  loop.post([work = std::move(work), over = std::move(over)]() mutable { work(std::move(over)); });
  waiting.wait();
}

kvs::detail::Detached connect_into(uv::Loop& loop, SocketAddress address, ConnectOptions options,
                                   std::optional<Client>& client, Result<void>& outcome,
                                   std::promise<void> over) {
  {
    auto connecting = Client::connect(loop, std::move(address), std::move(options));
    Result<Client> connected = co_await std::move(connecting);
    if (connected) {
      client.emplace(std::move(*connected));
    } else {
      outcome = std::unexpected(std::move(connected).error());
    }
  }
  over.set_value();
}

}  // namespace

Result<std::unique_ptr<BackgroundClient>> BackgroundClient::connect(const SocketAddress& address,
                                                                    ConnectOptions options) {
  Result<std::unique_ptr<uv::LoopThread>> thread = uv::LoopThread::start();
  if (!thread) return std::unexpected(std::move(thread).error());
  auto made = std::make_unique<BackgroundClient>(std::move(*thread));
  Result<void> outcome;
  uv::Loop& loop = made->thread_->loop();
  run_on(loop, [&](std::promise<void> over) {
    connect_into(loop, address, std::move(options), made->client_, outcome, std::move(over));
  });
  if (!outcome) return std::unexpected(std::move(outcome).error());
  return made;
}

Result<std::unique_ptr<BackgroundClient>> BackgroundClient::open(const SocketAddress& address,
                                                                 ConnectOptions options) {
  Result<std::unique_ptr<uv::LoopThread>> thread = uv::LoopThread::start();
  if (!thread) return std::unexpected(std::move(thread).error());
  auto made = std::make_unique<BackgroundClient>(std::move(*thread));
  uv::Loop& loop = made->thread_->loop();
  run_on(loop, [&](std::promise<void> over) {
    made->client_.emplace(Client::open(loop, address, std::move(options)));
    over.set_value();
  });
  return made;
}

BackgroundClient::~BackgroundClient() {
  uv::Loop& loop = thread_->loop();
  run_on(loop, [&](std::promise<void> over) {
    // Closed, but not destroyed: what runs beside it may look at it once more.
    if (client_) client_->close();
    // Behind what the client has posted: by then everybody has an answer.
    loop.post([over = std::move(over)]() mutable { over.set_value(); });
  });
  thread_.reset();
}

}  // namespace kvs::client
