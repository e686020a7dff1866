// commands_test.cc - every command against the replies in command_scripts.cc.
#include <cstdlib>
#include <netdb.h>
#include <set>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "tests/unit/daemon/command_scripts.h"
#include "tests/unit/daemon/harness.h"

namespace kvs::daemon::test {

namespace {

// A blocking connection to a real Redis.
class RedisConnection {
 public:
  explicit RedisConnection(const std::string& address) {
    const std::size_t colon = address.rfind(':');
    addrinfo* found = nullptr;
    REQUIRE(getaddrinfo(address.substr(0, colon).c_str(), address.substr(colon + 1).c_str(),
                        nullptr, &found) == 0);
    socket_ = socket(found->ai_family, SOCK_STREAM, 0);
    const timeval patience{.tv_sec = 10, .tv_usec = 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    const int connected = connect(socket_, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    REQUIRE(connected == 0);
  }
  ~RedisConnection() { close(socket_); }
  RedisConnection(const RedisConnection&) = delete;
  RedisConnection& operator=(const RedisConnection&) = delete;

  std::string ask(std::string_view line) {
    const auto words = words_of(line);
    std::string request = "*" + std::to_string(words.size()) + "\r\n";
    for (const std::string& word : words) {
      request += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
    }
    REQUIRE(send(socket_, request.data(), request.size(), 0) ==
            static_cast<ssize_t>(request.size()));
    std::string reply;
    read_reply(reply);
    return shown(reply);
  }

 private:
  char next() {
    char byte = 0;
    REQUIRE(recv(socket_, &byte, 1, 0) == 1);
    return byte;
  }

  void read_reply(std::string& reply) {
    std::string line;
    while (!line.ends_with("\r\n")) line += next();
    reply += line;
    const long count = std::atol(line.c_str() + 1);
    if (line[0] == '$' || line[0] == '=') {
      for (long i = 0; count >= 0 && i < count + 2; ++i) reply += next();
    } else if (line[0] == '*' || line[0] == '~' || line[0] == '>' || line[0] == '%') {
      for (long i = 0; i < (line[0] == '%' ? 2 * count : count); ++i) read_reply(reply);
    }
  }

  int socket_ = -1;
};

}  // namespace

TEST_CASE("every command answers as the scripts say") {
  for (const Script& script : command_scripts()) {
    SUBCASE(script.sentence.data()) {
      TestServer server;
      TestClient client(server);
      for (const Exchange& exchange : script.exchanges) {
        const std::string reply = client(exchange.request);
        CHECK_MESSAGE(fits(reply, exchange.reply), exchange.request << "\n  answers " << reply
                                                                    << "\n  not     "
                                                                    << exchange.reply);
      }
    }
  }
}

TEST_CASE("a pipeline answers what its requests answer one by one") {
  for (const Script& script : command_scripts()) {
    TestServer server_of_one;
    TestServer server_of_all;
    TestClient one(server_of_one);
    TestClient all(server_of_all);
    std::string expected;
    std::vector<std::string> lines;
    for (const Exchange& exchange : script.exchanges) {
      // What names the time of day differs.
      if (exchange.reply.find("%d") != std::string_view::npos) continue;
      if (!expected.empty()) expected += ' ';
      expected += one(exchange.request);
      lines.emplace_back(exchange.request);
    }
    const std::string replies = all.pipeline(lines);
    CHECK_MESSAGE(replies == expected, script.sentence);
  }
}

TEST_CASE("the scripts are what a real redis answers") {
  const char* const address = std::getenv("KVS_DIFF_REDIS");
  if (address == nullptr) {
    MESSAGE("KVS_DIFF_REDIS=host:port is not set: nothing to compare with");
    return;
  }
  for (const Script& script : command_scripts()) {
    RedisConnection redis(address);
    redis.ask("FLUSHALL");
    for (const Exchange& exchange : script.exchanges) {
      const std::string_view expected = exchange.redis.empty() ? exchange.reply : exchange.redis;
      const std::string reply = redis.ask(exchange.request);
      CHECK_MESSAGE(fits(reply, expected), script.sentence << ": " << exchange.request
                                                           << "\n  answers " << reply
                                                           << "\n  not     " << expected);
    }
  }
}

TEST_CASE("each difference from redis has a reason") {
  for (const Script& script : command_scripts()) {
    for (const Exchange& exchange : script.exchanges) {
      CHECK_MESSAGE(exchange.redis.empty() == exchange.reason.empty(), exchange.request);
    }
  }
}

TEST_CASE("every row of the command table is used by a script or a test of its own") {
  // These have tests of their own in clients_test.cc, operating_test.cc, parameters_test.cc,
  // kvs_test.cc, scripts_test.cc, backup_commands_test.cc and durability_level_test.cc.
  std::set<std::string> used = {
      "client|id",    "client|durability", "waitaof",        "client|info",
      "client|help",  "command|help",      "config|help",    "memory|help",
      "object|help",  "client|no-touch",   "client|setinfo", "kvs|backup",
      "kvs|scrub",    "kvs|help",          "save",           "bgsave",
      "bgrewriteaof", "readonly",          "readwrite",      "script|help",
      "pubsub|help",  "kvs|compact",       "slowlog|get",    "slowlog|len",
      "slowlog|help", "monitor",           "lolwut",         "latency|doctor",
      "latency|help", "memory|stats",      "memory|doctor",  "memory|malloc-stats"};
  TestServer server;
  for (const Script& script : command_scripts()) {
    for (const Exchange& exchange : script.exchanges) {
      const auto words = words_of(exchange.request);
      const std::vector<std::string_view> args(words.begin(), words.end());
      std::string error;
      const Command* command = server.commands.resolve(args, error);
      if (command != nullptr) used.insert(std::string(command->name));
    }
  }
  for (const Command* command : server.commands.all()) {
    if (command->subcommands.empty())
      CHECK_MESSAGE(used.contains(std::string(command->name)), command->name);
    if (command->name == "acl") continue;  // acl_test.cc
    for (const Command& sub : command->subcommands) {
      CHECK_MESSAGE(used.contains(std::string(sub.name)), sub.name);
    }
  }
}

}  // namespace kvs::daemon::test
