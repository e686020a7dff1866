#include "daemon/loading.h"

#include <utility>

#include "daemon/log.h"
#include "daemon/maintenance.h"

namespace kvs::daemon {

using namespace std::chrono_literals;

namespace {

// systemd waits this long for the next sign of life before it gives up a start.
constexpr std::chrono::microseconds start_extension = 30s;

}  // namespace

Loading::Loading(uv::Loop& loop, Engine& engine, LoadStatus& status)
    : loop_(loop),
      engine_(engine),
      status_(status),
      each_second_(loop, [this] { each_second(); }) {}

void Loading::start(std::chrono::milliseconds patience, std::function<void(Result<void>)> ended) {
  ended_ = std::move(ended);
  running_ = true;
  status_.begin();
  std::promise<Result<void>> promise;
  result_ = promise.get_future();
  thread_ = std::jthread([this, promise = std::move(promise)]() mutable {
    promise.set_value(engine_.load());
    loop_.post([this] { finished(); });
  });
  if (result_.wait_for(patience) == std::future_status::ready) return finished();
  each_second_.start_every(1s);
}

void Loading::each_second() {
  seen_ = true;
  const std::string line =
      fmt::format("loading: {:.1f} % ({} of {} MiB, {} keys), about {} s left", status_.percent(),
                  status_.bytes_done() >> 20, status_.bytes_total() >> 20, status_.keys(),
                  status_.seconds_left());
  log_info("{}", line);
  tell_systemd(fmt::format("STATUS={}\nEXTEND_TIMEOUT_USEC={}", line, start_extension.count()));
}

// Comes twice when start() has waited for it.
void Loading::finished() {
  if (!running_) return;
  each_second_.stop();
  Result<void> result = result_.get();
  if (result) {
    if (seen_) log_info("loading: done, {} keys", status_.keys());
    status_.end();
  }
  running_ = false;
  ended_(std::move(result));
}

}  // namespace kvs::daemon
