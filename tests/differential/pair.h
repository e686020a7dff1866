// pair.h - a script played to kvs-server and to redis-server, and what they answered compared.
//
// One run of a script, what goes to one connection without waiting, is sent to both servers and
// then read from both, so that the order between connections is the same on both sides. Replies
// are taken apart by their own framing and by what Redis answered before: how many confirmations
// an UNSUBSCRIBE gives depends on what is subscribed.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/differential/compare.h"
#include "tests/differential/grammar.h"
#include "tests/support/socket.h"

namespace kvs::test {

struct Mismatch {
  std::string subject;  // the command, or what else was compared: failures alike have it alike
  std::string what;     // the step, or where
  std::string redis;
  std::string kvs;
};

// Null: equal enough, or meant.
std::optional<Mismatch> compare_replies(const Request& words, const std::string& redis,
                                        const std::string& kvs, const CommandNames& of_one = {});

class ServerPair {
 public:
  ServerPair(std::uint16_t redis_port, std::uint16_t kvs_port);

  // Both empty, all connections new.
  void reset();
  // Plays a script from where the servers are, and then compares what was published.
  std::optional<Mismatch> play(const Script& script);
  // Whole contents: keys, values and deadlines of every database.
  std::optional<Mismatch> compare_contents();
  // Leaves kvs without connections, for a restart; reset() or compare_contents() connects again.
  void disconnect();

  // The commands that kvs has.
  const CommandNames& kvs_commands() const { return commands_of_kvs_; }

 private:
  static constexpr unsigned kinds = 3;  // channels, patterns, shard channels

  enum Side : unsigned { redis_side, kvs_side };
  static constexpr unsigned sides = 2;

  struct End {
    std::optional<Socket> socket;
    std::vector<std::string> messages;  // published ones, in the order they came
    bool closed = false;
  };
  struct Connection {
    std::array<End, sides> ends;
    // As Redis' replies tell.
    std::array<std::set<std::string>, kinds> subscribed;
    std::vector<Request> queued;
    enum class Replies : std::uint8_t { on, off, skip } replies = Replies::on;
  };

  Socket connect(Side side) const;
  Socket& control(Side side);
  std::string ask(Side side, const Request& words);
  void wait_for_disconnects(Side side);
  void reopen(Connection& connection);
  void remove_everywhere(const std::string& key);  // from all databases
  std::string read_reply(End& end);
  std::optional<Mismatch> play_run(Connection& connection, std::span<const Step> run);
  std::optional<Mismatch> match(Connection& connection, const Step& step);
  std::optional<Mismatch> match_one(Connection& connection, const Step& step, std::string& redis);
  std::optional<Mismatch> compare_messages();
  void note_confirmation(Connection& connection, std::string_view reply);

  std::array<std::uint16_t, sides> ports_;
  std::array<std::optional<Socket>, sides> control_;
  std::array<Connection, connections> connections_;
  std::vector<std::string> damaged_;  // keys of HyperLogLogs that both servers found to be so
  bool bitop_played_ = false;         // since messages were compared
  CommandNames commands_of_kvs_;
  CommandNames commands_of_one_;
};

}  // namespace kvs::test
