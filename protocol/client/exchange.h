// exchange.h - one request with its replies, as the connection sees it.
//
// An Exchange lives where its future lives: in a coroutine's frame, in a combinator, on the heap.
// The connection keeps its address while replies are due and forgets it when it is destroyed, so
// dropping one is safe at any time; what was sent is executed all the same.
//
// Not here: what the request means (operation.h, commands.h).
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <string>

#include "protocol/async/result.h"
#include "protocol/client/reply.h"

namespace kvs::client {

class Connection;
class Session;

// Thread: all members on the loop's, but an exchange that was not started may be made, moved and
// destroyed on any.
class Exchange {
 public:
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

 protected:
  Exchange() = default;
  // Whoever derives calls withdraw() in its own destructor, while it still is what it was.
  virtual ~Exchange() { assert(!started()); }

  // Nobody is interested any more.
  void withdraw();

  // Replies are due.
  bool started() const noexcept { return connection_ || session_; }

 private:
  friend Connection;
  friend Session;

  // How many replies are due; constant once started.
  virtual std::size_t replies() const { return 1; }
  // Appends the request, `replies()` commands.
  virtual void encode(std::string& output) const = 0;
  // Where in the encoded bytes the command of reply `index` begins.
  virtual std::size_t offset(std::size_t /*index*/) const { return 0; }
  // One reply, or why there is none; called replies() times. Not started() any more in the last
  // one, which may destroy this.
  virtual void answered(Result<Reply> reply) = 0;

  Connection* connection_ = nullptr;  // set while replies are due from it
  Session* session_ = nullptr;        // set while this waits for a connection
  std::uint64_t first_slot_ = 0;      // in either's queue
  std::size_t answered_ = 0;
};

}  // namespace kvs::client
