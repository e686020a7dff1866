// closed_loop.cc - GETs of keys that were preloaded, one at a time on each of many connections.
//
//   closed-loop PORT CONNECTIONS SECONDS KEYS VALUE_BYTES uniform|zipf SEED
//
// prints "gets_per_second p50_us p99_us". Keys are "key:%012d" as redis-benchmark makes them,
// values begin with their key (figure_13.py writes them): length and beginning of every one are
// checked. zipf: 0.99, the ranks scattered over the keys. One thread, blocking in poll only. Exit
// code 1 and a message when an answer is wrong.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <numeric>
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
  std::fprintf(stderr, "closed-loop: %s\n", what.c_str());
  std::exit(1);
}

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size()) {
    fail("usage: closed-loop PORT CONNECTIONS SECONDS KEYS VALUE_BYTES uniform|zipf SEED");
  }
  return value;
}

// Chooses keys.
class Keys {
 public:
  Keys(std::uint64_t count, bool zipf, std::uint64_t seed) : count_(count), random_(seed) {
    if (!zipf) return;
    shares_.reserve(count);
    double sum = 0;
    for (std::uint64_t rank = 1; rank <= count; ++rank) {
      sum += 1 / std::pow(static_cast<double>(rank), 0.99);
      shares_.push_back(sum);
    }
    while (std::gcd(step_, count) != 1) ++step_;
  }

  std::uint64_t next() {
    if (shares_.empty()) return random_() % count_;
    const double at = std::uniform_real_distribution<double>(0, shares_.back())(random_);
    const auto found = std::lower_bound(shares_.begin(), shares_.end(), at);
    return static_cast<std::uint64_t>(found - shares_.begin()) * step_ % count_;
  }

 private:
  const std::uint64_t count_;
  std::mt19937_64 random_;
  std::vector<double> shares_;  // cumulated
  std::uint64_t step_ = 2654435761;
};

struct Connection {
  int fd = -1;
  std::string key;
  std::string input;
  Clock::time_point sent;
};

int connect_to(std::uint64_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    fail("cannot connect");
  }
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

void ask(Connection& connection, std::uint64_t key) {
  char text[64];
  connection.key.assign(
      text, static_cast<std::size_t>(std::snprintf(text, sizeof text, "key:%012llu",
                                                   static_cast<unsigned long long>(key))));
  const std::string request = "*2\r\n$3\r\nGET\r\n$16\r\n" + connection.key + "\r\n";
  connection.input.clear();
  connection.sent = Clock::now();
  if (send(connection.fd, request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    fail("cannot send");
  }
}

// Is the whole answer there? Ends the program when it is wrong.
bool answered(Connection& connection, std::string_view header, std::size_t value_bytes) {
  char buffer[16384];
  const ssize_t got = recv(connection.fd, buffer, sizeof buffer, MSG_DONTWAIT);
  if (got == 0) fail("the server has closed");
  if (got < 0) return false;
  connection.input.append(buffer, static_cast<std::size_t>(got));
  if (connection.input.size() < header.size() + value_bytes + 2) {
    if (connection.input.starts_with('-')) fail(connection.input);
    return false;
  }
  if (!connection.input.starts_with(header)) fail("not the value: " + connection.input);
  if (connection.input.compare(header.size(), connection.key.size(), connection.key) != 0) {
    fail("another key's value for " + connection.key);
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 8) number("");
  const std::uint64_t port = number(argv[1]);
  std::vector<Connection> connections(number(argv[2]));
  const std::uint64_t seconds = number(argv[3]);
  const std::uint64_t keys_count = number(argv[4]);
  const std::size_t value_bytes = number(argv[5]);
  Keys keys(keys_count, std::string_view(argv[6]) == "zipf", number(argv[7]));
  const std::string header = "$" + std::to_string(value_bytes) + "\r\n";

  std::vector<pollfd> polled(connections.size());
  std::vector<double> latencies_us;
  const auto begin = Clock::now();
  const auto end = begin + std::chrono::seconds(seconds);
  for (std::size_t i = 0; i < connections.size(); ++i) {
    connections[i].fd = connect_to(port);
    polled[i] = {.fd = connections[i].fd, .events = POLLIN, .revents = 0};
    ask(connections[i], keys.next());
  }
  for (auto now = begin; now < end;) {
    if (poll(polled.data(), polled.size(), 10'000) <= 0) fail("no answer within 10 s");
    now = Clock::now();
    for (std::size_t i = 0; i < polled.size(); ++i) {
      if (polled[i].revents == 0 || !answered(connections[i], header, value_bytes)) continue;
      latencies_us.push_back(
          std::chrono::duration<double, std::micro>(now - connections[i].sent).count());
      ask(connections[i], keys.next());
    }
  }
  if (latencies_us.empty()) fail("nothing was answered");
  const std::chrono::duration<double> took = Clock::now() - begin;
  std::sort(latencies_us.begin(), latencies_us.end());
  const auto at = [&](double part) {
    return latencies_us[static_cast<std::size_t>(part *
                                                 static_cast<double>(latencies_us.size() - 1))];
  };
  std::printf("%.0f %.0f %.0f\n", static_cast<double>(latencies_us.size()) / took.count(), at(0.5),
              at(0.99));
  for (const Connection& connection : connections) close(connection.fd);
  return 0;
}
