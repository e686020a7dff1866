// run_program.cc - fork and exec by hand, since posix_spawn offers no parent-death signal.
#include "tests/support/run_program.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <poll.h>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <utility>

namespace kvs::test {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int exec_failed_code = 127;

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() { close(); }
  int get() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

struct Pipe {
  Fd read_end;
  Fd write_end;
};

Pipe make_pipe() {
  std::array<int, 2> ends;
  if (pipe2(ends.data(), O_CLOEXEC) != 0) fail("pipe");
  return {Fd(ends[0]), Fd(ends[1])};
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (std::string& string : strings) out.push_back(string.data());
  out.push_back(nullptr);
  return out;
}

std::string_view name_of(std::string_view setting) {
  return setting.substr(0, setting.find('='));
}

std::vector<std::string> merged_environment(const std::vector<std::string>& changes) {
  std::vector<std::string> out = changes;
  for (char** setting = environ; *setting != nullptr; ++setting) {
    const bool changed = std::any_of(changes.begin(), changes.end(), [&](const auto& change) {
      return name_of(change) == name_of(*setting);
    });
    if (!changed) out.emplace_back(*setting);
  }
  return out;
}

// Puts `from`, or /dev/null, in place of `target`. Only async-signal-safe calls: between fork and
// exec other threads' locks may be held.
void take_stream(int from, int target) {
  if (from < 0) from = open("/dev/null", O_RDWR);
  dup2(from, target);
}

int exit_code_of(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

// Moves what is readable to `out`; closes `fd` at its end.
void drain(Fd& fd, std::string& out) {
  std::array<char, 65536> chunk;
  const ssize_t size = read(fd.get(), chunk.data(), chunk.size());
  if (size > 0) {
    out.append(chunk.data(), static_cast<std::size_t>(size));
  } else if (size == 0 || errno != EINTR) {
    fd.close();
  }
}

}  // namespace

std::filesystem::path test_program(std::string_view name) {
  const char* const folder = std::getenv("KVS_TEST_BIN");
  if (folder == nullptr) throw std::runtime_error("KVS_TEST_BIN is not set: run this by ctest");
  return std::filesystem::path(folder) / name;
}

pid_t start_program(const Command& command, const Streams& streams) {
  std::vector<std::string> arguments = command.arguments;
  arguments.insert(arguments.begin(), command.program.string());
  std::vector<std::string> environment = merged_environment(command.environment);
  const std::vector<char*> argv = pointers(arguments);
  const std::vector<char*> envp = pointers(environment);
  const pid_t parent = getpid();

  const pid_t pid = fork();
  if (pid < 0) fail("fork");
  if (pid > 0) return pid;

  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(exec_failed_code);
  take_stream(streams.in, STDIN_FILENO);
  take_stream(streams.out, STDOUT_FILENO);
  take_stream(streams.err, STDERR_FILENO);
  if (!command.dir.empty() && chdir(command.dir.c_str()) != 0) _exit(exec_failed_code);
  execve(argv[0], argv.data(), envp.data());
  _exit(exec_failed_code);
}

std::optional<int> wait_for_program(pid_t pid, std::chrono::milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  for (;;) {
    int status = 0;
    const pid_t ended = waitpid(pid, &status, WNOHANG);
    if (ended == pid) return exit_code_of(status);
    if (ended < 0 && errno != EINTR) fail("waitpid");
    if (Clock::now() >= deadline) return std::nullopt;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

ProgramResult run_program(const Command& command, std::string_view input,
                          std::chrono::milliseconds timeout) {
  signal(SIGPIPE, SIG_IGN);  // a program need not read its stdin
  Pipe in = make_pipe();
  Pipe out = make_pipe();
  Pipe err = make_pipe();
  const pid_t pid = start_program(
      command, {.in = in.read_end.get(), .out = out.write_end.get(), .err = err.write_end.get()});
  in.read_end.close();
  out.write_end.close();
  err.write_end.close();
  fcntl(in.write_end.get(), F_SETFL, O_NONBLOCK);
  if (input.empty()) in.write_end.close();

  ProgramResult result;
  const auto deadline = Clock::now() + timeout;
  while (out.read_end.get() >= 0 || err.read_end.get() >= 0) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) break;
    std::array<pollfd, 3> ready{{{in.write_end.get(), POLLOUT, 0},
                                 {out.read_end.get(), POLLIN, 0},
                                 {err.read_end.get(), POLLIN, 0}}};
    poll(ready.data(), ready.size(), static_cast<int>(left.count()));
    if (ready[0].revents != 0) {
      const ssize_t size = write(in.write_end.get(), input.data(), input.size());
      if (size > 0) input.remove_prefix(static_cast<std::size_t>(size));
      if (input.empty() || (size < 0 && errno != EAGAIN)) in.write_end.close();
    }
    if (ready[1].revents != 0) drain(out.read_end, result.out);
    if (ready[2].revents != 0) drain(err.read_end, result.err);
  }

  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
  auto ended = wait_for_program(pid, std::max(left, std::chrono::milliseconds(0)));
  if (!ended) {
    result.timed_out = true;
    ::kill(pid, SIGKILL);
    ended = wait_for_program(pid, std::chrono::seconds(10));
  }
  result.exit_code = ended.value_or(-1);
  return result;
}

}  // namespace kvs::test
