// notify_test.cc - what systemd is told, with our own datagram socket in systemd's place.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/server_process.h"
#include "tests/support/temp_dir.h"

using namespace std::chrono_literals;

namespace kvs::test {
namespace {

using Clock = std::chrono::steady_clock;

// A bound AF_UNIX datagram socket, as NOTIFY_SOCKET names one.
class NotifySocket {
 public:
  enum class Kind : std::uint8_t { file, abstract };

  explicit NotifySocket(Kind kind = Kind::file) {
    fd_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    REQUIRE(fd_ >= 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = (dir_.path() / "notify").string();
    REQUIRE(path.size() + 1 < sizeof address.sun_path);
    // An abstract name begins with a NUL, which the variable writes as '@'.
    const bool abstract = kind == Kind::abstract;
    std::memcpy(address.sun_path + (abstract ? 1 : 0), path.data(), path.size());
    const auto size = offsetof(sockaddr_un, sun_path) + path.size() + 1;
    REQUIRE(bind(fd_, reinterpret_cast<sockaddr*>(&address), static_cast<socklen_t>(size)) == 0);
    setting_ = "NOTIFY_SOCKET=" + (abstract ? "@" + path : path);
  }
  ~NotifySocket() { close(fd_); }
  NotifySocket(const NotifySocket&) = delete;
  NotifySocket& operator=(const NotifySocket&) = delete;

  const std::string& setting() const { return setting_; }

  // The next datagram, as lines; empty when none comes within `timeout`.
  std::vector<std::string> next(std::chrono::milliseconds timeout) {
    pollfd ready{fd_, POLLIN, 0};
    if (poll(&ready, 1, static_cast<int>(timeout.count())) != 1) return {};
    std::string text(4096, '\0');
    const ssize_t size = recv(fd_, text.data(), text.size(), 0);
    REQUIRE(size > 0);
    text.resize(static_cast<std::size_t>(size));
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size());
      lines.push_back(text.substr(at, end - at));
      at = end + 1;
    }
    return lines;
  }

  // How many datagrams within `timeout` hold `line`; stops at `enough` of them.
  int count(const std::string& line, int enough, std::chrono::milliseconds timeout) {
    int found = 0;
    const auto until = Clock::now() + timeout;
    while (found < enough && Clock::now() < until) {
      const auto lines = next(std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()));
      if (std::find(lines.begin(), lines.end(), line) != lines.end()) ++found;
    }
    return found;
  }

 private:
  TempDir dir_;
  int fd_ = -1;
  std::string setting_;
};

TEST_CASE("systemd is told when the server is ready and when it stops") {
  for (const auto kind : {NotifySocket::Kind::file, NotifySocket::Kind::abstract}) {
    NotifySocket systemd(kind);
    ServerProcess server({.environment = {systemd.setting()}});
    const auto ready = systemd.next(5s);
    REQUIRE_FALSE(ready.empty());
    CHECK(std::find(ready.begin(), ready.end(), "READY=1") != ready.end());
    // Without WATCHDOG_USEC there is nothing more to say.
    CHECK(systemd.count("WATCHDOG=1", 1, 300ms) == 0);
    CHECK(server.terminate() == 0);
    CHECK(systemd.count("STOPPING=1", 1, 2s) == 1);
  }
}

TEST_CASE("the watchdog is fed while the server runs") {
  NotifySocket systemd;
  ServerProcess server({.environment = {systemd.setting(), "WATCHDOG_USEC=400000"}});
  CHECK(systemd.count("READY=1", 1, 5s) == 1);
  const auto begin = Clock::now();
  CHECK(systemd.count("WATCHDOG=1", 4, 5s) == 4);
  // Four feedings at less than the timeout's length from each other.
  CHECK(Clock::now() - begin < 4 * 400ms);
  CHECK(server.terminate() == 0);
  CHECK(systemd.count("STOPPING=1", 1, 2s) == 1);
}

TEST_CASE("a watchdog that is meant for another process is not fed") {
  NotifySocket systemd;
  ServerProcess server(
      {.environment = {systemd.setting(), "WATCHDOG_USEC=200000", "WATCHDOG_PID=1"}});
  CHECK(systemd.count("READY=1", 1, 5s) == 1);
  CHECK(systemd.count("WATCHDOG=1", 1, 500ms) == 0);
}

TEST_CASE("a notify socket that nobody listens on does not stop the server") {
  const TempDir dir;
  ServerProcess server({.environment = {"NOTIFY_SOCKET=" + (dir.path() / "nobody").string()}});
  CHECK(server.connect().command({"PING"}) == "+PONG\r\n");
  CHECK(server.terminate() == 0);
}

}  // namespace
}  // namespace kvs::test
