// transport.h - the client's end of one TCP connection, on libuv's own stream.
//
// Requests of one loop iteration are gathered and leave in one write: `write` only queues, a
// prepare handle sends right before the loop polls. One write is in flight at a time; what comes
// meanwhile is the next one.
//
// Destroying a Transport closes the socket at once; no event comes afterwards.
// Not here: replies, order, timeouts (connection.h).
// SIGPIPE: libuv writes without MSG_NOSIGNAL, so the program has to ignore the signal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <uv.h>

#include "protocol/async/result.h"
#include "protocol/client/address.h"
#include "protocol/uv/handle.h"
#include "protocol/uv/loop.h"

namespace kvs::client {

// Thread: all members on the loop's.
class Transport {
 public:
  // Called on the loop's thread, never from inside a member function of Transport. Each may destroy
  // the Transport.
  class Events {
   public:
    virtual void connected(Result<void> outcome) = 0;
    virtual void received(std::string_view bytes) = 0;  // the view is good during the call
    virtual void ended(std::string reason) = 0;         // once, and nothing after it

   protected:
    ~Events() = default;
  };

  Transport(uv::Loop& loop, Events& events);
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  // Begins to connect; `connected` tells the outcome, and bytes are read from then on.
  // Errors: Code::unreachable when it cannot even be tried.
  Result<void> connect(const SocketAddress& address);

  // Queues `bytes` to be sent in this iteration of the loop.
  void write(std::string_view bytes);

  // Bytes given to write() so far, and those of them that the kernel has for sure not got.
  std::uint64_t bytes_written() const noexcept { return written_bytes_; }
  std::size_t bytes_kept() const noexcept;

 private:
  struct ConnectRequest;
  struct WriteRequest;

  void on_connected(int status);
  void on_read(std::int64_t bytes_or_error);
  void on_written(int status);
  void flush();
  void end(int status);

  Events& events_;
  uv::HandlePtr<uv_tcp_t> socket_;
  uv::HandlePtr<uv_prepare_t> before_poll_;
  std::unique_ptr<char[]> input_;
  std::string output_;                    // not yet given to libuv
  std::uint64_t written_bytes_ = 0;       // all that write() has taken
  ConnectRequest* connecting_ = nullptr;  // libuv's until its callback
  WriteRequest* writing_ = nullptr;       // the same
  bool peer_gone_ = false;                // writing has failed, reading has not yet
  bool ended_ = false;
};

}  // namespace kvs::client
