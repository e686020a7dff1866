// probe_iops.cc - what the disk can do: random reads of 4 KiB, past the page cache.
//
//   probe-iops FILE DEPTH SECONDS
//
// prints reads per second. FILE has contents already. DEPTH threads, each with one read under way.
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <random>
#include <string>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

constexpr std::size_t block_bytes = 4096;

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "probe-iops: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: probe-iops FILE DEPTH SECONDS\n");
    return 1;
  }
  const int fd = open(argv[1], O_RDONLY | O_DIRECT | O_CLOEXEC);
  struct stat status {};
  if (fd < 0 || fstat(fd, &status) != 0) fail(argv[1]);
  const auto blocks = static_cast<std::uint64_t>(status.st_size) / block_bytes;
  if (blocks == 0) fail("the file is empty");
  std::atomic<std::uint64_t> reads = 0;
  const auto begin = std::chrono::steady_clock::now();
  const auto end = begin + std::chrono::seconds(std::stoi(argv[3]));
  std::vector<std::thread> threads;
  for (int i = 0; i < std::stoi(argv[2]); ++i) {
    threads.emplace_back([&, i] {
      struct alignas(block_bytes) Block {
        char bytes[block_bytes];
      };
      const auto block = std::make_unique<Block>();
      std::mt19937_64 random(static_cast<unsigned>(i));
      while (std::chrono::steady_clock::now() < end) {
        const auto offset = static_cast<off_t>(random() % blocks * block_bytes);
        if (pread(fd, block->bytes, block_bytes, offset) != block_bytes) fail("read");
        reads.fetch_add(1, std::memory_order_relaxed);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::printf("%.0f\n", static_cast<double>(reads) / took.count());
  close(fd);
  return 0;
}
