#include "daemon/unix_socket.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>

#include <fmt/core.h>

namespace kvs::daemon {
namespace {

std::unexpected<Error> failed(const std::filesystem::path& path, int number) {
  return fail(number == EADDRINUSE ? Code::busy : Code::io,
              fmt::format("cannot listen on {}: {}", path.string(), std::strerror(number)));
}

Result<sockaddr_un> address_of(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string& name = path.native();
  if (name.size() >= sizeof address.sun_path) {
    return fail(Code::invalid, fmt::format("cannot listen on {}: a socket's path has at most {} "
                                           "bytes",
                                           name, sizeof address.sun_path - 1));
  }
  std::memcpy(address.sun_path, name.c_str(), name.size());
  return address;
}

enum class Found { nothing, left_behind };

// Who is at `path`: an error when it is somebody.
Result<Found> look_at(const std::filesystem::path& path, const sockaddr_un& address) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return Found::nothing;
    return failed(path, errno);
  }
  if (!S_ISSOCK(status.st_mode)) {
    return fail(Code::invalid,
                fmt::format("cannot listen on {}: what is there is no socket", path.string()));
  }
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return failed(path, errno);
  const bool refused =
      ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
      errno == ECONNREFUSED;
  ::close(fd);
  if (refused) return Found::left_behind;
  return failed(path, EADDRINUSE);
}

}  // namespace

Result<void> UnixSocket::probe(const std::filesystem::path& path) {
  const auto address = address_of(path);
  if (!address) return std::unexpected(address.error());
  if (const auto found = look_at(path, *address); !found) return std::unexpected(found.error());
  return {};
}

Result<UnixSocket> UnixSocket::open(const std::filesystem::path& path, mode_t mode,
                                    unsigned backlog) {
  const auto address = address_of(path);
  if (!address) return std::unexpected(address.error());
  const auto found = look_at(path, *address);
  if (!found) return std::unexpected(found.error());
  if (*found == Found::left_behind && ::unlink(path.c_str()) != 0) return failed(path, errno);

  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return failed(path, errno);
  struct stat status {};
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0 ||
      (mode != 0 && ::chmod(path.c_str(), mode) != 0) || ::lstat(path.c_str(), &status) != 0 ||
      ::listen(fd, static_cast<int>(backlog)) != 0) {
    const int number = errno;
    ::close(fd);
    return failed(path, number);
  }
  return UnixSocket(path, fd, status.st_dev, status.st_ino);
}

UnixSocket::UnixSocket(UnixSocket&& other) noexcept
    : path_(std::exchange(other.path_, {})),
      fd_(other.fd_),
      device_(other.device_),
      inode_(other.inode_) {}

UnixSocket::~UnixSocket() {
  if (path_.empty()) return;
  struct stat status {};
  if (::lstat(path_.c_str(), &status) == 0 && status.st_dev == device_ && status.st_ino == inode_) {
    ::unlink(path_.c_str());
  }
}

}  // namespace kvs::daemon
