#include "daemon/patience.h"

#include <algorithm>

namespace kvs::daemon {
namespace {

constexpr std::uint64_t window_ms = 2;
// Below this many steps in a millisecond hops are cheap enough.
constexpr std::size_t steps_per_ms_min = 20;
// A batch waits for one in so many of the connections that are at work.
constexpr std::size_t share = 3;
constexpr std::size_t wanted_max = 16;

}  // namespace

void Patience::note(Client& client, std::uint64_t now_ms) {
  const std::uint64_t elapsed_ms = now_ms - began_ms_;
  if (elapsed_ms >= window_ms) {
    const bool fast = steps_ >= steps_per_ms_min * elapsed_ms;
    wanted_ = fast ? std::clamp<std::size_t>(clients_ / share, 1, wanted_max) : 1;
    began_ms_ = now_ms;
    steps_ = 0;
    clients_ = 0;
    ++window_;
  }
  ++steps_;
  if (client.lane_window == window_) return;
  client.lane_window = window_;
  ++clients_;
}

std::size_t Patience::wanted(std::uint64_t now_ms) const {
  // Nobody has come for a while: what was is no promise.
  return now_ms - began_ms_ <= 2 * window_ms ? wanted_ : 1;
}

}  // namespace kvs::daemon
