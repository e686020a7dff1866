#include "protocol/client/link.h"

#include <algorithm>
#include <utility>

namespace kvs::client {

Link::Link(uv::Loop& loop, SocketAddress address, ConnectOptions options, Listener& listener,
           Connection::Mode mode)
    : loop_(loop),
      address_(std::move(address)),
      options_(std::move(options)),
      listener_(listener),
      mode_(mode),
      random_(std::random_device{}()),
      timer_(std::make_unique<uv::Timer>(loop, [this] { connect(); })) {}

void Link::start() {
  // From the loop, so that the listener is never called from inside start().
  timer_->start_once(std::chrono::milliseconds(0));
}

void Link::connect() {
  if (options_.tls && !tls_) {
    Result<std::shared_ptr<const TlsContext>> made = TlsContext::make(*options_.tls);
    if (!made) {
      // A file that is missing now is not there a moment later either.
      closed_ = true;
      return listener_.link_down(made.error(), Next::stays_down);
    }
    tls_ = std::move(*made);
  }
  connection_ = Connection::open(loop_, address_, options_, tls_, *this, mode_);
}

void Link::close() {
  closed_ = true;
  timer_.reset();
  if (const auto connection = std::exchange(connection_, nullptr)) connection->close();
}

void Link::opened() {
  failures_ = 0;
  listener_.link_up();
}

void Link::lost(const Error& why) {
  connection_.reset();  // it keeps itself until it has told everybody
  ++failures_;
  const bool again = options_.reconnect && (options_.reconnect->attempts_max == 0 ||
                                            failures_ <= options_.reconnect->attempts_max);
  if (again) timer_->start_once(next_delay());
  closed_ = !again;
  listener_.link_down(why, again ? Next::tries_again : Next::stays_down);
}

std::chrono::milliseconds Link::next_delay() {
  const Reconnect& policy = *options_.reconnect;
  const double factor = static_cast<double>(std::uint64_t{1} << std::min(failures_ - 1, 30U));
  const double longest = std::min(static_cast<double>(policy.first_delay.count()) * factor,
                                  static_cast<double>(policy.delay_max.count()));
  std::uniform_real_distribution<double> part(1.0 - std::clamp(policy.jitter, 0.0, 1.0), 1.0);
  return std::chrono::milliseconds(static_cast<std::int64_t>(longest * part(random_)));
}

}  // namespace kvs::client
