// notify.cc - one datagram to the service manager, and two environment variables read.
//
// The variables are left in the environment: the server starts no other program.
#include "daemon/notify.h"

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/environment.h"

namespace kvs::daemon {
Result<bool> notify(std::string_view state) {
  const char* variable = std::getenv("NOTIFY_SOCKET");
  if (variable == nullptr || *variable == '\0') return false;
  const std::string_view name = variable;

  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // A path, or "@name" for a name of the abstract namespace, whose first byte is NUL.
  if ((name[0] != '/' && name[0] != '@') || name.size() >= sizeof(address.sun_path)) {
    return fail(Code::invalid, "NOTIFY_SOCKET is not a usable socket name: " + std::string(name));
  }
  std::memcpy(address.sun_path, name.data(), name.size());
  if (name[0] == '@') address.sun_path[0] = '\0';
  // An abstract name is exactly as long as it says, without a terminating NUL.
  const auto address_bytes =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size() + (name[0] == '/'));

  const int descriptor = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return fail(Code::io, std::string("socket: ") + std::strerror(errno));
  const ssize_t sent = ::sendto(descriptor, state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                                reinterpret_cast<const sockaddr*>(&address), address_bytes);
  const int error = errno;
  ::close(descriptor);
  if (sent < 0) return fail(Code::io, "NOTIFY_SOCKET: " + std::string(std::strerror(error)));
  return true;
}

std::optional<std::chrono::microseconds> watchdog_timeout() {
  const auto timeout = number_from_environment<std::int64_t>("WATCHDOG_USEC");
  if (!timeout || *timeout <= 0) return std::nullopt;
  if (std::getenv("WATCHDOG_PID") != nullptr &&
      number_from_environment<pid_t>("WATCHDOG_PID") != ::getpid()) {
    return std::nullopt;
  }
  return std::chrono::microseconds(*timeout);
}

}  // namespace kvs::daemon
