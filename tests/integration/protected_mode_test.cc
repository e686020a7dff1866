// protected_mode_test.cc - S10: without a password only this machine is served.
//
// A peer that is not on loopback is needed, but no test may listen where others can reach it. So
// the test makes a network of its own: a thread in a new network namespace, whose only interface is
// its loopback with one more address, 10.99.99.1. That takes CAP_SYS_ADMIN; without it the test is
// skipped, and says so.
#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <future>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "tests/support/server_process.h"
#include "tests/support/socket.h"

namespace kvs::test {
namespace {

constexpr const char* outside_address = "10.99.99.1";

bool set_address(int control, const char* interface, const char* address) {
  ifreq request{};
  std::strncpy(request.ifr_name, interface, IFNAMSIZ - 1);
  sockaddr_in ipv4{};
  ipv4.sin_family = AF_INET;
  inet_pton(AF_INET, address, &ipv4.sin_addr);
  std::memcpy(&request.ifr_addr, &ipv4, sizeof ipv4);
  return ioctl(control, SIOCSIFADDR, &request) == 0;
}

bool bring_up(int control, const char* interface) {
  ifreq request{};
  std::strncpy(request.ifr_name, interface, IFNAMSIZ - 1);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  return ioctl(control, SIOCSIFFLAGS, &request) == 0;
}

// Moves the calling thread, and what it starts, into a network of its own. False: not allowed.
bool enter_own_network() {
  if (unshare(CLONE_NEWNET) != 0) return false;
  const int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const bool ready = bring_up(control, "lo") && set_address(control, "lo:1", outside_address);
  close(control);
  return ready;
}

// Runs `check` in such a thread; what it throws comes back to the test case.
template <class Check>
void in_own_network(Check check) {
  std::async(std::launch::async, [&] {
    if (!enter_own_network()) {
      MESSAGE("SKIPPED: no network namespace of our own (", std::strerror(errno),
              "), so protected mode cannot be tested without listening for others");
      return;
    }
    check();
  }).get();
}

TEST_CASE("S10 without a password only loopback is served") {
  in_own_network([] {
    const ServerProcess server({.host = outside_address});
    Socket socket = server.connect();
    const std::string reply = socket.read_until_close();
    CHECK(
        reply.starts_with("-DENIED Running in protected mode because protected mode is enabled "
                          "and no password is set for the default user. "));
    CHECK(reply.ends_with("\r\n"));
    CHECK(reply.find_first_of("\r\n") == reply.size() - 2);
  });
}

TEST_CASE("S10 with a password others may authenticate") {
  in_own_network([] {
    const ServerProcess server({.host = outside_address, .password = "secret"});
    Socket socket = server.connect();
    CHECK(socket.command({"PING"}) == "-NOAUTH Authentication required.\r\n");
    CHECK(socket.command({"AUTH", "secret"}) == "+OK\r\n");
    CHECK(socket.command({"PING"}) == "+PONG\r\n");
  });
}

TEST_CASE("S10 protected mode can be switched off") {
  in_own_network([] {
    const ServerProcess server({.arguments = {"--protected-mode", "no"}, .host = outside_address});
    CHECK(server.connect().command({"PING"}) == "+PONG\r\n");
  });
}

}  // namespace
}  // namespace kvs::test
