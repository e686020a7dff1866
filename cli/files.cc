#include "cli/files.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace kvs::cli {
namespace {

constexpr std::size_t output_buffer_bytes = std::size_t{256} * 1024;

std::unexpected<Error> failure(const std::string& what, const std::string& name) {
  return fail(Code::io, "cannot " + what + " " + name + ": " + std::strerror(errno));
}

// Takes all of `bytes`, or says why not.
Result<void> write_all(int descriptor, std::string_view bytes, const std::string& name) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failure("write", name);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace

Result<InputFile> InputFile::open(const std::string& name) {
  if (name == "-") return InputFile("stdin", STDIN_FILENO);
  const int descriptor = ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return failure("open", name);
  return InputFile(name, descriptor);
}

InputFile::InputFile(std::string name, int descriptor)
    : name_(std::move(name)), descriptor_(descriptor) {
  struct stat status = {};
  if (::fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) return;
  const off_t position = ::lseek(descriptor_, 0, SEEK_CUR);
  if (position < 0 || position > status.st_size) return;
  size_bytes_ = static_cast<std::uint64_t>(status.st_size - position);
}

InputFile::InputFile(InputFile&& other) noexcept
    : name_(std::move(other.name_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_bytes_(other.size_bytes_) {}

InputFile::~InputFile() {
  if (descriptor_ > STDIN_FILENO) ::close(descriptor_);
}

Result<std::size_t> InputFile::read(std::string& buffer, std::size_t bytes_max) {
  const std::size_t before = buffer.size();
  buffer.resize(before + bytes_max);
  ssize_t got = -1;
  do {
    got = ::read(descriptor_, buffer.data() + before, bytes_max);
  } while (got < 0 && errno == EINTR);
  buffer.resize(before + static_cast<std::size_t>(got < 0 ? 0 : got));
  if (got < 0) return failure("read", name_);
  return static_cast<std::size_t>(got);
}

Result<std::string> InputFile::read_all() {
  std::string bytes;
  for (;;) {
    const Result<std::size_t> got = read(bytes);
    if (!got) return std::unexpected(got.error());
    if (*got == 0) return bytes;
  }
}

Result<OutputFile> OutputFile::open(const std::string& name) {
  if (name == "-") return OutputFile("", "", STDOUT_FILENO);
  struct stat status = {};
  if (::stat(name.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    const int descriptor = ::open(name.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor < 0) return failure("open", name);
    return OutputFile(name, "", descriptor);
  }
  // A file without a name leaves nothing behind, whatever ends this process.
  const std::size_t slash = name.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : name.substr(0, slash + 1);
  const int unnamed = ::open(folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
  const std::string temporary = name + "." + std::to_string(::getpid()) + ".partial";
  if (unnamed >= 0) {
    OutputFile file(name, temporary, unnamed);
    file.named_ = false;
    return file;
  }
  // Not every file system knows such.
  const int descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor < 0) return failure("create", name);
  return OutputFile(name, temporary, descriptor);
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})),
      descriptor_(std::exchange(other.descriptor_, -1)),
      named_(other.named_),
      buffer_(std::move(other.buffer_)) {}

OutputFile::~OutputFile() {
  if (descriptor_ > STDOUT_FILENO) ::close(descriptor_);
  if (!temporary_.empty() && named_) ::unlink(temporary_.c_str());
}

Result<void> OutputFile::write(std::string_view bytes) {
  buffer_.append(bytes);
  if (buffer_.size() < output_buffer_bytes) return {};
  return flush();
}

Result<void> OutputFile::flush() {
  Result<void> written = write_all(descriptor_, buffer_, path_.empty() ? "stdout" : path_);
  buffer_.clear();
  return written;
}

Result<void> OutputFile::commit() {
  if (Result<void> written = flush(); !written) return written;
  if (temporary_.empty()) return {};
  if (::fsync(descriptor_) != 0) return failure("write", path_);
  if (!named_) {
    const std::string source = "/proc/self/fd/" + std::to_string(descriptor_);
    if (::linkat(AT_FDCWD, source.c_str(), AT_FDCWD, temporary_.c_str(), AT_SYMLINK_FOLLOW) != 0) {
      return failure("create", path_);
    }
    named_ = true;
  }
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) return failure("create", path_);
  temporary_.clear();
  return {};
}

Result<void> print(std::string_view bytes) {
  return write_all(STDOUT_FILENO, bytes, "stdout");
}

}  // namespace kvs::cli
