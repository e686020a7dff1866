// durability_levels_test.cc - CLIENT DURABILITY, SET ... DURABILITY, durability-prefix and WAITAOF:
// who waits for a sync, who does not, and who is told when it fails.
//
// Every fdatasync of a running server is made to take seconds: a reply that is there meanwhile has
// not waited for one, and one that is not has. What is compared is order, not time.
#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/request.h"
#include "tests/support/server_process.h"
#include "tests/support/socket.h"
#include "tests/support/syscall_fault.h"

using namespace std::chrono_literals;

namespace kvs::test {
namespace {

constexpr auto stall = 3s;
const std::string stalled = "fdatasync:delay_enter=3000000";
const std::string failing = "fdatasync:error=EIO";
const std::string ok = "+OK\r\n";
const std::string sync_failed =
    "-MISCONF The log could not be synced, what this depends on may be lost\r\n";

bool faults_work() {
  static const std::string obstacle = syscall_fault_obstacle();
  if (obstacle.empty()) return true;
  MESSAGE("SKIPPED: ", obstacle);
  return false;
}

class Server {
 public:
  explicit Server(std::vector<std::string> arguments)
      // The leak checker cannot work in a traced process.
      : process_(
            {.arguments = std::move(arguments), .environment = {"LSAN_OPTIONS=detect_leaks=0"}}) {}

  ServerProcess& process() { return process_; }

  // A connection that has asked for `level`; empty: it has not.
  Socket client(const std::string& level = "") const {
    Socket socket = process_.connect({.timeout = 30s});
    if (!level.empty()) REQUIRE(socket.command({"CLIENT", "DURABILITY", level}) == ok);
    return socket;
  }

  std::int64_t info(const std::string& field) const {
    const std::string text = client().command({"INFO", "everything"});
    const auto at = text.find("\n" + field + ":");
    REQUIRE(at != text.npos);
    return std::stoll(text.substr(at + field.size() + 2));
  }

 private:
  ServerProcess process_;
};

// Sends `request`, whose reply must wait for the sync that is stalled.
void check_waits(Socket& socket, const Request& request) {
  socket.send_all(encode_request(request));
  CHECK(socket.silent_for(300ms));
}

TEST_CASE("a reply to a sync connection leaves after its fdatasync, and delays no kernel one") {
  if (!faults_work()) return;
  Server server({"--sync", "no"});
  Socket sync = server.client("sync");
  Socket kernel = server.client("kernel");
  Socket usual = server.client();
  const SyscallFault fault(server.process().pid(), stalled);

  const auto began = std::chrono::steady_clock::now();
  sync.send_all(encode_request({"SET", "mine", "1"}));
  for (int i = 0; i < 20; ++i) {
    const std::string number = std::to_string(i);
    CHECK(kernel.command({"SET", "cached", number}) == ok);
    CHECK(kernel.command({"GET", "cached"}) ==
          "$" + std::to_string(number.size()) + "\r\n" + number + "\r\n");
    CHECK(usual.command({"INCR", "counter"}) == ":" + std::to_string(i + 1) + "\r\n");
  }
  CHECK(sync.silent_for(1ms));
  CHECK(sync.read_reply() == ok);
  CHECK(std::chrono::steady_clock::now() - began >= stall);
}

TEST_CASE("a read on a sync connection never shows what a power cut could take back") {
  if (!faults_work()) return;
  Server server({"--sync", "no"});
  Socket kernel = server.client("kernel");
  Socket sync = server.client("sync");
  CHECK(kernel.command({"SET", "old", "1"}) == ok);
  CHECK(kernel.command({"WAITAOF", "1", "0", "0"}) == "*2\r\n:1\r\n:0\r\n");
  const SyscallFault fault(server.process().pid(), stalled);

  CHECK(kernel.command({"SET", "new", "2"}) == ok);
  CHECK(sync.command({"GET", "old"}) == "$1\r\n1\r\n");  // it is on the disk: no wait
  CHECK(kernel.command({"GET", "new"}) == "$1\r\n2\r\n");
  check_waits(sync, {"GET", "new"});
  CHECK(sync.read_reply() == "$1\r\n2\r\n");

  // An absent key may be one whose removal could be taken back.
  CHECK(kernel.command({"DEL", "new"}) == ":1\r\n");
  check_waits(sync, {"GET", "new"});
  CHECK(sync.read_reply() == "$-1\r\n");
}

TEST_CASE("a read never shows a swap of databases that a power cut could take back") {
  if (!faults_work()) return;
  Server server({"--sync", "always"});
  Socket writer = server.client();
  Socket reader = server.client();
  Socket kernel = server.client("kernel");
  CHECK(writer.command({"MSET", "a", "zero", "only", "here"}) == ok);
  CHECK(writer.command({"SELECT", "1"}) == ok);
  CHECK(writer.command({"SET", "a", "one"}) == ok);
  const SyscallFault fault(server.process().pid(), stalled);

  CHECK(reader.command({"GET", "a"}) == "$4\r\nzero\r\n");  // it is on the disk: no wait
  check_waits(writer, {"SWAPDB", "0", "1"});
  CHECK(kernel.command({"MGET", "a", "only"}) == "*2\r\n$3\r\none\r\n$-1\r\n");
  // What it finds has been on the disk for long, but not that it is here.
  check_waits(reader, {"GET", "a"});
  CHECK(writer.read_reply() == ok);
  CHECK(reader.read_reply() == "$3\r\none\r\n");
  CHECK(reader.command({"GET", "a"}) == "$3\r\none\r\n");
}

TEST_CASE("one sync releases all who came before it") {
  if (!faults_work()) return;
  Server server({"--sync", "no"});
  std::vector<Socket> clients;
  for (int i = 0; i < 50; ++i) clients.push_back(server.client("sync"));
  const SyscallFault fault(server.process().pid(), stalled);
  const std::int64_t before = server.info("kvs_syncs");
  for (std::size_t i = 0; i < clients.size(); ++i) {
    clients[i].send_all(encode_request({"SET", "key" + std::to_string(i), "value"}));
  }
  // The first of them has one sync, and all others share the next.
  while (server.info("kvs_sync_waiting_clients") < 50) std::this_thread::sleep_for(5ms);
  for (Socket& client : clients) CHECK(client.read_reply() == ok);
  CHECK(server.info("kvs_syncs") - before <= 3);
  CHECK(server.info("kvs_sync_waiting_clients") == 0);
}

TEST_CASE("who asks for less than --sync always does not wait; others are not shown his writes") {
  if (!faults_work()) return;
  Server server({"--sync", "always"});
  Socket usual = server.client();
  Socket kernel = server.client("kernel");
  Socket back = server.client("kernel");
  CHECK(back.command({"CLIENT", "DURABILITY", "default"}) == ok);
  const SyscallFault fault(server.process().pid(), stalled);

  CHECK(kernel.command({"SET", "cached", "1"}) == ok);
  CHECK(kernel.command({"GET", "cached"}) == "$1\r\n1\r\n");
  Socket another = server.client();
  CHECK(another.command({"SET", "other", "1", "DURABILITY", "kernel"}) == ok);
  check_waits(usual, {"GET", "cached"});
  check_waits(back, {"SET", "x", "1"});
  check_waits(kernel, {"SET", "precious", "1", "DURABILITY", "sync"});
  CHECK(usual.read_reply() == "$1\r\n1\r\n");
  CHECK(back.read_reply() == ok);
  CHECK(kernel.read_reply() == ok);
}

TEST_CASE("who asks for less is not held up by those who gather for the next sync") {
  if (!faults_work()) return;
  Server server({"--sync", "always", "--threads", "1"});
  std::vector<Socket> usual;
  for (int i = 0; i < 10; ++i) usual.push_back(server.client());
  Socket kernel = server.client("kernel");
  Socket another = server.client();
  const SyscallFault fault(server.process().pid(), stalled);

  for (Socket& client : usual) client.send_all(encode_request({"INCR", "precious"}));
  while (server.info("kvs_sync_waiting_clients") < 10) std::this_thread::sleep_for(1ms);
  for (int i = 0; i < 10; ++i) {
    CHECK(kernel.command({"SET", "cached", std::to_string(i)}) == ok);
    CHECK(another.command({"SET", "other", "1", "DURABILITY", "kernel"}) == ok);
  }
  for (Socket& client : usual) CHECK(client.silent_for(1ms));
  for (Socket& client : usual) (void)client.read_reply();
  CHECK(usual.front().command({"GET", "precious"}) == "$2\r\n10\r\n");
}

TEST_CASE("SET ... DURABILITY sync waits on any connection, and kernel weakens no other wish") {
  if (!faults_work()) return;
  Server server({"--sync", "no"});
  Socket usual = server.client();
  Socket sync = server.client("sync");
  Socket pipelined = server.client();
  const SyscallFault fault(server.process().pid(), stalled);
  check_waits(usual, {"SET", "a", "1", "EX", "100", "DURABILITY", "SYNC"});
  check_waits(sync, {"SET", "b", "1", "DURABILITY", "kernel"});
  // Replies keep their order: what comes behind one that waits leaves with it.
  pipelined.send_all(encode_request({"SET", "c", "1"}) +
                     encode_request({"SET", "d", "1", "DURABILITY", "sync"}) +
                     encode_request({"GET", "c"}));
  CHECK(usual.read_reply() == ok);
  CHECK(sync.read_reply() == ok);
  for (const char* reply : {"+OK\r\n", "+OK\r\n", "$1\r\n1\r\n"}) {
    CHECK(pipelined.read_reply() == reply);
  }
}

TEST_CASE("the longest prefix decides for a key, and CONFIG SET replaces the rules") {
  if (!faults_work()) return;
  Server server({"--sync", "no", "--durability-prefix", "orders:", "sync", "--durability-prefix",
                 "orders:draft:", "kernel"});
  Socket client = server.client();
  Socket other = server.client();
  const SyscallFault fault(server.process().pid(), stalled);
  CHECK(client.command({"SET", "cache:1", "x"}) == ok);
  CHECK(client.command({"SET", "orders:draft:1", "x"}) == ok);
  CHECK(client.command({"SET", "order", "x"}) == ok);
  CHECK(client.command({"MGET", "cache:1", "orders:draft:1"}) == "*2\r\n$1\r\nx\r\n$1\r\nx\r\n");
  check_waits(client, {"MSET", "cache:1", "y", "orders:1", "y"});
  // A read of such a key, and a command that may show any of them, waits as well.
  check_waits(other, {"GET", "orders:1"});
  CHECK(client.read_reply() == ok);
  CHECK(other.read_reply() == "$1\r\ny\r\n");
  CHECK(client.command({"SET", "cache:1", "z"}) == ok);
  check_waits(client, {"DBSIZE"});
  CHECK(client.read_reply() == ":4\r\n");

  CHECK(other.command({"CONFIG", "SET", "durability-prefix", "cache: sync"}) == ok);
  CHECK(client.command({"SET", "orders:1", "z"}) == ok);
  check_waits(client, {"RENAME", "orders:1", "cache:2"});
  CHECK(client.read_reply() == ok);
}

TEST_CASE("an empty prefix holds every connection to it") {
  if (!faults_work()) return;
  Server server({"--sync", "no", "--durability-prefix", "\"\" sync cache: kernel"});
  Socket kernel = server.client("kernel");
  const SyscallFault fault(server.process().pid(), stalled);
  CHECK(kernel.command({"SET", "cache:1", "1"}) == ok);
  check_waits(kernel, {"SET", "a", "1"});
  CHECK(kernel.read_reply() == ok);
}

TEST_CASE("a transaction is as durable as its strongest member") {
  if (!faults_work()) return;
  Server server({"--sync", "no", "--durability-prefix", "orders: sync"});
  const std::string queued = "+QUEUED\r\n";
  const auto transaction = [&](Socket& socket, std::initializer_list<Request> members) {
    std::string batch = encode_request({"MULTI"});
    for (const Request& member : members) batch += encode_request(member);
    socket.send_all(batch);
    CHECK(socket.read_reply() == ok);
    for (std::size_t i = 0; i < members.size(); ++i) CHECK(socket.read_reply() == queued);
  };
  Socket by_prefix = server.client();
  Socket by_option = server.client();
  Socket by_connection = server.client();
  Socket none = server.client();
  const SyscallFault fault(server.process().pid(), stalled);

  transaction(none, {{"SET", "a", "1"}, {"GET", "a"}});
  CHECK(none.command({"EXEC"}) == "*2\r\n+OK\r\n$1\r\n1\r\n");
  transaction(by_prefix, {{"SET", "a", "1"}, {"INCR", "orders:1"}});
  check_waits(by_prefix, {"EXEC"});
  transaction(by_option, {{"SET", "b", "1", "DURABILITY", "sync"}, {"SET", "c", "1"}});
  check_waits(by_option, {"EXEC"});
  transaction(
      by_connection,
      {{"CLIENT", "DURABILITY", "sync"}, {"SET", "d", "1"}, {"CLIENT", "DURABILITY", "kernel"}});
  check_waits(by_connection, {"EXEC"});
  CHECK(by_prefix.read_reply() == "*2\r\n+OK\r\n:1\r\n");
  CHECK(by_option.read_reply() == "*2\r\n+OK\r\n+OK\r\n");
  CHECK(by_connection.read_reply() == "*3\r\n+OK\r\n+OK\r\n+OK\r\n");
}

TEST_CASE("WAITAOF starts a sync and waits for it, no longer than its timeout") {
  if (!faults_work()) return;
  Server server({"--sync", "no"});
  Socket client = server.client();
  CHECK(client.command({"SET", "a", "1"}) == ok);
  CHECK(client.command({"WAITAOF", "0", "0", "0"}) == "*2\r\n:0\r\n:0\r\n");  // starts none
  CHECK(client.command({"WAITAOF", "1", "0", "0"}) == "*2\r\n:1\r\n:0\r\n");
  CHECK(client.command({"WAITAOF", "0", "0", "0"}) == "*2\r\n:1\r\n:0\r\n");
  CHECK(client.command({"WAITAOF", "1", "3", "0"}) == "*2\r\n:1\r\n:0\r\n");  // nor for replicas

  const SyscallFault fault(server.process().pid(), stalled);
  const auto began = std::chrono::steady_clock::now();
  // What was sent before is answered at once, what comes behind after it.
  client.send_all(encode_request({"SET", "a", "2"}) + encode_request({"WAITAOF", "1", "0", "400"}) +
                  encode_request({"GET", "a"}));
  CHECK(client.read_reply() == ok);
  CHECK(client.silent_for(100ms));
  CHECK(client.read_reply() == "*2\r\n:0\r\n:0\r\n");
  CHECK(std::chrono::steady_clock::now() - began >= 400ms);
  CHECK(client.read_reply() == "$1\r\n2\r\n");
  CHECK(std::chrono::steady_clock::now() - began < stall);

  check_waits(client, {"WAITAOF", "1", "0", "0"});
  CHECK(client.read_reply() == "*2\r\n:1\r\n:0\r\n");
  CHECK(client.command({"WAITAOF", "1", "0", "1"}) == "*2\r\n:1\r\n:0\r\n");

  // A transaction waits for nothing, and CLIENT REPLY is heeded.
  client.send_all(encode_request({"MULTI"}) + encode_request({"SET", "a", "3"}) +
                  encode_request({"WAITAOF", "1", "0", "0"}) + encode_request({"EXEC"}));
  for (const char* reply :
       {"+OK\r\n", "+QUEUED\r\n", "+QUEUED\r\n", "*2\r\n+OK\r\n*2\r\n:0\r\n:0\r\n"}) {
    CHECK(client.read_reply() == reply);
  }
  client.send_all(encode_request({"CLIENT", "REPLY", "SKIP"}) +
                  encode_request({"WAITAOF", "1", "0", "100"}) + encode_request({"PING"}));
  CHECK(client.read_reply() == "+PONG\r\n");
}

TEST_CASE("when a sync fails, those who asked for it are told, and nobody else") {
  if (!faults_work()) return;
  Server server({"--sync", "no"});
  Socket kernel = server.client("kernel");
  Socket usual = server.client();
  Socket sync = server.client("sync");
  Socket waits = server.client();
  CHECK(kernel.command({"SET", "synced", "1"}) == ok);
  CHECK(kernel.command({"WAITAOF", "1", "0", "0"}) == "*2\r\n:1\r\n:0\r\n");
  CHECK(kernel.command({"SET", "unsynced", "1"}) == ok);
  const SyscallFault fault(server.process().pid(), failing);

  // Which of them meets it first is open: closed without a reply, or told.
  sync.send_all(encode_request({"SET", "lost", "1"}));
  CHECK(sync.closes_within(10s));
  CHECK(waits.command({"WAITAOF", "1", "0", "0"}) == sync_failed);
  CHECK(usual.command({"GET", "unsynced"}) == "$1\r\n1\r\n");
  CHECK(kernel.command({"GET", "unsynced"}) == "$1\r\n1\r\n");
  // The log takes no more from anybody.
  CHECK(kernel.command({"SET", "unsynced", "2"}).starts_with("-MISCONF "));

  Socket later = server.client("sync");
  CHECK(later.command({"GET", "synced"}) == "$1\r\n1\r\n");
  CHECK(later.command({"GET", "unsynced"}) == sync_failed);
  CHECK(later.command({"GET", "absent"}) == sync_failed);
  CHECK(later.command({"PING"}) == "+PONG\r\n");
}

}  // namespace
}  // namespace kvs::test
