// load.h - several AckedWriters on one server, and the loop of the tests that end it in the middle.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/acked_writer.h"
#include "tests/support/server_process.h"

namespace kvs::test {

// From the environment, for long runs.
inline int repetitions(const char* name, int otherwise) {
  const char* given = std::getenv(name);
  return given == nullptr ? otherwise : std::atoi(given);
}

class Load {
 public:
  // The writers of several loads on one server have numbers from different `first` ones on.
  Load(int writers, std::uint64_t seed, AckedWriter::Asks asks = AckedWriter::Asks::nothing,
       int first = 0) {
    for (int number = first; number < first + writers; ++number) {
      writers_.push_back(std::make_unique<AckedWriter>(
          number, seed + static_cast<std::uint64_t>(number) * 1000, asks));
    }
  }
  ~Load() { join(); }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  // Every writer on a connection of its own, until it ends.
  void start(const ServerProcess& server) {
    for (const auto& writer : writers_) {
      threads_.emplace_back([&writer = *writer, &server] {
        try {
          writer.run(server.connect());
        } catch (const SocketError&) {
          // The server went before the connection was made.
        }
      });
    }
  }

  void join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  std::uint64_t acknowledged() const {
    std::uint64_t sum = 0;
    for (const auto& writer : writers_) sum += writer->acknowledged();
    return sum;
  }

  std::string refusals() const {
    std::string texts;
    for (const auto& writer : writers_) texts += writer->refusal();
    return texts;
  }

  void cut() {
    for (const auto& writer : writers_) writer->cut();
  }

  // What is wrong with the keys of all writers, or an empty text.
  std::string check(const ServerProcess& server, AckedWriter::Owed owed) {
    std::string wrong;
    SocketOptions options;
    options.timeout = std::chrono::seconds(30);
    Socket socket = server.connect(options);
    for (const auto& writer : writers_) wrong += writer->check(socket, owed);
    return wrong;
  }

 private:
  std::vector<std::unique_ptr<AckedWriter>> writers_;
  std::vector<std::thread> threads_;
};

}  // namespace kvs::test
