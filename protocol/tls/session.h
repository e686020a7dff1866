// session.h - TLS of one connection: OpenSSL between two buffers, without a socket of its own.
//
// Bytes from the network are read where they lie (feed), and bytes for it are gathered in a string
// (output), so that whoever owns the socket stays the only one who waits. What was fed is used up
// by shake_hands() and decrypt(): OpenSSL keeps at most the beginning of one record.
//
// Bounded: handshake messages by OpenSSL; key updates and other messages without data by us, since
// each may ask for an answer. Renegotiation is refused (context.cc).
//
// Errors are final: the session is of no use afterwards, but for output(), which may hold an alert.
// Thread: one at a time.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "protocol/async/result.h"
#include "protocol/tls/context.h"

struct ssl_st;

namespace kvs::tls {

// Key updates of the peer with no data between them.
inline constexpr unsigned key_updates_max = 32;

class Session {
 public:
  // The client's end. The certificate must name `server_name` or, if that is empty, the numeric
  // address `host`.
  static std::unique_ptr<Session> to_server(std::shared_ptr<const Context> context,
                                            const std::string& host,
                                            const std::string& server_name);
  // The server's end.
  static std::unique_ptr<Session> to_client(std::shared_ptr<const Context> context);

  explicit Session(std::shared_ptr<const Context> context);  // for those two
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Takes bytes from the network. They must stay where they are until shake_hands() has returned
  // false, or decrypt() 0.
  void feed(std::string_view encrypted);

  // Goes on with the handshake as far as the fed bytes allow; true once it is done.
  // Errors: Code::unreachable.
  Result<bool> shake_hands();

  // Decrypts some of what was fed and returns how many bytes that gave, at most one record; 0: not
  // without more from the network, or never (peer_closed). After the handshake only.
  // Errors: Code::connection_lost.
  Result<std::size_t> decrypt(std::span<char> plain);
  // The peer has said goodbye: it sends no more.
  bool peer_closed() const noexcept;

  // Takes `plain` to be sent. After the handshake only. Errors: Code::connection_lost.
  Result<void> encrypt(std::string_view plain);

  // Says goodbye.
  void close();

  // What is to be sent. Who sends it takes it from here.
  std::string& output() noexcept { return output_; }

 private:
  friend struct Wire;  // OpenSSL's view of the two buffers

  const std::shared_ptr<const Context> context_;
  ssl_st* const session_;
  std::string_view fed_;
  std::string output_;
  unsigned key_updates_ = 0;
};

// The largest piece of plain text in one record: what decrypt() wants room for.
inline constexpr std::size_t record_bytes_max = 16384;

}  // namespace kvs::tls
