// notify_test.cc - plays the service manager: a datagram socket of our own receives what it would.
#include "daemon/notify.h"

#include <cstddef>
#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "tests/unit/config/parsing.h"

namespace kvs::daemon {
namespace {

using testing::Folder;
using testing::Variable;

// A bound datagram socket; "@name" is in the abstract namespace.
class Manager {
 public:
  explicit Manager(const std::string& name) {
    descriptor_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    REQUIRE(descriptor_ >= 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    REQUIRE(name.size() < sizeof(address.sun_path));
    std::memcpy(address.sun_path, name.data(), name.size());
    if (name[0] == '@') address.sun_path[0] = '\0';
    const auto bytes = offsetof(sockaddr_un, sun_path) + name.size() + (name[0] == '@' ? 0 : 1);
    REQUIRE(::bind(descriptor_, reinterpret_cast<sockaddr*>(&address),
                   static_cast<socklen_t>(bytes)) == 0);
  }
  ~Manager() { ::close(descriptor_); }
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  // The next datagram, or "" when there is none.
  std::string received() const {
    char buffer[4096];
    const ssize_t bytes = ::recv(descriptor_, buffer, sizeof(buffer), MSG_DONTWAIT);
    return bytes < 0 ? "" : std::string(buffer, static_cast<std::size_t>(bytes));
  }

 private:
  int descriptor_;
};

TEST_CASE("without a service manager nobody is told") {
  Variable variable("NOTIFY_SOCKET", "");
  CHECK(notify("READY=1") == false);
  ::unsetenv("NOTIFY_SOCKET");
  CHECK(notify("READY=1") == false);
}

TEST_CASE("a state arrives as one datagram, at a path") {
  Folder folder;
  Manager manager(folder.path("notify"));
  Variable variable("NOTIFY_SOCKET", folder.path("notify"));
  CHECK(notify("READY=1\nSTATUS=hello") == true);
  CHECK(notify("WATCHDOG=1") == true);
  CHECK(manager.received() == "READY=1\nSTATUS=hello");
  CHECK(manager.received() == "WATCHDOG=1");
  CHECK(manager.received().empty());
}

TEST_CASE("a state arrives at a name of the abstract namespace") {
  const std::string name = "@kvs-notify-test-" + std::to_string(::getpid());
  Manager manager(name);
  Variable variable("NOTIFY_SOCKET", name);
  CHECK(notify("STOPPING=1") == true);
  CHECK(manager.received() == "STOPPING=1");
}

TEST_CASE("a socket that is not there or has no usable name is an error") {
  Folder folder;
  {
    Variable variable("NOTIFY_SOCKET", folder.path("gone"));
    const auto told = notify("READY=1");
    REQUIRE(!told);
    CHECK(told.error().code() == Code::io);
  }
  for (const std::string& name : {std::string("relative/path"), "/" + std::string(200, 'x')}) {
    Variable variable("NOTIFY_SOCKET", name);
    const auto told = notify("READY=1");
    REQUIRE(!told);
    CHECK(told.error().code() == Code::invalid);
  }
}

TEST_CASE("a manager that does not read never blocks the server") {
  Folder folder;
  Manager manager(folder.path("notify"));
  Variable variable("NOTIFY_SOCKET", folder.path("notify"));
  Result<bool> told = true;
  // The queue of a datagram socket holds a few hundred at most.
  for (unsigned i = 0; i < 100000 && told; ++i) told = notify("WATCHDOG=1");
  REQUIRE(!told);
  CHECK(told.error().code() == Code::io);
}

TEST_CASE("the watchdog is ours when it names us or nobody") {
  Variable timeout("WATCHDOG_USEC", "10000000");
  CHECK(watchdog_timeout() == std::chrono::seconds(10));
  {
    Variable pid("WATCHDOG_PID", std::to_string(::getpid()));
    CHECK(watchdog_timeout() == std::chrono::seconds(10));
  }
  {
    Variable pid("WATCHDOG_PID", std::to_string(::getpid() + 1));
    CHECK(!watchdog_timeout());
  }
  Variable pid("WATCHDOG_PID", "nonsense");
  CHECK(!watchdog_timeout());
}

TEST_CASE("without a sensible timeout there is no watchdog") {
  for (const char* value : {"", "0", "-5", "10s", "99999999999999999999"}) {
    Variable timeout("WATCHDOG_USEC", value);
    CHECK_MESSAGE(!watchdog_timeout(), value);
  }
  ::unsetenv("WATCHDOG_USEC");
  CHECK(!watchdog_timeout());
}

}  // namespace
}  // namespace kvs::daemon
