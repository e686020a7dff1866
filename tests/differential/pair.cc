#include "tests/differential/pair.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <thread>
#include <utility>

#include "tests/differential/meant.h"

namespace kvs::test {

namespace {

constexpr std::string_view closed = "(closed)";

// kvs tells of changed keys after the commit of a whole batch, Redis after each command, or once in
// a while: what one has told by now the other may have told before the client read the key again.
bool is_invalidation(std::string_view reply) {
  return reply.starts_with(">2\r\n$10\r\ninvalidate\r\n");
}

bool is_message(std::string_view reply) {
  if (reply.empty() || (reply[0] != '*' && reply[0] != '>')) return false;
  if (is_invalidation(reply)) return true;
  const std::string_view head = reply.substr(0, 32);
  return head.find("\r\n$7\r\nmessage\r\n") == 2 || head.find("\r\n$8\r\npmessage\r\n") == 2 ||
         head.find("\r\n$8\r\nsmessage\r\n") == 2;
}

// When a deadline passes is seen by Redis when it looks, so its message has no place in an order.
bool is_about_expiry(std::string_view message) {
  return message.find("$7\r\nexpired\r\n") != std::string_view::npos ||
         message.find(":expired\r\n") != std::string_view::npos;
}

bool is_about_removal(std::string_view message) {
  return message.find("$3\r\ndel\r\n") != std::string_view::npos ||
         message.find("__:del\r\n") != std::string_view::npos;
}

std::optional<unsigned> subscription_kind(std::string_view word) {
  if (word == "subscribe" || word == "unsubscribe") return 0;
  if (word == "psubscribe" || word == "punsubscribe") return 1;
  if (word == "ssubscribe" || word == "sunsubscribe") return 2;
  return std::nullopt;
}

}  // namespace

std::optional<Mismatch> compare_replies(const Request& words, const std::string& redis,
                                        const std::string& kvs, const CommandNames& of_one) {
  if (redis == kvs) return std::nullopt;
  const std::string expected = facts_of(words, redis, redis, kvs, of_one);
  const std::string got = facts_of(words, kvs, redis, kvs, of_one);
  if (got == expected) return std::nullopt;
  if (is_meant(name_of(words), redis, kvs)) return std::nullopt;
  return Mismatch{name_of(words), shown(Step{.words = words}), expected, got};
}

ServerPair::ServerPair(std::uint16_t redis_port, std::uint16_t kvs_port)
    : ports_{redis_port, kvs_port} {
  std::array<CommandNames, sides> names;
  for (const Side side : {redis_side, kvs_side}) {
    for (const std::string& name : elements(ask(side, {"COMMAND", "LIST"}))) {
      names[side].insert(text_of(name));
    }
  }
  std::set_symmetric_difference(names[redis_side].begin(), names[redis_side].end(),
                                names[kvs_side].begin(), names[kvs_side].end(),
                                std::inserter(commands_of_one_, commands_of_one_.end()));
  commands_of_kvs_ = std::move(names[kvs_side]);
}

Socket ServerPair::connect(Side side) const {
  Socket socket({.port = ports_[side], .timeout = std::chrono::seconds(30)});
  socket.command({"PING"});  // from here on the server knows the connection
  return socket;
}

Socket& ServerPair::control(Side side) {
  if (!control_[side]) control_[side].emplace(connect(side));
  return *control_[side];
}

std::string ServerPair::ask(Side side, const Request& words) {
  return control(side).command(words);
}

// A server notices the end of a connection in its own time, and counts its subscriptions until
// then.
void ServerPair::wait_for_disconnects(Side side) {
  for (int attempt = 0; attempt < 2000; ++attempt) {
    const std::string list = ask(side, {"CLIENT", "LIST"});
    if (std::count(list.begin(), list.end(), '\n') <= 3) return;  // our line, and the bulk's two
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  throw SocketError("connections that were closed stay");
}

void ServerPair::disconnect() {
  for (Connection& connection : connections_) connection = {};
  for (auto& socket : control_) socket.reset();
}

void ServerPair::reset() {
  for (Connection& connection : connections_) connection = {};
  for (const Side side : {redis_side, kvs_side}) {
    wait_for_disconnects(side);
    ask(side, {"FLUSHALL"});
    ask(side, {"CONFIG", "SET", "notify-keyspace-events", ""});
    ask(side, {"CONFIG", "SET", "slowlog-max-len", "128"});
    ask(side, {"CONFIG", "SET", "maxclients", "10000"});  // which a restart of kvs forgets
    ask(side, {"CONFIG", "SET", "slowlog-log-slower-than", "-1"});  // what is slow is chance
    ask(side, {"SLOWLOG", "RESET"});
    ask(side, {"ACL", "LOG", "RESET"});
    for (const KnownScript& script : lock_scripts()) ask(side, {"SCRIPT", "LOAD", script.text});
    // All, whatever a mutated request has called them: a restart of kvs forgets them.
    for (std::string user : elements(ask(side, {"ACL", "USERS"}))) {
      user = user.substr(user.find('\n') + 1);
      user.resize(user.size() - 2);
      if (user != "default") ask(side, {"ACL", "DELUSER", user});
    }
    ask(side, {"ACL", "SETUSER", "default", "reset", "on", "nopass", "~*", "&*", "+@all"});
  }
  for (Connection& connection : connections_) {
    for (const Side side : {redis_side, kvs_side})
      connection.ends[side].socket.emplace(connect(side));
  }
}

void ServerPair::reopen(Connection& connection) {
  connection = {};
  for (const Side side : {redis_side, kvs_side}) {
    for (int attempt = 0; attempt < 2000; ++attempt) {
      // As many as there are lines: the others, and this one is the control connection.
      const std::string list = ask(side, {"CLIENT", "LIST"});
      if (std::count(list.begin(), list.end(), '\n') <= 2 + static_cast<long>(connections)) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    connection.ends[side].socket.emplace(connect(side));
  }
}

std::string ServerPair::read_reply(End& end) {
  if (end.closed) return std::string(closed);
  try {
    for (;;) {
      std::string reply = end.socket->read_reply();
      if (!is_message(reply)) return reply;
      if (!is_invalidation(reply) && !is_about_expiry(reply)) {
        // The protocol is that of the time when it is written: behind the pipeline with HELLO in it
        // by kvs, at once by Redis.
        if (reply.front() == '>') reply.front() = '*';
        end.messages.push_back(std::move(reply));
      }
    }
  } catch (const SocketError& error) {
    if (!std::string_view(error.what()).starts_with("connection closed")) {
      return std::string("(") + error.what() + ")";
    }
    end.closed = true;
    return std::string(closed);
  }
}

void ServerPair::note_confirmation(Connection& connection, std::string_view reply) {
  const auto parts = elements(reply);
  if (parts.size() != 3) return;
  const std::string word = text_of(parts[0]);
  const auto kind = subscription_kind(word);
  if (!kind) return;
  if (word.find("unsub") == std::string::npos) {
    connection.subscribed[*kind].insert(text_of(parts[1]));
  } else {
    connection.subscribed[*kind].erase(text_of(parts[1]));
  }
}

std::optional<Mismatch> ServerPair::match_one(Connection& connection, const Step& step,
                                              std::string& redis) {
  redis = read_reply(connection.ends[redis_side]);
  const std::string kvs = read_reply(connection.ends[kvs_side]);
  const auto note_damage = [this](const Request& words, std::string_view reply) {
    if (reply.starts_with("-INVALIDOBJ") && words.size() > 1) damaged_.push_back(words[1]);
  };
  note_damage(step.words, redis);
  const std::string name = lower_case(step.words[0]);
  if (name == "exec" && redis.starts_with('*') && kvs.starts_with('*')) {
    const auto x = elements(redis);
    const auto y = elements(kvs);
    if (x.size() == y.size() && x.size() == connection.queued.size()) {
      for (std::size_t i = 0; i < x.size(); ++i) {
        note_damage(connection.queued[i], x[i]);
        auto mismatch = compare_replies(connection.queued[i], x[i], y[i], commands_of_one_);
        if (mismatch) {
          mismatch->what += ", in " + shown(step);
          return mismatch;
        }
      }
      return std::nullopt;
    }
  }
  auto mismatch = compare_replies(step.words, redis, kvs, commands_of_one_);
  if (mismatch) mismatch->what = shown(step);
  return mismatch;
}

std::optional<Mismatch> ServerPair::match(Connection& connection, const Step& step) {
  using Replies = Connection::Replies;
  if (step.form == Step::Form::bytes) {
    std::array<std::string, sides> all;
    for (const Side side : {redis_side, kvs_side}) {
      try {
        all[side] = connection.ends[side].socket->read_until_close();
      } catch (const SocketError& error) {
        all[side] = std::string("(") + error.what() + ")";
      }
    }
    // What was published, or told of tracked keys, meanwhile may have come between.
    const auto is_told = [](const std::string& bytes) {
      return bytes.find("\r\ninvalidate\r\n") != std::string::npos;
    };
    if (all[redis_side] != all[kvs_side] && !is_told(all[redis_side]) && !is_told(all[kvs_side]) &&
        connection.subscribed[0].empty() && connection.subscribed[1].empty() &&
        connection.subscribed[2].empty() && !is_meant("(bytes)", all[redis_side], all[kvs_side])) {
      return Mismatch{"(bytes)", shown(step), all[redis_side], all[kvs_side]};
    }
    return std::nullopt;
  }
  const std::string name = lower_case(step.words[0]);
  const std::string second = step.words.size() == 3 ? lower_case(step.words[1]) : "";
  const std::string third = step.words.size() == 3 ? lower_case(step.words[2]) : "";
  if (name == "client" && second == "reply" && third == "off") {
    connection.replies = Replies::off;
    return std::nullopt;
  }
  if (name == "client" && second == "reply" && third == "skip") {
    if (connection.replies != Replies::off) connection.replies = Replies::skip;
    return std::nullopt;
  }
  const bool on_again = name == "client" && second == "reply" && third == "on";
  if (connection.replies == Replies::off && !on_again) return std::nullopt;
  if (connection.replies == Replies::skip) {
    connection.replies = Replies::on;
    return std::nullopt;
  }
  if (on_again) connection.replies = Replies::on;

  std::size_t more = 0;
  const auto kind = subscription_kind(name);
  if (kind) {
    more = step.words.size() > 1
               ? step.words.size() - 2
               : std::max<std::size_t>(connection.subscribed[*kind].size(), 1) - 1;
  }
  // Without names the order is the server's own: the confirmations are compared as a set.
  const bool any_order = kind && step.words.size() == 1 && more > 0;
  std::array<std::multiset<std::string>, sides> names;
  for (std::size_t i = 0; i <= more; ++i) {
    std::string redis;
    if (any_order) {
      for (const Side side : {redis_side, kvs_side}) {
        const std::string reply = read_reply(connection.ends[side]);
        if (side == redis_side) redis = reply;
        const auto parts = elements(reply);
        names[side].insert(parts.size() == 3 ? parts[0] + parts[1] : reply);
      }
    } else if (auto mismatch = match_one(connection, step, redis)) {
      return mismatch;
    }
    if (i == 0 && redis.starts_with('-')) break;
    if (redis == closed) break;
    if (kind) note_confirmation(connection, redis);
    if (redis == "+QUEUED\r\n") {
      connection.queued.push_back(step.words);
      break;
    }
    if (name == "exec" || name == "discard" || name == "multi") {
      if (!redis.starts_with("-ERR")) connection.queued.clear();
    }
    if (redis == "+RESET\r\n") {
      connection.queued.clear();
      connection.subscribed = {};
    }
  }
  if (names[redis_side] != names[kvs_side]) {
    return Mismatch{name_of(step.words), shown(step),
                    std::to_string(names[redis_side].size()) + " confirmations",
                    std::to_string(names[kvs_side].size()) + " others"};
  }
  return std::nullopt;
}

void ServerPair::remove_everywhere(const std::string& key) {
  for (const Side side : {redis_side, kvs_side}) {
    for (int database = 15; database >= 0; --database) {
      ask(side, {"SELECT", std::to_string(database)});
      ask(side, {"DEL", key});
    }
  }
}

std::optional<Mismatch> ServerPair::play_run(Connection& connection, std::span<const Step> run) {
  std::string bytes;
  for (const Step& step : run) {
    const std::string name = name_of(step.words);
    if (name == "bitop" || name == "exec") bitop_played_ = true;
    if (step.form == Step::Form::bytes) {
      bytes += step.words[0];
    } else if (step.form == Step::Form::inlined) {
      for (const std::string& word : step.words)
        bytes += (&word == &step.words[0] ? "" : " ") + word;
      bytes += "\r\n";
    } else {
      bytes += encode_request(step.words);
    }
  }
  for (End& end : connection.ends) end.socket->send_if_open(bytes);
  for (const Step& step : run) {
    if (auto mismatch = match(connection, step)) return mismatch;
    const bool ends = step.form == Step::Form::bytes;
    if (ends || connection.ends[redis_side].closed) {
      if (!ends && !connection.ends[kvs_side].closed) {
        const std::string more = read_reply(connection.ends[kvs_side]);
        if (more != closed)
          return Mismatch{name_of(step.words), shown(step), std::string(closed), more};
      }
      reopen(connection);
      break;
    }
  }
  // Redis keeps what PFADD has added before it met the damage, kvs what was there before.
  for (const std::string& key : std::exchange(damaged_, {})) remove_everywhere(key);
  if (run.back().then_sleep_ms != 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(run.back().then_sleep_ms));
  }
  return std::nullopt;
}

// What was published comes by another way than replies, so it is waited for.
std::optional<Mismatch> ServerPair::compare_messages() {
  for (Connection& connection : connections_) {
    auto& ends = connection.ends;
    for (int attempt = 0; attempt < 100; ++attempt) {
      const Step fence{.words = {"PING"}};
      for (End& end : ends) end.socket->send_if_open(encode_request(fence.words));
      if (auto mismatch = match(connection, fence)) return mismatch;
      if (ends[redis_side].messages.size() <= ends[kvs_side].messages.size()) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    // Several subscriptions of one client get their copies in the server's own order.
    for (End& end : ends) {
      // An empty result removes the key that it would have gone to. If that has expired and Redis
      // has not met it since, Redis tells of a removal; to kvs there was nothing.
      if (bitop_played_) std::erase_if(end.messages, is_about_removal);
      std::sort(end.messages.begin(), end.messages.end());
    }
    const auto& redis = ends[redis_side].messages;
    const auto& kvs = ends[kvs_side].messages;
    for (std::size_t i = 0; i < std::max(redis.size(), kvs.size()); ++i) {
      const std::string x = i < redis.size() ? redis[i] : "(none)";
      const std::string y = i < kvs.size() ? kvs[i] : "(none)";
      if (x != y && !is_meant("(message)", x, y)) {
        return Mismatch{"(message)", "message " + std::to_string(i) + " that was published", x, y};
      }
    }
    for (End& end : ends) end.messages.clear();
  }
  bitop_played_ = false;
  return std::nullopt;
}

std::optional<Mismatch> ServerPair::play(const Script& script) {
  constexpr unsigned runs_per_look = 20;
  unsigned runs = 0;
  for (std::size_t begin = 0; begin < script.size();) {
    if (++runs % runs_per_look == 0) {
      if (auto mismatch = compare_messages()) return mismatch;
    }
    std::size_t end = begin + 1;
    while (end < script.size() && !script[end - 1].ends_run &&
           script[end].connection == script[begin].connection) {
      ++end;
    }
    const auto run = std::span(script).subspan(begin, end - begin);
    if (auto mismatch = play_run(connections_[script[begin].connection], run)) return mismatch;
    begin = end;
  }
  return compare_messages();
}

std::optional<Mismatch> ServerPair::compare_contents() {
  for (int database = 0; database < 16; ++database) {
    std::array<std::vector<std::string>, sides> keys;
    for (const Side side : {redis_side, kvs_side}) {
      ask(side, {"SELECT", std::to_string(database)});
      keys[side] = elements(ask(side, {"KEYS", "*"}));
      std::sort(keys[side].begin(), keys[side].end());
    }
    const std::string where = "database " + std::to_string(database);
    if (keys[redis_side] != keys[kvs_side]) {
      std::array<std::string, sides> only;
      for (const Side side : {redis_side, kvs_side}) {
        const auto& own = keys[side];
        const auto& other = keys[1 - side];
        std::vector<std::string> extra;
        std::set_difference(own.begin(), own.end(), other.begin(), other.end(),
                            std::back_inserter(extra));
        for (const std::string& key : extra) only[side] += text_of(key) + " ";
      }
      return Mismatch{"(keys)", where + ": keys that only one has", only[redis_side],
                      only[kvs_side]};
    }
    for (const std::string& bulk : keys[redis_side]) {
      const std::string key = text_of(bulk);
      std::array<std::string, sides> values;
      std::array<std::string, sides> deadlines;
      for (const Side side : {redis_side, kvs_side}) {
        values[side] = ask(side, {"GET", key});
        deadlines[side] = ask(side, {"PEXPIRETIME", key});
      }
      if (values[redis_side] != values[kvs_side]) {
        return Mismatch{"(value)", where + ": value of " + shown_word(key), values[redis_side],
                        values[kvs_side]};
      }
      if (!near(deadlines[redis_side], deadlines[kvs_side], clock_slack_ms)) {
        return Mismatch{"(deadline)", where + ": deadline of " + shown_word(key),
                        deadlines[redis_side], deadlines[kvs_side]};
      }
    }
  }
  for (const Side side : {redis_side, kvs_side}) ask(side, {"SELECT", "0"});
  return std::nullopt;
}

}  // namespace kvs::test
