// tls_layer.h - TLS for a test's Socket: OpenSSL straight on the descriptor, so that the server
// talks to something that is not our own code.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <sys/types.h>

struct ssl_ctx_st;
struct ssl_session_st;
struct ssl_st;

namespace kvs::test {

struct TlsClient {
  std::string ca;                    // names of certificates.h; empty: the server is not verified
  std::string certificate;           // empty: none
  std::string ciphers;               // empty: OpenSSL's choice
  int version = 0;                   // OpenSSL's TLS1_2_VERSION or TLS1_3_VERSION; 0: any
  ssl_session_st* resume = nullptr;  // a session to be resumed
};

class TlsLayer {
 public:
  // Shakes hands on a non-blocking socket. Throws std::runtime_error with OpenSSL's reason when
  // that fails or takes longer than `timeout`.
  TlsLayer(int fd, const TlsClient& client, std::chrono::milliseconds timeout);
  ~TlsLayer();
  TlsLayer(const TlsLayer&) = delete;
  TlsLayer& operator=(const TlsLayer&) = delete;

  // As recv(2) and send(2), with errno. 0 of receive() is the end, however that came.
  ssize_t receive(char* buffer, std::size_t size);
  ssize_t send(const char* bytes, std::size_t size);
  // Says goodbye; replies can still be read.
  void close();
  // Did the server say goodbye, as it should before it closes?
  bool peer_said_goodbye() const;

  ssl_st* raw() const noexcept { return session_; }

 private:
  int outcome(int result) const;

  const std::shared_ptr<ssl_ctx_st> context_;
  ssl_st* const session_;
};

}  // namespace kvs::test
