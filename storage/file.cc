#include "storage/file.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/error.h"

namespace kvs {
namespace {

// Linux transfers at most 0x7ffff000 bytes per call; a round number below it.
constexpr std::size_t transfer_bytes_max = std::size_t{1} << 30;

}  // namespace

PosixFile::~PosixFile() {
  ::close(descriptor_);
}

Result<std::size_t> PosixFile::read_at(std::uint64_t offset_bytes, std::span<char> out) const {
  std::size_t done = 0;
  while (done < out.size()) {
    const std::size_t wanted = std::min(out.size() - done, transfer_bytes_max);
    const ssize_t got =
        ::pread(descriptor_, out.data() + done, wanted, static_cast<off_t>(offset_bytes + done));
    if (got < 0) {
      if (errno == EINTR) continue;
      return std::unexpected(io_error(errno, "read", path_));
    }
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

Result<void> PosixFile::write_at(std::uint64_t offset_bytes, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t put =
        ::pwrite(descriptor_, bytes.data(), std::min(bytes.size(), transfer_bytes_max),
                 static_cast<off_t>(offset_bytes));
    if (put < 0) {
      if (errno == EINTR) continue;
      return std::unexpected(io_error(errno, "write", path_));
    }
    // POSIX allows it for a device that is full; trying again would not end.
    if (put == 0) return std::unexpected(io_error(ENOSPC, "write", path_));
    offset_bytes += static_cast<std::uint64_t>(put);
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  return {};
}

Result<void> PosixFile::sync_data() {
  // EINTR is not retried: once the call has failed for whatever reason, what is on the disk is
  // unknown, and Linux does not return it here for regular files.
  if (::fdatasync(descriptor_) != 0) return std::unexpected(io_error(errno, "sync", path_));
  return {};
}

void PosixFile::start_writeback(std::uint64_t offset_bytes, std::uint64_t bytes) {
  // Errors show in the fdatasync that follows sooner or later.
  (void)::sync_file_range(descriptor_, static_cast<off_t>(offset_bytes), static_cast<off_t>(bytes),
                          SYNC_FILE_RANGE_WRITE);
}

Result<void> PosixFile::preallocate(std::uint64_t bytes) {
  while (::fallocate(descriptor_, 0, 0, static_cast<off_t>(bytes)) != 0) {
    if (errno == EINTR) continue;
    // Not posix_fallocate, which would write every block: a file that grows is the better fallback.
    if (errno == EOPNOTSUPP || errno == ENOSYS) return {};
    return std::unexpected(io_error(errno, "allocate space for", path_));
  }
  return {};
}

Result<void> PosixFile::truncate(std::uint64_t bytes) {
  while (::ftruncate(descriptor_, static_cast<off_t>(bytes)) != 0) {
    if (errno == EINTR) continue;
    return std::unexpected(io_error(errno, "truncate", path_));
  }
  return {};
}

Result<std::uint64_t> PosixFile::size() const {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) return std::unexpected(io_error(errno, "stat", path_));
  return static_cast<std::uint64_t>(status.st_size);
}

void PosixFile::drop_cached(std::uint64_t offset_bytes, std::uint64_t bytes) const {
  (void)::posix_fadvise(descriptor_, static_cast<off_t>(offset_bytes), static_cast<off_t>(bytes),
                        POSIX_FADV_DONTNEED);
}

Result<std::uint64_t> PosixFile::link_count() const {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) return std::unexpected(io_error(errno, "stat", path_));
  return static_cast<std::uint64_t>(status.st_nlink);
}

}  // namespace kvs
