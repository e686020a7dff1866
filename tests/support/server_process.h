// server_process.h - a kvs-server of the test's own, on a free port of 127.0.0.1, in a directory of
// its own; gone when the test is.
//
// Its stderr goes to a file, which is printed when the test case fails. Start it from a thread that
// outlives it (run_program.h says why).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#include "tests/support/socket.h"
#include "tests/support/temp_dir.h"

namespace kvs::test {

// What the start of a server waits for.
enum class WaitUntil : std::uint8_t {
  loaded,     // it answers from its data
  answering,  // it answers, be it that it is loading
};

struct ServerOptions {
  std::vector<std::string> arguments;    // besides --addr and --dir
  std::vector<std::string> environment;  // NAME=VALUE
  std::string host = "127.0.0.1";
  std::string password;           // its --requirepass; connect() leaves AUTH to the test
  std::filesystem::path dir;      // empty: a new one, removed at the end
  std::filesystem::path program;  // empty: the build's kvs-server
  // A program, and its arguments, that becomes the server and keeps its process id: strace -D.
  std::vector<std::string> launcher;
  std::chrono::milliseconds ready_timeout = std::chrono::seconds(20);
  WaitUntil wait_until = WaitUntil::loaded;
  // How connect() speaks TLS; the arguments make the server do so on port(). Not given: plain, or
  // TLS if KVS_TEST_TLS says that the tests of this run are to go through it.
  std::optional<TlsClient> tls = std::nullopt;
};

class ServerProcess {
 public:
  // Starts the server and returns when it answers; throws std::runtime_error when it does not, with
  // its log in the message.
  explicit ServerProcess(ServerOptions options = {});
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  pid_t pid() const noexcept { return pid_; }
  std::uint16_t port() const noexcept { return port_; }  // with TLS, the one of TLS
  std::string address() const;                           // as --addr takes it
  const std::filesystem::path& dir() const noexcept { return dir_; }
  bool running() const noexcept { return pid_ > 0; }

  Socket connect() const { return connect(SocketOptions{}); }
  // `options` with this server's host and port.
  Socket connect(SocketOptions options) const;

  // SIGTERM; returns the exit code, 128 + signal if one ended it. Throws when it does not end.
  int terminate(std::chrono::milliseconds timeout = std::chrono::seconds(30));
  // SIGKILL; returns when the process is gone.
  void kill();
  // Waits for an end that something else causes; nullopt: it is still running.
  std::optional<int> wait_for_exit(std::chrono::milliseconds timeout);
  // Starts again after it has ended: same port, same directory, same arguments but for `more`.
  void restart(const std::vector<std::string>& more = {});

  // How long the last start took, from fork to the first reply.
  std::chrono::milliseconds start_time() const noexcept { return start_time_; }

  std::size_t rss_bytes() const;
  std::size_t open_files() const;
  // Everything written to stderr so far, over all restarts.
  std::string log() const;

 private:
  std::string address_with(std::uint16_t port) const;
  enum class Start : std::uint8_t { ready, address_taken };
  Start try_start(const std::vector<std::string>& more);
  bool answers() const;

  ServerOptions options_;
  std::optional<TempDir> own_dir_;
  TempDir log_dir_;
  std::filesystem::path dir_;
  std::uint16_t port_ = 0;
  pid_t pid_ = -1;
  std::chrono::milliseconds start_time_{0};
};

}  // namespace kvs::test
