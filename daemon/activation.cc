// activation.cc - the protocol is three environment variables: LISTEN_PID, LISTEN_FDS and
// LISTEN_FDNAMES. They are left in the environment, since the server starts no other program.
#include "daemon/activation.h"

#include <algorithm>
#include <cstdlib>
#include <fcntl.h>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>

#include <fmt/core.h>

#include "daemon/environment.h"
#include "daemon/listener.h"

namespace kvs::daemon {
namespace {

constexpr int first_passed = 3;  // SD_LISTEN_FDS_START

int option_of(int fd, int option) {
  int value = -1;
  socklen_t size = sizeof value;
  return ::getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

bool is_listening(int fd) {
  const int domain = option_of(fd, SO_DOMAIN);
  return (domain == AF_INET || domain == AF_INET6 || domain == AF_UNIX) &&
         option_of(fd, SO_TYPE) == SOCK_STREAM && option_of(fd, SO_ACCEPTCONN) == 1;
}

}  // namespace

Result<std::vector<PassedSocket>> passed_sockets() {
  std::vector<PassedSocket> sockets;
  if (number_from_environment<pid_t>("LISTEN_PID") != ::getpid()) return sockets;
  const char* variable = std::getenv("LISTEN_FDNAMES");
  std::string_view names = variable != nullptr ? variable : "";
  const int count = number_from_environment<int>("LISTEN_FDS").value_or(0);
  for (int fd = first_passed; fd < first_passed + count; ++fd) {
    const std::string_view name = names.substr(0, names.find(':'));
    names.remove_prefix(std::min(name.size() + 1, names.size()));
    if (!is_listening(fd)) {
      return fail(Code::invalid,
                  fmt::format("the service manager has passed descriptor {}, which is no listening "
                              "stream socket",
                              fd));
    }
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
    sockets.push_back({fd, std::string(name), Listener::address_of(fd)});
  }
  return sockets;
}

}  // namespace kvs::daemon
