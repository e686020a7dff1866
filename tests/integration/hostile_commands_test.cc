// hostile_commands_test.cc - commands that aim at time, memory and the machine behind the server:
// S14, S15, S17, S25, S26, S28. The server answers, keeps its bounds, and touches nothing.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "tests/integration/bystander.h"
#include "tests/support/hostile_case.h"
#include "tests/support/request.h"
#include "tests/support/server_process.h"
#include "tests/support/socket.h"
#include "tests/support/syscall_fault.h"
#include "tests/support/temp_dir.h"

using namespace std::chrono_literals;

namespace kvs::test {
namespace {

using Clock = std::chrono::steady_clock;

const std::string ok = "+OK\r\n";

TEST_CASE("S14 patterns that backtrack cost time in proportion, and nobody waits for them") {
  const ServerProcess server;
  Bystander bystander(server);
  Socket socket = server.connect({.timeout = 60s});
  for (int i = 0; i < 200; ++i) {
    REQUIRE(socket.command({"SET", std::string(200, 'a') + std::to_string(i), "v"}) == ok);
  }
  std::string stars;
  for (int i = 0; i < 64; ++i) stars += "a*";
  const std::string huge(mebi, '*');
  const std::string sets = [] {
    std::string text;
    while (text.size() < mebi) text += "[^a-z]*";
    return text;
  }();
  for (const std::string& pattern : {stars + "b", huge + "b", sets}) {
    socket.send_all(encode_request({"KEYS", pattern}));
    bystander.ask_for(100ms);
    CHECK(socket.read_reply() == "*0\r\n");
    socket.send_all(encode_request({"SCAN", "0", "COUNT", "1000", "MATCH", pattern}));
    CHECK(socket.read_reply() == "*2\r\n$1\r\n0\r\n*0\r\n");
    socket.send_all(encode_request({"CONFIG", "GET", pattern}));
    CHECK(socket.read_reply() == "*0\r\n");
  }
  bystander.ask();
  CHECK(bystander.waited_max() < 1s);
  CHECK(bystander.rss_growth() < 32 * mebi + sanitizer_bytes);
}

TEST_CASE("S15 values do not grow beyond what one may have") {
  const ServerProcess server({.arguments = {"--proto-max-bulk-len", "1mb"}});
  const std::string too_long = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n";
  check_at_every_split(server,
                       {encode_request({"SETRANGE", "k", "9223372036854775807", "x"}), too_long});
  check_at_every_split(server, {encode_request({"SETRANGE", "k", "536870912", "x"}), too_long});
  check_at_every_split(
      server, {encode_request({"SETRANGE", "k", "-1", "x"}), "-ERR offset is out of range\r\n"});
  REQUIRE(server.connect().command({"SET", "full", std::string(mebi, 'v')}) == ok);
  check_at_every_split(server, {encode_request({"APPEND", "full", "x"}), too_long});
  check_at_every_split(server, {encode_request({"STRLEN", "full"}), ":1048576\r\n"});
  check_at_every_split(server, {encode_request({"EXISTS", "k"}), ":0\r\n"});
}

TEST_CASE("S17 bits beyond the largest value, and numbers of 64 unsigned bits, are refused") {
  const ServerProcess server;
  const std::string offset = "-ERR bit offset is not an integer or out of range\r\n";
  for (const std::string bit : {"4294967296", "-1", "x", "18446744073709551616", "#1"}) {
    check_at_every_split(server, {encode_request({"SETBIT", "k", bit, "1"}), offset});
    check_at_every_split(server, {encode_request({"GETBIT", "k", bit}), offset});
  }
  check_at_every_split(server, {encode_request({"SETBIT", "k", "1", "2"}),
                                "-ERR bit is not an integer or out of range\r\n"});
  for (const std::string type : {"u64", "u0", "i65", "i0", "x8", "u", ""}) {
    check_at_every_split(
        server, {encode_request({"BITFIELD", "k", "GET", type, "0"}),
                 "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not "
                 "supported but i64 is.\r\n"});
  }
  check_at_every_split(
      server, {encode_request({"BITFIELD", "k", "SET", "i64", "4294967295", "1"}), offset});
  check_at_every_split(server, {encode_request({"EXISTS", "k"}), ":0\r\n"});
}

// How long it takes to write and read all of `keys`.
Clock::duration time_of(Socket& socket, const std::vector<std::string>& keys) {
  constexpr std::size_t batch_keys = 1000;
  const auto begin = Clock::now();
  for (std::size_t first = 0; first < keys.size(); first += batch_keys) {
    std::string batch;
    const std::size_t last = std::min(keys.size(), first + batch_keys);
    for (std::size_t i = first; i < last; ++i) batch += encode_request({"SET", keys[i], "v"});
    for (std::size_t i = first; i < last; ++i) batch += encode_request({"GET", keys[i]});
    socket.send_all(batch);
    bool right = true;
    for (std::size_t i = first; i < last; ++i) right = socket.read_reply() == ok && right;
    for (std::size_t i = first; i < last; ++i) {
      right = socket.read_reply() == "$1\r\nv\r\n" && right;
    }
    REQUIRE(right);
  }
  return Clock::now() - begin;
}

TEST_CASE("S25 keys that collide under hashes without a secret cost no more than others") {
  // Blocks of two bytes that are worth the same to hashes that multiply by 31 or 33 and add, so
  // that all keys made of as many of them collide there; and keys that differ in nothing but
  // leading NULs.
  constexpr std::size_t bits = 16;
  std::vector<std::string> crafted;
  std::vector<std::string> random;
  std::mt19937_64 generator(7);
  for (std::size_t number = 0; number < std::size_t{1} << bits; ++number) {
    std::string key;
    std::string other;
    for (std::size_t bit = 0; bit < bits; ++bit) {
      key += (number >> bit) % 2 == 0 ? "Ez" : "FY";
      other += static_cast<char>(generator());
      other += static_cast<char>(generator());
    }
    crafted.push_back(std::move(key));
    random.push_back(std::move(other));
  }
  Clock::duration best_crafted = Clock::duration::max();
  Clock::duration best_random = Clock::duration::max();
  for (int round = 0; round < 3; ++round) {
    const ServerProcess server({.arguments = {"--sync", "no"}});
    Socket socket = server.connect({.timeout = 60s});
    best_random = std::min(best_random, time_of(socket, random));
    REQUIRE(socket.command({"FLUSHALL"}) == ok);
    best_crafted = std::min(best_crafted, time_of(socket, crafted));
    REQUIRE(socket.command({"DBSIZE"}) == ":65536\r\n");
  }
  CHECK(best_crafted < 2 * best_random);
}

TEST_CASE("S25 every data directory has a secret of its own") {
  const auto order = [] {
    const ServerProcess server;
    Socket socket = server.connect();
    for (int i = 0; i < 100; ++i) REQUIRE(socket.command({"SET", std::to_string(i), "v"}) == ok);
    return socket.command({"SCAN", "0", "COUNT", "1000"});
  };
  CHECK(order() != order());
}

// The words of a reply that is an array of bulks.
std::vector<std::string> words_in(const std::string& reply) {
  std::vector<std::string> words;
  std::istringstream lines(reply);
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty() && line[0] != '*' && line[0] != '$') words.push_back(line);
  }
  return words;
}

TEST_CASE("S26 what would lead out of the server does not exist, or cannot be set") {
  const ServerProcess server;
  for (const std::string name : {"MODULE", "SLAVEOF", "REPLICAOF", "MIGRATE", "PSYNC", "SYNC",
                                 "CLUSTER", "FAILOVER", "FUNCTION"}) {
    const std::string reply = server.connect().command({name, "/tmp/x", "1"});
    CHECK_MESSAGE(reply.starts_with("-ERR unknown command '" + name + "'"), reply);
  }
  for (const std::string name : {"dir", "logfile", "pidfile", "unixsocket", "aclfile"}) {
    const std::string reply = server.connect().command({"CONFIG", "SET", name, "/tmp/x"});
    CHECK_MESSAGE(reply == "-ERR CONFIG SET failed (possibly related to argument '" + name +
                               "') - can't set immutable config\r\n",
                  reply);
  }
  for (const std::string name : {"dbfilename", "backup-dir", "appenddirname", "tls-cert-file"}) {
    const std::string reply = server.connect().command({"CONFIG", "SET", name, "/tmp/x"});
    CHECK_MESSAGE(reply.starts_with("-ERR "), reply);
  }
  CHECK(server.connect().command({"DEBUG", "SLEEP", "0"}).starts_with("-ERR DEBUG command not"));
  // Backups have no place to go unless the config has named one; then it is the only one.
  CHECK(server.connect().command({"KVS", "BACKUP", "x"}).starts_with("-"));
  const TempDir backups;
  const ServerProcess other({.arguments = {"--backup-dir", backups.path().string()}});
  const std::vector<std::string> names = {"../x", "/tmp/x", "..", ".", "", "a/b", {"a\0b", 3}};
  for (const std::string& name : names) {
    CHECK(other.connect().command({"KVS", "BACKUP", name}).starts_with("-ERR "));
  }
}

TEST_CASE("S26 no command opens a connection, or a file that its words name") {
  if (const std::string obstacle = syscall_fault_obstacle(); !obstacle.empty()) {
    MESSAGE("SKIPPED: ", obstacle);
    return;
  }
  const TempDir traces;
  const auto trace = traces.path() / "trace";
  const std::string named = (traces.path() / "named").string();
  const ServerProcess server(
      {.environment = {"LSAN_OPTIONS=detect_leaks=0"},
       .launcher = {"/usr/bin/strace", "-D", "-f", "-qq", "-s", "300", "-o", trace.string(), "-e",
                    "trace=connect,open,openat,creat,mkdir,mkdirat,rename,renameat2,unlink,"
                    "execve,symlink,link,linkat"}});
  const auto words = words_in(server.connect().command({"COMMAND", "LIST"}));
  REQUIRE(words.size() > 100);
  const std::string before_mark = [&] {
    std::ifstream file(trace);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }();
  CHECK(before_mark.find(server.dir().string()) != before_mark.npos);  // calls are seen
  // An address and a path in every place.
  const std::vector<Request> tails = {{named},
                                      {named, named},
                                      {"127.0.0.1", "9"},
                                      {"127.0.0.1:9", named},
                                      {named, "127.0.0.1", "9"},
                                      {"SAVE", named},
                                      {"127.0.0.1", "9", "k", "0", "100"},
                                      {"TO", "127.0.0.1", "9"}};
  std::size_t tried = 0;
  for (const std::string& word : words) {
    if (word == "shutdown") continue;
    // "client|kill" is sent as two words.
    const std::size_t bar = word.find('|');
    Request head{word.substr(0, bar)};
    if (bar != word.npos) head.push_back(word.substr(bar + 1));
    for (const Request& tail : tails) {
      Request request = head;
      request.insert(request.end(), tail.begin(), tail.end());
      try {
        CHECK(server.connect({.timeout = 5s}).command(request).size() > 0);
        ++tried;
      } catch (const SocketError&) {
        CAPTURE(word);
        CHECK(word == "quit");  // nothing else ends without a word
      }
      if (tried % 20 == 0) CHECK(server.connect().command({"PING"}) == pong);
    }
  }
  CHECK(server.connect().command({"PING"}) == pong);
  std::ifstream file(trace);
  file.seekg(static_cast<std::streamoff>(before_mark.size()));
  std::size_t opened = 0;
  for (std::string line; std::getline(file, line);) {
    CHECK_MESSAGE(line.find("connect(") == line.npos, line);
    CHECK_MESSAGE(line.find("execve(") == line.npos, line);
    CHECK_MESSAGE(line.find(named) == line.npos, line);
    ++opened;
  }
  MESSAGE(tried, " requests of ", words.size(), " commands, ", opened, " calls on files");
  CHECK_FALSE(std::filesystem::exists(named));
}

TEST_CASE("S28 subscriptions without end, and messages that nobody reads, have a bound") {
  const ServerProcess server({.arguments = {"--maxmemory-clients", "16mb"}});
  Bystander bystander(server);
  Socket greedy = server.connect();
  Socket listener = server.connect({.receive_buffer_bytes = 64 * kibi});
  listener.send_all(encode_request({"SUBSCRIBE", "news"}));
  listener.read_reply();
  Socket watcher = server.connect({.receive_buffer_bytes = 64 * kibi});
  REQUIRE(watcher.command({"MONITOR"}) == ok);
  Socket publisher = server.connect();
  const std::string text(100 * kibi, 'm');
  // False: closed. It reads its replies, so that nothing but the subscriptions piles up.
  const auto subscribe = [&greedy](const std::string& requests, int count) {
    try {
      greedy.send_all(requests);
      for (int i = 0; i < count; ++i) greedy.read_reply();
      return true;
    } catch (const SocketError&) {
      return false;
    }
  };
  bool open = true;
  for (int round = 0; round < 400; ++round) {
    std::string channels;
    for (int i = 0; i < 100; ++i) {
      const std::string name = std::string(1000, 'c') + std::to_string(round * 100 + i);
      channels += encode_request({"SUBSCRIBE", name});
    }
    open = open && subscribe(channels, 100);
    REQUIRE(publisher.command({"PUBLISH", "news", text}).starts_with(":"));
    bystander.ask();
  }
  // Each of the three has been closed on the way: 40 MB were subscribed to, published, shown.
  CHECK_FALSE(open);
  bystander.ask_for(200ms);
  CHECK(bystander.rss_growth() < 96 * mebi + sanitizer_bytes);
  CHECK(bystander.waited_max() < 1s);
  CHECK(publisher.command({"PUBSUB", "NUMSUB", "news"}) == "*2\r\n$4\r\nnews\r\n:0\r\n");
}

TEST_CASE("S28 a flood of CLIENT commands costs the server little") {
  const ServerProcess server;
  Bystander bystander(server);
  Socket flooding = server.connect({.receive_buffer_bytes = 64 * kibi});
  std::string flood;
  for (int i = 0; i < 20'000; ++i) {
    flood += encode_request({"CLIENT", "SETNAME", "name" + std::to_string(i)});
    flood += encode_request({"CLIENT", "LIST"});
    flood += encode_request({"CLIENT", "KILL", "ID", "999999"});
    flood += encode_request({"CLIENT", "TRACKING", i % 2 == 0 ? "ON" : "OFF"});
  }
  std::string_view rest = flood;
  for (const auto end = Clock::now() + 1s; Clock::now() < end && !rest.empty();) {
    const std::size_t sent = flooding.send_some(rest.substr(0, 256 * kibi));
    rest.remove_prefix(sent);
    if (sent == 0) bystander.ask_for(10ms);
  }
  CHECK(bystander.rss_growth() < 32 * mebi + sanitizer_bytes);
  CHECK(bystander.waited_max() < 1s);
}

TEST_CASE("S28 a peer that has vanished is looked for") {
  const ServerProcess server({.arguments = {"--tcp-keepalive", "100"}});
  Socket socket = server.connect();
  REQUIRE(socket.command({"PING"}) == pong);
  // Of the server's end: local port, timer kind 02 (keepalive), when.
  std::ifstream table("/proc/net/tcp");
  std::ostringstream port;
  port << ":" << std::hex << std::uppercase;
  port.width(4);
  port.fill('0');
  port << server.port();
  bool probing = false;
  for (std::string line; std::getline(table, line);) {
    std::istringstream words(line);
    std::string number;
    std::string local;
    std::string remote;
    std::string state;
    std::string queues;
    std::string timer;
    words >> number >> local >> remote >> state >> queues >> timer;
    if (state == "01" && local.ends_with(port.str())) probing = probing || timer.starts_with("02:");
  }
  CHECK(probing);
}

}  // namespace
}  // namespace kvs::test
