// open_loop.cc - requests at a constant rate, whatever the server does: a stall is seen by
// everybody who would have come meanwhile.
//
//   open-loop PORT RATE SECONDS CONNECTIONS KEYS VALUE_BYTES SET_PERCENT
//
// prints "p50_us p99_us p99.9_us max_us": from the moment a request was due to the moment its reply
// was complete. One thread, blocking in poll only; a connection may have several requests under
// way. Exit code 1 and a message when the server answers an error, closes, or falls 10 s behind.
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <random>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "open-loop: %s\n", what.c_str());
  std::exit(1);
}

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size()) {
    fail("usage: open-loop PORT RATE SECONDS CONNECTIONS KEYS VALUE_BYTES SET_PERCENT");
  }
  return value;
}

struct Connection {
  int fd = -1;
  std::string input;
  std::string unsent;
  std::deque<Clock::time_point> due;  // of the requests under way
};

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
  return fd;
}

// Bytes of the whole reply at the front of `text`; 0 while it is incomplete. Knows +OK and bulks.
std::size_t reply_bytes(std::string_view text) {
  const auto line_end = text.find("\r\n");
  if (line_end == std::string_view::npos) return 0;
  if (text.front() == '+' || text.starts_with("$-1")) return line_end + 2;
  if (text.front() != '$') fail(std::string(text.substr(0, line_end)));
  const std::size_t whole = line_end + 2 + number(text.substr(1, line_end - 1)) + 2;
  return text.size() >= whole ? whole : 0;
}

void send_some(Connection& connection) {
  if (connection.unsent.empty()) return;
  const ssize_t sent = send(connection.fd, connection.unsent.data(), connection.unsent.size(),
                            MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0 && errno != EAGAIN) fail(std::strerror(errno));
  if (sent > 0) connection.unsent.erase(0, static_cast<std::size_t>(sent));
}

void receive_some(Connection& connection, std::vector<std::uint32_t>& samples_ns) {
  static char buffer[64 * 1024];
  const ssize_t got = recv(connection.fd, buffer, sizeof buffer, MSG_DONTWAIT);
  if (got == 0) fail("the server closed a connection");
  if (got < 0 && errno != EAGAIN) fail(std::strerror(errno));
  if (got <= 0) return;
  connection.input.append(buffer, static_cast<std::size_t>(got));
  const auto now = Clock::now();
  std::size_t at = 0;
  while (at < connection.input.size()) {
    const std::size_t whole = reply_bytes(std::string_view(connection.input).substr(at));
    if (whole == 0) break;
    if (connection.due.empty()) fail("a reply that nobody asked for");
    const auto took =
        std::chrono::duration_cast<std::chrono::nanoseconds>(now - connection.due.front());
    samples_ns.push_back(
        static_cast<std::uint32_t>(std::min<std::int64_t>(took.count(), UINT32_MAX)));
    connection.due.pop_front();
    at += whole;
  }
  connection.input.erase(0, at);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 8) number("x");
  const std::uint64_t rate = number(argv[2]);
  const std::uint64_t total = rate * number(argv[3]);
  std::vector<Connection> connections(number(argv[4]));
  const std::uint64_t keys = number(argv[5]);
  const std::string value(number(argv[6]), 'o');
  const std::uint64_t set_percent = number(argv[7]);
  if (total == 0 || connections.empty() || keys == 0) fail("nothing to do");
  for (Connection& connection : connections) connection.fd = connect_to(number(argv[1]));

  std::mt19937_64 random(1);
  std::vector<std::uint32_t> samples_ns;
  samples_ns.reserve(total);
  std::vector<pollfd> polled(connections.size());
  const auto start = Clock::now();
  const std::chrono::duration<double> apart(1.0 / static_cast<double>(rate));
  std::uint64_t begun = 0;
  while (samples_ns.size() < total) {
    const auto now = Clock::now();
    auto due_at = [&](std::uint64_t n) {
      return start + std::chrono::duration_cast<Clock::duration>(apart * static_cast<double>(n));
    };
    for (; begun < total && due_at(begun) <= now; ++begun) {
      Connection& connection = connections[begun % connections.size()];
      char key[32];
      std::snprintf(key, sizeof key, "key:%012llu",
                    static_cast<unsigned long long>(random() % keys));
      const bool is_set = random() % 100 < set_percent;
      connection.unsent += is_set ? "*3\r\n$3\r\nSET\r\n$16\r\n" : "*2\r\n$3\r\nGET\r\n$16\r\n";
      connection.unsent.append(key).append("\r\n");
      if (is_set) {
        connection.unsent.append("$").append(std::to_string(value.size())).append("\r\n");
        connection.unsent.append(value).append("\r\n");
      }
      connection.due.push_back(due_at(begun));
    }
    for (std::size_t i = 0; i < connections.size(); ++i) {
      send_some(connections[i]);
      if (!connections[i].due.empty() &&
          now - connections[i].due.front() > std::chrono::seconds(10)) {
        fail("no reply for 10 s");
      }
      const bool waits = !connections[i].unsent.empty();
      polled[i] = {.fd = connections[i].fd,
                   .events = static_cast<short>(POLLIN | (waits ? POLLOUT : 0)),
                   .revents = 0};
    }
    timespec timeout{.tv_sec = 1, .tv_nsec = 0};
    if (begun < total) {
      const auto wait = std::max(Clock::duration(0), due_at(begun) - Clock::now());
      timeout = {
          .tv_sec = 0,
          .tv_nsec = std::min<std::int64_t>(
              999'999'999, std::chrono::duration_cast<std::chrono::nanoseconds>(wait).count())};
    }
    if (ppoll(polled.data(), polled.size(), &timeout, nullptr) < 0 && errno != EINTR) {
      fail(std::strerror(errno));
    }
    for (std::size_t i = 0; i < connections.size(); ++i) {
      if (polled[i].revents != 0) receive_some(connections[i], samples_ns);
    }
  }
  std::sort(samples_ns.begin(), samples_ns.end());
  const auto percentile_us = [&](double share) {
    return samples_ns[static_cast<std::size_t>(share * static_cast<double>(total - 1))] / 1000.0;
  };
  std::printf("%.1f %.1f %.1f %.1f\n", percentile_us(0.5), percentile_us(0.99),
              percentile_us(0.999), percentile_us(1));
  return 0;
}
