#include "tests/unit/client/redis_server.h"

#include <chrono>
#include <csignal>
#include <stdexcept>
#include <thread>
#include <utility>

#include "tests/support/run_program.h"
#include "tests/support/socket.h"

namespace kvs::test {
namespace {

const std::filesystem::path program = "/usr/bin/redis-server";

}  // namespace

bool RedisServer::available() {
  return std::filesystem::exists(program);
}

RedisServer::RedisServer(std::vector<std::string> arguments, std::uint16_t port)
    : arguments_(std::move(arguments)), address_{"127.0.0.1", port == 0 ? free_port() : port} {
  if (port == 0) {
    arguments_.insert(arguments_.end(), {"--port", std::to_string(address_.port)});
  }
  arguments_.insert(arguments_.end(), {"--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                                       "--daemonize", "no", "--loglevel", "warning"});
  start();
}

RedisServer::~RedisServer() {
  kill();
}

void RedisServer::start() {
  pid_ = start_program({.program = program, .arguments = arguments_, .dir = "/tmp"}, Streams{});
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (std::chrono::steady_clock::now() < deadline) {
    try {
      const Socket ready({.port = address_.port});
      return;
    } catch (const SocketError&) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  throw std::runtime_error("redis-server does not accept on " + to_string(address_));
}

void RedisServer::kill() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  (void)wait_for_program(std::exchange(pid_, -1), std::chrono::seconds(10));
}

void RedisServer::restart() {
  kill();
  start();
}

}  // namespace kvs::test
