// round_trip.cc - one client, one request under way: how long is a round trip?
//
// redis-benchmark counts in steps of 8 us, which is more than the difference that figure 5 asks
// for; this one keeps every sample in nanoseconds. A plain blocking socket, so that the client
// costs as little as a client can.
//
//   round-trip PORT get|set COUNT KEYS VALUE_BYTES
//
// prints "p50_us p99_us p99.9_us" and nothing else; exit code 1 and a message when the server
// answers an error, closes, or does not answer for 10 s. Keys are those of redis-benchmark.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <random>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <vector>

namespace {

constexpr unsigned kWarmUp = 500;  // round trips that are not counted

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "round-trip: %s\n", what);
  std::exit(1);
}

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size()) {
    fail("usage: round-trip PORT get|set COUNT KEYS VALUE_BYTES");
  }
  return value;
}

int connect_to(std::uint64_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    fail(std::strerror(errno));
  }
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const timeval patience{.tv_sec = 10, .tv_usec = 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  return fd;
}

// Bytes of the whole reply at the front of `text`; 0 while it is incomplete. Knows +OK and bulks.
std::size_t reply_bytes(std::string_view text) {
  const auto line_end = text.find("\r\n");
  if (line_end == std::string_view::npos) {
    return 0;
  }
  if (text.front() == '+') {
    return line_end + 2;
  }
  if (text.front() != '$') {
    fail(std::string(text.substr(0, line_end)).c_str());
  }
  if (text[1] == '-') {
    return line_end + 2;  // no such key
  }
  const std::size_t whole = line_end + 2 + number(text.substr(1, line_end - 1)) + 2;
  return text.size() >= whole ? whole : 0;
}

void round_trip(int fd, std::string_view request) {
  if (send(fd, request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    fail("cannot send");
  }
  static char buffer[64 * 1024];
  std::size_t filled = 0;
  for (;;) {
    const ssize_t got = recv(fd, buffer + filled, sizeof buffer - filled, 0);
    if (got <= 0) {
      fail(got == 0 ? "the server closed the connection" : std::strerror(errno));
    }
    filled += static_cast<std::size_t>(got);
    if (const std::size_t whole = reply_bytes({buffer, filled}); whole != 0) {
      if (whole != filled) {
        fail("more bytes than one reply");
      }
      return;
    }
    if (filled == sizeof buffer) {
      fail("the reply is too long");
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    fail("usage: round-trip PORT get|set COUNT KEYS VALUE_BYTES");
  }
  const bool is_set = std::string_view(argv[2]) == "set";
  const std::uint64_t count = number(argv[3]);
  const std::uint64_t keys = number(argv[4]);
  const std::string value(number(argv[5]), 'r');
  if (count == 0 || keys == 0) {
    fail("COUNT and KEYS must be positive");
  }
  const int fd = connect_to(number(argv[1]));

  std::mt19937_64 random(1);  // the same keys for every server
  std::uniform_int_distribution<std::uint64_t> pick(0, keys - 1);
  std::vector<std::uint32_t> samples_ns;
  samples_ns.reserve(count);
  std::string request;
  for (std::uint64_t n = 0; n < count + kWarmUp; ++n) {
    char key[32];
    std::snprintf(key, sizeof key, "key:%012llu", static_cast<unsigned long long>(pick(random)));
    request = is_set ? "*3\r\n$3\r\nSET\r\n$16\r\n" : "*2\r\n$3\r\nGET\r\n$16\r\n";
    request.append(key).append("\r\n");
    if (is_set) {
      request.append("$").append(std::to_string(value.size())).append("\r\n");
      request.append(value).append("\r\n");
    }
    const auto begin = std::chrono::steady_clock::now();
    round_trip(fd, request);
    const auto took = std::chrono::steady_clock::now() - begin;
    if (n >= kWarmUp) {
      samples_ns.push_back(static_cast<std::uint32_t>(
          std::chrono::duration_cast<std::chrono::nanoseconds>(took).count()));
    }
  }
  close(fd);
  std::sort(samples_ns.begin(), samples_ns.end());
  const auto percentile_us = [&](double share) {
    return samples_ns[static_cast<std::size_t>(share * static_cast<double>(count - 1))] / 1000.0;
  };
  std::printf("%.3f %.3f %.3f\n", percentile_us(0.5), percentile_us(0.99), percentile_us(0.999));
  return 0;
}
