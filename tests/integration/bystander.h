// bystander.h - what tests of a server's bounds share: how much memory it may take, and a client
// that wants to be served meanwhile.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string_view>
#include <thread>

#include <doctest/doctest.h>

#include "tests/support/server_process.h"
#include "tests/support/socket.h"

namespace kvs::test {

inline constexpr std::size_t kibi = 1024;
inline constexpr std::size_t mebi = 1024 * kibi;

// Sanitizers keep freed memory and shadow what is in use.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr std::size_t sanitizer_bytes = 1024 * mebi;
#else
inline constexpr std::size_t sanitizer_bytes = 0;
#endif

inline constexpr std::string_view pong = "+PONG\r\n";

// A client that only wants to be served; remembers how long it had to wait at most, and how large
// the server was when it asked.
class Bystander {
 public:
  explicit Bystander(const ServerProcess& server)
      : server_(server), socket_(server.connect()), rss_before_(server.rss_bytes()) {
    ask();
  }

  void ask() {
    const auto begin = Clock::now();
    CHECK(socket_.command({"PING"}) == pong);
    waited_max_ = std::max(waited_max_, Clock::now() - begin);
    look();
  }
  void ask_for(std::chrono::milliseconds time) {
    for (const auto end = Clock::now() + time; Clock::now() < end;) {
      ask();
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  // Notes how large the server is without asking it for anything.
  void look() { rss_max_ = std::max(rss_max_, server_.rss_bytes()); }

  std::chrono::milliseconds waited_max() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(waited_max_);
  }
  std::size_t rss_growth() const { return rss_max_ > rss_before_ ? rss_max_ - rss_before_ : 0; }

 private:
  using Clock = std::chrono::steady_clock;

  const ServerProcess& server_;
  Socket socket_;
  std::size_t rss_before_;
  std::size_t rss_max_ = 0;
  Clock::duration waited_max_{0};
};

}  // namespace kvs::test
