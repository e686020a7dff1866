// syscall_fault.h - from now on a kind of system call stalls or fails in a running process, until
// this goes out of scope. By strace, which needs the right to trace.
#pragma once

#include <string>
#include <sys/types.h>

namespace kvs::test {

// Empty when strace is there and may trace; otherwise why not.
std::string syscall_fault_obstacle();

class SyscallFault {
 public:
  // `fault` is what strace injects: "fdatasync:delay_enter=2000000", "fdatasync:error=EIO". Returns
  // when every thread of `pid` is traced; throws std::runtime_error when that does not come.
  SyscallFault(pid_t pid, const std::string& fault);
  ~SyscallFault();
  SyscallFault(const SyscallFault&) = delete;
  SyscallFault& operator=(const SyscallFault&) = delete;

 private:
  pid_t strace_ = -1;
};

}  // namespace kvs::test
