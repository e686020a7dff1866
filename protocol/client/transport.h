// transport.h - the client's end of one connection: requests out, bytes in, TLS between them if
// wanted.
//
// Requests of one loop iteration are gathered and leave in one write: they are appended to
// output(), and a prepare handle sends right before the loop polls. What the kernel does not take
// stays there.
//
// The position of every byte is known until the kernel (or TLS) has taken it, so that a command
// whose bytes never left can be told from one that may have been executed.
//
// Destroying a Transport closes the socket at once; no event comes afterwards.
// Not here: replies, order, timeouts (connection.h), system calls (protocol/uv/tcp_socket.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <uv.h>

#include "protocol/async/result.h"
#include "protocol/client/address.h"
#include "protocol/client/tls.h"
#include "protocol/uv/handle.h"
#include "protocol/uv/loop.h"
#include "protocol/uv/tcp_socket.h"

namespace kvs::client {

// Thread: all members on the loop's.
class Transport final : uv::TcpSocket::Events {
 public:
  // Called on the loop's thread, never from inside a member function of Transport. Each may destroy
  // the Transport.
  class Events {
   public:
    virtual void connected(Result<void> outcome) = 0;   // after TLS's handshake
    virtual void received(std::string_view bytes) = 0;  // the view is good during the call
    virtual void ended(std::string reason) = 0;         // once, and nothing after it

   protected:
    ~Events() = default;
  };

  // `tls` is null for a plain connection.
  Transport(uv::Loop& loop, Events& events, std::shared_ptr<const TlsContext> tls);
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  // Begins to connect; `connected` tells the outcome, and bytes are read from then on.
  // Errors: Code::unreachable when it cannot even be tried.
  Result<void> connect(const SocketAddress& address);

  // Append requests here, then call send_soon(): they leave in this iteration of the loop.
  std::string& output() noexcept { return output_; }
  void send_soon();

  // Bytes appended to output() so far, and those of them that cannot have left.
  std::uint64_t bytes_written() const noexcept { return taken_bytes_ + bytes_kept(); }
  std::size_t bytes_kept() const noexcept { return output_.size() - output_start_; }

  // Stops and restarts reading, for an owner that has no room.
  enum class Reading : std::uint8_t { on, off };
  void set_reading(Reading reading);

 private:
  enum class State : std::uint8_t { connecting, shaking_hands, open, ended };
  // After a call out: whether this object still exists.
  enum class Life : std::uint8_t { alive, destroyed };

  void ready() override;
  void on_connected();
  void receive();
  void receive_tls(std::string_view encrypted);
  void flush();
  void take_encrypted();
  bool flush_encrypted();
  ssize_t send(std::string_view bytes);
  void take_output(std::size_t bytes);
  void watch();
  void settle(Result<void> outcome);
  void end(std::string reason);

  template <class Call>
  Life call_out(Call call);

  uv::Loop& loop_;
  Events& events_;
  const std::shared_ptr<const TlsContext> tls_context_;
  State state_ = State::connecting;
  Reading reading_ = Reading::on;
  bool peer_gone_ = false;  // sending has failed, receiving has not yet
  bool blocked_ = false;    // the kernel has no room
  bool* destroyed_ = nullptr;

  uv::TcpSocket socket_;
  uv::HandlePtr<uv_prepare_t> before_poll_;
  std::unique_ptr<tls::Session> tls_;
  std::unique_ptr<char[]> input_;
  std::string plain_;   // decrypted, about to be handed on
  std::string output_;  // from output_start_ on: not taken yet
  std::size_t output_start_ = 0;
  std::string encrypted_;  // the same for what TLS has made of it
  std::size_t encrypted_start_ = 0;
  std::uint64_t taken_bytes_ = 0;  // of output_, by the kernel or TLS
};

}  // namespace kvs::client
