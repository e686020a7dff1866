// engine_run.cc - one long run on one store, for figures 8 and 14, which compare stores in turn.
//
//   engine-run STORE set-get COUNT DIRECTORY   COUNT random sets, no sync, then COUNT random gets;
//                                              prints "SETS_PER_SECOND GETS_PER_SECOND"
//   engine-run STORE always COUNT DIRECTORY    COUNT sets, each on the disk before the next;
//                                              prints "SETS_PER_SECOND"
//   engine-run probe always COUNT DIRECTORY    fdatasync of a small append to a pre-allocated file;
//                                              prints 1 / the median time
//
// Keys of 16 bytes, values of 100, one thread. Every get is compared with what was set.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <numeric>
#include <random>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

#include "tests/bench/stores.h"

namespace kvs::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t seed = 20240229;
constexpr std::size_t value_bytes = 100;
constexpr std::size_t append_bytes = 160;  // about what a record of ours takes

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

void write_key(std::string& key, std::uint64_t number) {
  char digits[24];
  const int length =
      std::snprintf(digits, sizeof digits, "key:%012llu", static_cast<unsigned long long>(number));
  key.assign(digits, static_cast<std::size_t>(length));
}

// Values differ from key to key, and do not compress. By words: this is a part of what is timed.
void write_value(std::string& value, std::uint64_t number) {
  value.resize(value_bytes);
  std::uint64_t state = number * 0x9e3779b97f4a7c15 + 1;
  for (std::size_t i = 0; i < value.size(); i += sizeof state) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    std::memcpy(value.data() + i, &state, std::min(sizeof state, value.size() - i));
  }
}

// Every number below `count` once, in random order.
std::vector<std::uint64_t> shuffled(std::uint64_t count) {
  std::vector<std::uint64_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0);
  std::shuffle(numbers.begin(), numbers.end(), std::mt19937_64(seed));
  return numbers;
}

void set_get(Store& store, std::uint64_t count) {
  const auto numbers = shuffled(count);
  std::string key;
  std::string value;
  auto begin = Clock::now();
  for (const std::uint64_t number : numbers) {
    write_key(key, number);
    write_value(value, number);
    store.put(key, value);
  }
  const double set_seconds = seconds_since(begin);
  std::mt19937_64 random(seed + 1);
  std::string found;
  begin = Clock::now();
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t number = random() % count;
    write_key(key, number);
    write_value(value, number);
    if (!store.get(key, found) || found != value) give_up("a read was wrong");
  }
  const double get_seconds = seconds_since(begin);
  std::printf("%.1f %.1f\n", static_cast<double>(count) / set_seconds,
              static_cast<double>(count) / get_seconds);
}

void always(Store& store, std::uint64_t count) {
  const auto numbers = shuffled(count);
  std::string key;
  std::string value;
  const auto begin = Clock::now();
  for (const std::uint64_t number : numbers) {
    write_key(key, number);
    write_value(value, number);
    store.put(key, value);
  }
  const double seconds = seconds_since(begin);
  std::string found;
  for (const std::uint64_t number : numbers) {
    write_key(key, number);
    write_value(value, number);
    if (!store.get(key, found) || found != value) give_up("a read was wrong");
  }
  std::printf("%.1f\n", static_cast<double>(count) / seconds);
}

void probe(const std::filesystem::path& directory, std::uint64_t count) {
  const auto path = directory / "probe";
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  const off_t size = static_cast<off_t>(count * append_bytes);
  // Written once, so that the blocks are allocated and not merely reserved.
  if (fd < 0 || posix_fallocate(fd, 0, size) != 0) give_up(std::strerror(errno));
  const std::string zeros(1 << 16, '\0');
  for (off_t at = 0; at < size; at += static_cast<off_t>(zeros.size())) {
    if (pwrite(fd, zeros.data(), zeros.size(), at) < 0) give_up(std::strerror(errno));
  }
  if (fsync(fd) != 0) give_up(std::strerror(errno));
  const std::string bytes(append_bytes, 'x');
  std::vector<double> times;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto begin = Clock::now();
    if (pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(i * append_bytes)) < 0 ||
        fdatasync(fd) != 0) {
      give_up(std::strerror(errno));
    }
    times.push_back(seconds_since(begin));
  }
  close(fd);
  std::nth_element(times.begin(), times.begin() + static_cast<long>(times.size() / 2), times.end());
  std::printf("%.1f\n", 1 / times[times.size() / 2]);
}

int run(int argc, char** argv) {
  const std::vector<std::string_view> words(argv + 1, argv + argc);
  std::uint64_t count = 0;
  if (words.size() == 4) std::from_chars(words[2].data(), words[2].data() + words[2].size(), count);
  if (count == 0) give_up("usage: engine-run STORE set-get|always COUNT DIRECTORY");
  const std::filesystem::path directory = words[3];
  if (words[0] == "probe") {
    probe(directory, count);
  } else if (words[1] == "set-get") {
    set_get(*open_store(words[0], directory, Durability::process), count);
  } else if (words[1] == "always") {
    always(*open_store(words[0], directory, Durability::disk), count);
  } else {
    give_up("set-get or always");
  }
  return 0;
}

}  // namespace
}  // namespace kvs::bench

int main(int argc, char** argv) {
  return kvs::bench::run(argc, argv);
}
