// unix_socket.h - a listening socket that has a path instead of an address, and its file.
//
// The file is made before anybody can connect: its permissions are set between bind and listen, and
// until then the kernel refuses. A file that a killed server has left is replaced; one that a
// living server listens on, or that is no socket, never is.
#pragma once

#include <filesystem>
#include <sys/types.h>

#include "protocol/async/result.h"

namespace kvs::daemon {

class UnixSocket {
 public:
  // Fails as open() would when somebody listens at `path`, or something else than a socket is
  // there; changes nothing.
  static Result<void> probe(const std::filesystem::path& path);
  // Listens at `path`. `mode`: the file's permissions; 0 leaves them to the umask.
  // Errors: busy, invalid (no socket, or a path too long for one), io; the message names the path.
  static Result<UnixSocket> open(const std::filesystem::path& path, mode_t mode, unsigned backlog);

  UnixSocket(UnixSocket&& other) noexcept;
  UnixSocket& operator=(UnixSocket&&) = delete;
  // Removes the file, unless another one has taken its place.
  ~UnixSocket();

  // Belongs to whoever listens with it (Listener).
  int fd() const noexcept { return fd_; }

 private:
  UnixSocket(std::filesystem::path path, int fd, dev_t device, ino_t inode)
      : path_(std::move(path)), fd_(fd), device_(device), inode_(inode) {}

  std::filesystem::path path_;  // empty: moved from
  int fd_;
  dev_t device_;
  ino_t inode_;
};

}  // namespace kvs::daemon
