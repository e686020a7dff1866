#include "tests/support/syscall_fault.h"

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string_view>
#include <thread>

#include "tests/support/run_program.h"

namespace kvs::test {

namespace {

constexpr const char* program = "/usr/bin/strace";

bool is_traced(const std::filesystem::path& thread, pid_t tracer) {
  std::ifstream status(thread / "status");
  constexpr std::string_view field = "TracerPid:";
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field)) return std::stol(line.substr(field.size())) == tracer;
  }
  return true;  // it has just ended
}

bool all_traced(pid_t pid, pid_t tracer) {
  for (const auto& thread :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
    if (!is_traced(thread.path(), tracer)) return false;
  }
  return true;
}

}  // namespace

std::string syscall_fault_obstacle() {
  if (!std::filesystem::exists(program)) return "strace is not installed";
  const auto tried =
      run_program({.program = program, .arguments = {"-qq", "-o", "/dev/null", "/bin/true"}});
  return tried.exit_code == 0 ? "" : "strace is not allowed here";
}

SyscallFault::SyscallFault(pid_t pid, const std::string& fault) {
  const std::string call = fault.substr(0, fault.find(':'));
  strace_ = start_program({.program = program,
                           .arguments = {"-f", "-qq", "-o", "/dev/null", "-p", std::to_string(pid),
                                         "-e", "trace=" + call, "-e", "inject=" + fault}},
                          {});
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!all_traced(pid, strace_)) {
    if (std::chrono::steady_clock::now() > until)
      throw std::runtime_error("strace does not attach");
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

SyscallFault::~SyscallFault() {
  ::kill(strace_, SIGTERM);  // it lets go of the process
  if (!wait_for_program(strace_, std::chrono::seconds(20))) ::kill(strace_, SIGKILL);
}

}  // namespace kvs::test
