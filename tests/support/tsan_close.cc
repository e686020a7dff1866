// tsan_close.cc - shows ThreadSanitizer the descriptors that libuv closes.
//
// libuv closes by syscall(SYS_close), past TSan's interceptor of close(2). TSan then takes the next
// use of that number, by another thread and for another file, for a race with the old one. This
// definition of syscall(2) takes the place of libc's in TSan builds and sends SYS_close through
// close(2), which TSan sees; everything else goes to the kernel as before. Nothing is suppressed.
#include <cerrno>
#include <cstdarg>
#include <sys/syscall.h>
#include <unistd.h>

#if !defined(__x86_64__)
#error "the thread sanitizer build knows x86-64 only: add this machine's system call instruction"
#endif

extern "C" long syscall(long number, ...) {
  va_list list;
  va_start(list, number);
  long words[6];
  for (long& word : words) word = va_arg(list, long);
  va_end(list);
  if (number == SYS_close) return close(static_cast<int>(words[0]));
  long result = number;
  register long r10 asm("r10") = words[3];
  register long r8 asm("r8") = words[4];
  register long r9 asm("r9") = words[5];
  asm volatile("syscall"
               : "+a"(result)
               : "D"(words[0]), "S"(words[1]), "d"(words[2]), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  if (result >= 0 || result < -4095) return result;
  errno = static_cast<int>(-result);
  return -1;
}
