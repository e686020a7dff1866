#include "storage/directory.h"

#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "storage/error.h"
#include "storage/file.h"

namespace kvs {
namespace {

// Only the owner may read what clients stored.
constexpr mode_t file_mode = 0600;
constexpr mode_t directory_mode = 0700;

int open_retrying(int directory, const char* name, int flags, mode_t mode) {
  for (;;) {
    const int descriptor = ::openat(directory, name, flags | O_CLOEXEC, mode);
    if (descriptor >= 0 || errno != EINTR) return descriptor;
  }
}

Result<void> sync_descriptor(int descriptor, const std::string& path) {
  if (::fsync(descriptor) != 0) return std::unexpected(io_error(errno, "sync", path));
  return {};
}

// An open file description with flock: dies with the process, however it ends, and conflicts with
// a second open in the same process too.
class PosixLock final : public DirectoryLock {
 public:
  explicit PosixLock(int descriptor) : descriptor_(descriptor) {}
  ~PosixLock() override { ::close(descriptor_); }
  PosixLock(const PosixLock&) = delete;
  PosixLock& operator=(const PosixLock&) = delete;

 private:
  const int descriptor_;
};

// Takes over `descriptor`. `path` is the directory's, for messages.
Result<std::unique_ptr<DirectoryLock>> take_lock(int descriptor, int kind,
                                                 const std::string& path) {
  while (::flock(descriptor, kind | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    const int reason = errno;
    ::close(descriptor);
    if (reason == EWOULDBLOCK) {
      return fail(Code::busy, "data directory " + path + " is in use by another process");
    }
    return std::unexpected(io_error(reason, "lock", path));
  }
  return std::make_unique<PosixLock>(descriptor);
}

}  // namespace

PosixDirectory::~PosixDirectory() {
  ::close(descriptor_);
}

std::string PosixDirectory::path_of(std::string_view name) const {
  return std::string(path_).append("/").append(name);
}

Result<std::unique_ptr<File>> PosixDirectory::open(std::string_view name, OpenMode mode) {
  const std::string entry(name);
  int flags = (mode == OpenMode::read_only ? O_RDONLY | O_NONBLOCK : O_RDWR) | O_NOFOLLOW;
  if (mode == OpenMode::create_new) flags |= O_CREAT | O_EXCL;
  if (mode == OpenMode::replace) flags |= O_CREAT | O_TRUNC;
  const int descriptor = open_retrying(descriptor_, entry.c_str(), flags, file_mode);
  if (descriptor < 0) {
    if (errno == ENOENT) return fail(Code::not_found, path_of(name) + " does not exist");
    return std::unexpected(
        io_error(errno, (flags & O_CREAT) == 0 ? "open" : "create", path_of(name)));
  }
  struct stat status {};
  if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(descriptor);
    return fail(Code::io, path_of(name) + " is not a regular file");
  }
  return std::make_unique<PosixFile>(descriptor, path_of(name));
}

Result<std::vector<std::string>> PosixDirectory::list() {
  // A descriptor of its own, since reading moves its position.
  const int descriptor = open_retrying(descriptor_, ".", O_RDONLY | O_DIRECTORY, 0);
  if (descriptor < 0) return std::unexpected(io_error(errno, "list", path_));
  DIR* stream = ::fdopendir(descriptor);
  if (stream == nullptr) {
    const int reason = errno;
    ::close(descriptor);
    return std::unexpected(io_error(reason, "list", path_));
  }
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(stream);
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  const int reason = errno;
  ::closedir(stream);
  if (reason != 0) return std::unexpected(io_error(reason, "list", path_));
  return names;
}

Result<void> PosixDirectory::rename(std::string_view from, std::string_view to) {
  if (::renameat(descriptor_, std::string(from).c_str(), descriptor_, std::string(to).c_str()) !=
      0) {
    return std::unexpected(io_error(errno, "rename to", path_of(to)));
  }
  return {};
}

Result<void> PosixDirectory::remove(std::string_view name) {
  if (::unlinkat(descriptor_, std::string(name).c_str(), 0) != 0) {
    return std::unexpected(io_error(errno, "remove", path_of(name)));
  }
  return {};
}

Result<void> PosixDirectory::sync() {
  return sync_descriptor(descriptor_, path_);
}

Result<std::uint64_t> PosixDirectory::free_bytes() const {
  struct statvfs status {};
  if (::fstatvfs(descriptor_, &status) != 0) {
    return std::unexpected(io_error(errno, "ask for the space of", path_));
  }
  return std::uint64_t{status.f_bavail} * status.f_frsize;
}

Result<std::unique_ptr<DirectoryLock>> PosixDirectory::lock(std::string_view name) {
  const std::string entry(name);
  const int descriptor =
      open_retrying(descriptor_, entry.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW, file_mode);
  if (descriptor < 0) return std::unexpected(io_error(errno, "create", path_of(name)));
  return take_lock(descriptor, LOCK_EX, path_);
}

Result<std::unique_ptr<DirectoryLock>> PosixDirectory::lock_shared(std::string_view name) {
  const std::string entry(name);
  const int descriptor = open_retrying(descriptor_, entry.c_str(), O_RDONLY | O_NOFOLLOW, 0);
  if (descriptor < 0) {
    if (errno == ENOENT) return nullptr;
    return std::unexpected(io_error(errno, "open", path_of(name)));
  }
  return take_lock(descriptor, LOCK_SH, path_);
}

Result<void> PosixDirectory::link(std::string_view name, Directory& target, std::string_view as) {
  const auto* const other = dynamic_cast<const PosixDirectory*>(&target);
  if (other == nullptr) return Directory::link(name, target, as);
  if (::linkat(descriptor_, std::string(name).c_str(), other->descriptor_, std::string(as).c_str(),
               0) == 0) {
    return {};
  }
  const Error error = io_error(errno, "link to", other->path_of(as));
  const bool never = errno == EXDEV || errno == EPERM || errno == EMLINK || errno == EOPNOTSUPP;
  return fail(never ? Code::invalid : error.code(), error.message());
}

Result<void> Directory::link(std::string_view name, Directory& target, std::string_view) {
  return fail(Code::invalid, "cannot link " + path() + "/" + std::string(name) + " into " +
                                 target.path() + ": no links here");
}

Result<std::unique_ptr<Directory>> PosixFs::open_directory(const std::filesystem::path& path) {
  const int descriptor = open_retrying(AT_FDCWD, path.c_str(), O_RDONLY | O_DIRECTORY, 0);
  if (descriptor < 0) {
    if (errno == ENOENT) return fail(Code::not_found, "no directory " + path.string());
    return std::unexpected(io_error(errno, "open directory", path.string()));
  }
  return std::make_unique<PosixDirectory>(descriptor, path.string());
}

Result<void> PosixFs::create_directory(const std::filesystem::path& path) {
  // "a/b/" names b as "a/b" does.
  const std::filesystem::path named = path.has_filename() ? path : path.parent_path();
  if (::mkdir(named.c_str(), directory_mode) != 0) {
    if (errno != EEXIST) {
      return std::unexpected(io_error(errno, "create directory", named.string()));
    }
    // Whoever creates gets a directory here: a backup's name, which comes from a client, must not
    // lead to another place. A link that was there before is followed by open_directory alone.
    struct stat status {};
    if (::lstat(named.c_str(), &status) == 0 && S_ISLNK(status.st_mode)) {
      return fail(Code::io, named.string() + " is a symbolic link");
    }
  }
  const std::filesystem::path parent = named.has_parent_path() ? named.parent_path() : ".";
  const int descriptor = open_retrying(AT_FDCWD, parent.c_str(), O_RDONLY | O_DIRECTORY, 0);
  if (descriptor < 0) return std::unexpected(io_error(errno, "open directory", parent.string()));
  auto synced = sync_descriptor(descriptor, parent.string());
  ::close(descriptor);
  return synced;
}

std::shared_ptr<Fs> real_fs() {
  return std::make_shared<PosixFs>();
}

}  // namespace kvs
