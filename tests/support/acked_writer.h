// acked_writer.h - a client that knows what the server owes it; what tests of crashes load with.
//
// It sends numbered operations in pipelines: sets, removals, and transactions that set two keys.
// What was acknowledged is kept here, outside the store. After a crash its keys must be as they are
// after some number of its operations, and not fewer than were acknowledged: the order of one
// connection is kept, a transaction happens whole or not at all, nothing is lost, nothing is
// invented.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/socket.h"

namespace kvs::test {

class AckedWriter {
 public:
  // How it asks for a sync before each acknowledgement; what it is owed does not change by that.
  enum class Asks : std::uint8_t {
    nothing,      // the server's policy, or its rules, hold
    once,         // CLIENT DURABILITY sync
    by_each_set,  // SET ... DURABILITY sync; removals are owed once a set behind them is
  };

  // `number` tells the keys of several writers apart.
  AckedWriter(int number, std::uint64_t seed, Asks asks = Asks::nothing)
      : number_(number), seed_(seed), asks_(asks) {}

  // Writes until the connection ends or a reply is not the expected one.
  // Thread: its own; the figures below may be read meanwhile.
  void run(Socket socket);

  // What is acknowledged later on is not owed by the next check. For a power cut: a disk that is
  // switched off while the server lives on may let it believe in a sync that came too late.
  void cut() { owed_ = acked_.load(); }

  std::uint64_t acknowledged() const { return acknowledged_count_; }
  // Set when a reply was an error: that text.
  const std::string& refusal() const { return refusal_; }

  // Which prefixes of the operations since the last check are right.
  enum class Owed : std::uint8_t {
    acknowledged,  // all that were acknowledged
    order,         // any number of them: what a policy that may lose still promises
  };
  // Reads all keys. Returns what is wrong, or an empty text; from then on what was found counts as
  // acknowledged.
  std::string check(Socket& socket, Owed owed);

 private:
  struct Operation {
    enum class Kind : std::uint8_t { set, remove, set_two };
    Kind kind = Kind::set;
    std::uint64_t key = 0;
  };
  using Values = std::map<std::string, std::string>;

  Operation operation(std::uint64_t n) const;
  std::string key_of(std::uint64_t key) const;
  std::string value_of(std::uint64_t n) const;
  void append(std::string& batch, std::uint64_t n) const;
  // Reads the replies to operation n; returns false, and keeps the text, when one is not as
  // expected.
  bool read_replies(Socket& socket, std::uint64_t n);
  void apply(Values& values, std::uint64_t n) const;
  Values read_all(Socket& socket) const;

  const int number_;
  const std::uint64_t seed_;
  const Asks asks_;
  Values base_;  // after operation base_n_, verified
  std::uint64_t base_n_ = 0;
  std::uint64_t sent_ = 0;               // the last operation sent
  std::atomic<std::uint64_t> acked_{0};  // the last one acknowledged
  std::optional<std::uint64_t> owed_;    // by cut()
  std::atomic<std::uint64_t> acknowledged_count_{0};
  std::string refusal_;
};

}  // namespace kvs::test
