// patience.h - should a batch that could leave wait for more to ride with it?
//
// A batch costs a hop to the pool and back, some 8 us of CPU however much it carries. With many
// clients that wait for one reply each, requests come one by one; sent at once they ride by twos
// and threes, and the hops cost more than the work. So while requests come fast from many
// connections, a batch waits until a good part of these has joined it, but never longer than
// `patience`. Few connections, a slow stream of requests, or a pipeline (many requests of one
// connection) wait for nothing.
//
// It measures by the loop's clock, in windows of some milliseconds.
#pragma once

#include <cstddef>
#include <cstdint>

#include "daemon/client.h"

namespace kvs::daemon {

// Thread: the loop's.
class Patience {
 public:
  // `client` brings requests to a batch, at `now_ms` of the loop's clock.
  void note(Client& client, std::uint64_t now_ms);

  // From how many requests on a batch should leave at once; 1: whatever it has.
  std::size_t wanted(std::uint64_t now_ms) const;

 private:
  std::uint32_t window_ = 1;  // counts windows; a client remembers the one that it was met in
  std::uint64_t began_ms_ = 0;
  std::size_t steps_ = 0;    // in this window: a connection's turn in a batch
  std::size_t clients_ = 0;  // in this window, each once
  std::size_t wanted_ = 1;   // by the window before
};

}  // namespace kvs::daemon
