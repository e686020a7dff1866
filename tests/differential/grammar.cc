#include "tests/differential/grammar.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <set>

#include "tests/differential/compare.h"

namespace kvs::test {

namespace {

using enum Compare;

// clang-format off
// Not here: keymiss, which Redis also sends of dead keys that SCAN TYPE meets; OVERFLOW FAIL, by
// which Redis lets a value grow without telling those who watch it; events of class "n", which
// SWAPDB would send.
constexpr GrammarRow rows[] = {
    // strings
    {"GET <key>", exactly, 60},
    {"SET <key> <value>", exactly, 80},
    {"SET <key> <value> {(NX|XX|GET|KEEPTTL|EX <seconds>|PX <ms>|EXAT <unix>|PXAT <unix-ms>)}", exactly, 40},
    {"SETNX <key> <value>"},
    {"SETEX <key> <seconds> <value>"},
    {"PSETEX <key> <ms> <value>"},
    {"GETSET <key> <value>"},
    {"GETDEL <key>"},
    {"GETEX <key> [EX <seconds>|PX <ms>|EXAT <unix>|PXAT <unix-ms>|PERSIST|PERSIST EX <seconds>]", exactly, 15},
    {"MGET {<key>}", exactly, 20},
    {"MSET {<key> <value>}", exactly, 20},
    {"MSETNX {<key> <value>}"},
    {"APPEND <key> <value>", exactly, 15},
    {"STRLEN <key>"},
    {"GETRANGE <key> <index> <index>", exactly, 15},
    {"SUBSTR <key> <index> <index>", exactly, 5},
    {"SETRANGE <key> <offset> <value>", exactly, 15},
    {"INCR <key>", exactly, 15},
    {"DECR <key>"},
    {"INCRBY <key> <int>", exactly, 15},
    {"DECRBY <key> <int>"},
    {"INCRBYFLOAT <key> <float>", exactly, 15},
    {"LCS <key> <key> {(LEN|IDX|MINMATCHLEN <small>|WITHMATCHLEN)}"},
    {"LCS <key> <key>", exactly, 5},
    // bits
    {"SETBIT <key> <offset> <bit>", exactly, 15},
    {"GETBIT <key> <offset>"},
    {"BITCOUNT <key> [<index> <index>|<index> <index> (BYTE|BIT)|<index>]", exactly, 15},
    {"BITPOS <key> <bit> [<index>|<index> <index>|<index> <index> (BYTE|BIT)]", exactly, 15},
    {"BITOP (AND|OR|XOR) <key> {<key>}"},
    {"BITOP NOT <key> <key>", exactly, 4},
    {"BITFIELD <key> {(GET <field> <bits>|SET <field> <bits> <int>|INCRBY <field> <bits> <int>|OVERFLOW (WRAP|SAT|NO))}", exactly, 20},
    {"BITFIELD_RO <key> {(GET <field> <bits>)}", exactly, 5},
    // HyperLogLog, which lives in strings
    {"PFADD <key> {<value>}"},
    {"PFCOUNT {<key>}", exactly, 5},
    {"PFMERGE <key> {<key>}", exactly, 5},
    // keys
    {"DEL {<key>}", exactly, 25},
    {"UNLINK {<key>}"},
    {"EXISTS {<key>}"},
    {"TYPE <key>"},
    {"TOUCH {<key>}", exactly, 5},
    {"KEYS <pattern>", as_set, 8},
    {"SCAN 0 COUNT 100000 [MATCH <pattern>|TYPE (string|list|hash|nosuch)|NOVALUES|MATCH <pattern> TYPE string]", scan, 8},
    {"SCAN (0|18446744073709551616|x|-1) (COUNT (0|-1|x)|MATCH|TYPE|NO)", scan, 2},
    {"RANDOMKEY", presence, 4},
    {"RENAME <key> <key>", exactly, 15},
    {"RENAMENX <key> <key>"},
    {"COPY <key> <key> [DB <db>|REPLACE|DB <db> REPLACE|REPLACE REPLACE]", exactly, 15},
    {"MOVE <key> <db>"},
    {"SWAPDB <db> <db>", exactly, 2},
    {"DUMP <key>"},
    {"RESTORE <key> <ms> <dump> {[REPLACE|ABSTTL|IDLETIME <small>|FREQ <small>]}"},
    {"OBJECT ENCODING <key>", exactly, 4},
    {"OBJECT FREQ <key>", exactly, 2},
    {"OBJECT IDLETIME <key>", seconds, 2},
    {"OBJECT REFCOUNT <key>", exactly, 2},
    {"OBJECT HELP", help, 1},
    {"OBJECT (NOSUCH|ENCODING)", exactly, 1},
    // deadlines
    {"EXPIRE <key> <seconds> [NX|XX|GT|LT|{(NX|XX|GT|LT)}|NO]", exactly, 15},
    {"PEXPIRE <key> <ms> [NX|XX|GT|LT|{(NX|XX|GT|LT)}]"},
    {"EXPIREAT <key> <unix> [NX|XX|GT|LT|{(NX|XX|GT|LT)}]", exactly, 15},
    {"PEXPIREAT <key> <unix-ms> [NX|XX|GT|LT|{(NX|XX|GT|LT)}]", exactly, 15},
    {"TTL <key>", seconds},
    {"PTTL <key>", milliseconds},
    {"EXPIRETIME <key>", seconds},
    {"PEXPIRETIME <key>", milliseconds},
    {"PERSIST <key>"},
    // transactions; EXEC also comes by itself in time
    {"MULTI", exactly, 12},
    {"EXEC", exactly, 3},
    {"DISCARD", exactly, 3},
    {"WATCH {<key>}", exactly, 12},
    {"UNWATCH", exactly, 4},
    // publish/subscribe
    {"SUBSCRIBE {<channel>}", exactly, 10},
    {"PSUBSCRIBE {<pattern>}"},
    {"SSUBSCRIBE {<channel>}", exactly, 5},
    {"UNSUBSCRIBE [<channel>|{<channel>}]"},
    {"PUNSUBSCRIBE [<pattern>|{<pattern>}]"},
    {"SUNSUBSCRIBE [<channel>|{<channel>}]", exactly, 5},
    {"PUBLISH <channel> <value>", exactly, 20},
    {"SPUBLISH <channel> <value>", exactly, 5},
    {"PUBSUB CHANNELS [<pattern>]", as_set, 3},
    {"PUBSUB NUMSUB [{<channel>}]", exactly, 3},
    {"PUBSUB NUMPAT", exactly, 3},
    {"PUBSUB SHARDCHANNELS [<pattern>]", as_set, 2},
    {"PUBSUB SHARDNUMSUB [{<channel>}]", exactly, 2},
    {"PUBSUB (NOSUCH|NUMPAT x)", exactly, 1},
    {"PUBSUB HELP", help, 1},
    // scripts
    {"EVAL <script> 1 <key> <token> [<ms>]", milliseconds, 8},
    {"EVAL <script> (0|1|2 <key> <key>|3|-1|x) [<token>] [<ms>]", milliseconds, 2},
    {"EVAL_RO <script> 1 <key> <token> [<ms>]", milliseconds, 3},
    {"EVALSHA <digest> 1 <key> <token> [<ms>]", milliseconds, 8},
    {"EVALSHA_RO <digest> 1 <key> <token> [<ms>]", milliseconds, 3},
    {"SCRIPT EXISTS {<digest>}", exactly, 1},
    {"SCRIPT LOAD <script>", exactly, 1},
    {"SCRIPT KILL", exactly, 1},
    {"SCRIPT HELP", help, 1},
    {"SCRIPT (NOSUCH|FLUSH NO|EXISTS|LOAD)", exactly, 1},
    // connection
    {"PING [<value>]", exactly, 8},
    {"ECHO <value>", exactly, 8},
    {"SELECT <db>", exactly, 12},
    {"HELLO [2|3|4|x|3 SETNAME <name>|2 SETNAME <name>|3 AUTH default <value>|3 AUTH default <value> SETNAME <name>|3 SETNAME <name> AUTH default <value>|3 NO]", hello, 6},
    {"AUTH [default] <value>", exactly, 2},
    {"RESET", exactly, 2},
    {"QUIT", exactly, 1},
    {"READONLY", exactly, 1},
    {"READWRITE", exactly, 1},
    {"CLIENT GETNAME", exactly, 3},
    {"CLIENT SETNAME <name>", exactly, 3},
    {"CLIENT ID", kind, 1},
    {"CLIENT INFO", clients, 2},
    {"CLIENT HELP", help, 1},
    {"CLIENT NO-EVICT (ON|OFF|NO)", exactly, 1},
    {"CLIENT REPLY (ON|NO)", exactly, 1},
    {"CLIENT UNBLOCK <int> [TIMEOUT|ERROR|NO]", exactly, 1},
    {"CLIENT KILL (ID (0|x|-1|99999999)|1.2.3.4:5|TYPE (pubsub|nosuch) ID 99999999|USER nosuch|SKIPME no ID 99999999|NO)", exactly, 2},
    {"CLIENT LIST [TYPE (normal|pubsub|master|replica)|ID (x|99999999)|TYPE nosuch|NO]", clients, 2},
    {"CLIENT CACHING (YES|NO|X)", exactly, 1},
    {"CLIENT GETREDIR", exactly, 1},
    {"CLIENT TRACKINGINFO", exactly, 1},
    {"CLIENT TRACKING (OFF|NO|ON REDIRECT 99999999|ON PREFIX a|ON BCAST OPTIN|ON OPTIN OPTOUT)", exactly, 2},
    {"CLIENT TRACKING ON [BCAST|BCAST PREFIX k|OPTIN|OPTOUT] [NOLOOP]", exactly, 3},
    {"CLIENT PAUSE (x|-1|0 NO|1 (WRITE|ALL)|2)", exactly, 1},
    {"CLIENT UNPAUSE", exactly, 1},
    {"CLIENT (NOSUCH|ID x|SETNAME)", exactly, 1},
    // server
    {"DBSIZE", almost, 5},
    {"FLUSHDB [ASYNC|SYNC|NO]", exactly, 2},
    {"FLUSHALL [ASYNC|SYNC|NO]", exactly, 1},
    {"TIME", kind, 1},
    {"LASTSAVE", kind, 1},
    {"ROLE", exactly, 1},
    {"INFO [server|clients|stats|keyspace|nosuch|everything]", kind, 1},
    {"LOLWUT [VERSION (5|6|7|x) [<int>]]", kind, 1},
    {"DEBUG (SLEEP 0|NOSUCH|HELP)", exactly, 1},
    {"SHUTDOWN ABORT", exactly, 1},
    {"WAIT (0|x|-1) (0|1|x|-1)", exactly, 2},
    {"MEMORY USAGE <key> [SAMPLES (0|5|x|-1)]", presence, 2},
    {"MEMORY (NOSUCH|USAGE)", exactly, 1},
    {"MEMORY HELP", help, 1},
    {"MEMORY DOCTOR", kind, 1},
    {"MEMORY STATS", kind, 1},
    {"CONFIG HELP", help, 1},
    {"CONFIG GET {<pattern>}", parameters, 1},
    {"CONFIG GET (max*|*e*|tls-*|s?*|[a-m]*)", parameters, 1},
    {"CONFIG GET (maxclients|proto-max-bulk-len|notify-keyspace-events|nosuch|maxmemory-policy|databases|slowlog-max-len)", parameters, 3},
    {"CONFIG SET notify-keyspace-events (KEA|KEg|Kg|Eg|Kx|K$|<q>|?)", exactly, 3},
    {"CONFIG SET (nosuch x|slowlog-max-len (100|x|-1)|maxclients x|databases 5|notify-keyspace-events KEA nosuch 1)", exactly, 2},
    {"CONFIG (NOSUCH|GET|SET a|RESETSTAT x|RESETSTAT)", exactly, 1},
    {"COMMAND", commands, 1},
    {"COMMAND HELP", help, 1},
    {"COMMAND DOCS <command-name>", kind, 1},
    {"COMMAND COUNT", kind, 1},
    {"COMMAND GETKEYS <command>", exactly, 6},
    {"COMMAND GETKEYSANDFLAGS <command>", exactly, 3},
    {"COMMAND INFO {<command-name>}", commands, 3},
    {"COMMAND LIST [FILTERBY (PATTERN <pattern>|PATTERN nosuch*|PATTERN get|ACLCAT <category>|ACLCAT nosuch|MODULE nosuch|NO x|PATTERN)]", names, 3},
    {"COMMAND (NOSUCH|COUNT x|GETKEYS|LIST x)", exactly, 1},
    {"SLOWLOG (LEN|GET|GET 5|LEN x|GET x|GET -2|RESET x|NOSUCH)", exactly, 1},
    {"SLOWLOG HELP", help, 1},
    {"LATENCY (RESET|RESET nosuch|LATEST|LATEST x|HISTORY nosuch|GRAPH nosuch|NOSUCH)", exactly, 1},
    {"LATENCY HELP", help, 1},
    {"LATENCY DOCTOR", kind, 1},
    {"LATENCY HISTOGRAM", kind, 1},
    {"ACL WHOAMI", exactly, 2},
    {"ACL SETUSER <user> {<rule>}", exactly, 6},
    {"ACL DELUSER {<user>}", exactly, 3},
    {"ACL DELUSER default", exactly, 1},
    {"ACL DRYRUN <user> <command>", exactly, 10},
    {"ACL GETUSER <user>", user, 3},
    {"ACL LIST", users, 2},
    {"ACL HELP", help, 1},
    {"ACL (LOAD|SAVE)", exactly, 1},
    {"ACL USERS", exactly, 2},
    {"ACL CAT [<category>|nosuch|x y]", names, 2},
    {"ACL GENPASS [0|-1|x|4097|1|5|64|4096]", header, 1},
    {"ACL LOG [x|RESET|1|-1|2]", refusals, 3},
    {"ACL (NOSUCH|SETUSER|WHOAMI x|GETUSER)", exactly, 1},
    // neither has these
    {"NOSUCH {<value>}", exactly, 2},
    {"GETX <key>", exactly, 1},
};
// clang-format on

constexpr std::string_view containers[] = {"acl",    "client", "command", "config", "latency",
                                           "memory", "object", "pubsub",  "script", "slowlog"};

bool is_container(std::string_view name) {
  return std::find(std::begin(containers), std::end(containers), name) != std::end(containers);
}

std::string_view first_word(std::string_view pattern) {
  return pattern.substr(0, pattern.find(' '));
}

const std::vector<std::string>& channels() {
  static const std::vector<std::string> names = {"c0",   "c1", "news", "with space",
                                                 "\xff", "c*", ""};
  return names;
}

const std::vector<std::string>& patterns() {
  static const std::vector<std::string> list = {
      "*",   "k*",          "k?",       "k[0-4]",      "k[^0-4]", "k1*",        "[",
      "[k",  "k[",          "\\",       "k\\1",        "",        "*\xff*",     "k[9-0]",
      "*1*", "?",           "c*",       "c[0-1]",      "n?ws",    "__key*__:*", "[^]",
      "k[^", "[a-",         "k[\\0-4]", "*{t}*",       "[]k]0",   "k[0-]",      "k[-4]",
      "??*", "__keyevent*", "K*",       "long-long-*", "**",      "***",        "**k**",
  };
  return list;
}

const std::vector<std::string>& integers() {
  static const std::vector<std::string> list = {
      "0",
      "1",
      "-1",
      "2",
      "-2",
      "7",
      "10",
      "-10",
      "100",
      "255",
      "256",
      "-128",
      "65536",
      "4294967296",
      "9223372036854775807",
      "-9223372036854775808",
      "9223372036854775808",
      "-9223372036854775809",
      "9223372036854775806",
      "18446744073709551615",
      "99999999999999999999",
      "abc",
      "",
      "1.5",
      " 1",
      "1 ",
      "0x10",
      "+1",
      "-0",
      "01",
      "-",
      "1e3",
      "4611686018427387904",
      "-4611686018427387904",
  };
  return list;
}

const std::vector<std::string>& floats() {
  static const std::vector<std::string> list = {
      "0",
      "1",
      "-1",
      "0.1",
      "3.14",
      "-2.5",
      "1e5",
      "1e-5",
      "1e400",
      "1e308",
      "-1e308",
      "inf",
      "-inf",
      "nan",
      "Infinity",
      "abc",
      "",
      " 1",
      "1 ",
      "0x1p3",
      "+1",
      "-0",
      ".5",
      "5.",
      "1e",
      "1e17",
      "123456789.123456789",
      "0.000000000000000001",
      "1e-17",
      "1e4000",
      "3.0e3",
      "9223372036854775807",
  };
  return list;
}

// A word after EX or PX, or where SETEX and EXPIRE have their time, that would end a key's life
// while the test runs is moved away: the two servers do not look at the clock at one moment.
constexpr std::int64_t soon_ms_max = 3'000'000;

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

class Generator {
 public:
  Generator(std::uint64_t seed, const std::function<bool(std::string_view)>& known)
      : random_(seed) {
    for (const GrammarRow& row : rows) {
      if (!known(lower_case(first_word(row.pattern)))) continue;
      chosen_.push_back(&row);
      weights_.push_back(row.weight);
    }
    pick_row_ = std::discrete_distribution<std::size_t>(weights_.begin(), weights_.end());
  }

  Script script(std::size_t size) {
    Script out;
    while (out.size() < size) run(out);
    return out;
  }

 private:
  static constexpr std::size_t run_bytes_max = 32 * 1024;

  // What the generator knows of a connection: what it may be in, replies being unknown.
  struct State {
    bool maybe_queueing = false;
    bool maybe_subscribed = false;
    bool maybe_restricted = false;  // by the rights of another user
    unsigned leave_in = 0;
  };

  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
  bool one_in(std::uint64_t n) { return below(n) == 0; }
  const std::string& any(const std::vector<std::string>& list) { return list[below(list.size())]; }

  void run(Script& out) {
    const unsigned connection = static_cast<unsigned>(below(connections));
    const std::size_t length = one_in(3) ? 1 + below(3) : 1 + below(120);
    std::size_t bytes = 0;
    const std::size_t before = out.size();
    if (one_in(400)) return poison(out, connection);
    if (one_in(60) && !states_[connection].maybe_queueing && connection != subscriber) {
      return short_life(out, connection);
    }
    if (one_in(60) && !states_[connection].maybe_queueing && connection != subscriber &&
        !states_[connection].maybe_restricted) {
      return silence(out, connection);
    }
    // Not the subscriber, whom kvs would end in a moment of its own when he loses a right.
    if (one_in(30) && !states_[connection].maybe_queueing && connection != subscriber) {
      log_in(out, connection);
    }
    while (out.size() - before < length && bytes < run_bytes_max) {
      out.push_back(step(connection));
      for (const std::string& word : out.back().words) bytes += word.size();
      if (out.back().form == Step::Form::bytes || out.back().words[0] == "QUIT") break;
    }
    out.back().ends_run = true;
  }

  Step step(unsigned connection) {
    State& state = states_[connection];
    Step out{.connection = connection};
    const bool bound = state.maybe_queueing || state.maybe_subscribed || state.maybe_restricted;
    if (bound && state.leave_in-- == 0) {
      out.words = leave(state);
    } else {
      out.words = fitting_request(connection, state);
    }
    note(state, out.words);
    if (name_of(out.words) == "acl|deluser" || name_of(out.words) == "client|kill") {
      // kvs ends the connections of others in a moment of its own.
      out.ends_run = true;
      out.then_sleep_ms = 3;
    }
    const auto plain = [](const std::string& word) {
      return !word.empty() && std::all_of(word.begin(), word.end(), [](unsigned char c) {
        return c > ' ' && c < 0x7f && c != '"' && c != '\'';
      });
    };
    if (one_in(25) && std::all_of(out.words.begin(), out.words.end(), plain)) {
      out.form = Step::Form::inlined;
    }
    return out;
  }

  Request leave(State& state) {
    if (!state.maybe_queueing) {
      state = {};
      return {"RESET"};
    }
    state.maybe_queueing = false;
    state.leave_in = static_cast<unsigned>(below(30));
    return {one_in(6) ? "DISCARD" : "EXEC"};
  }

  void note(State& state, const Request& words) {
    const std::string name = lower_case(words[0]);
    if (name == "multi") {
      state.maybe_queueing = true;
      state.leave_in = static_cast<unsigned>(below(12));
    } else if (name == "exec" || name == "discard" || name == "reset" || name == "quit") {
      // A spoiled one may have done nothing; another one then comes as it does by chance.
      if (words.size() == 1) state.maybe_queueing = false;
      if (words.size() == 1 && (name == "reset" || name == "quit")) state = {};
    } else if (name == "subscribe" || name == "psubscribe" || name == "ssubscribe") {
      if (!state.maybe_subscribed) state.leave_in = static_cast<unsigned>(10 + below(200));
      state.maybe_subscribed = true;
    }
  }

  // Publish/subscribe has a connection to itself, which never queues: confirmations inside EXEC
  // are no reply that could be taken apart.
  Request fitting_request(unsigned connection, const State& state) {
    for (;;) {
      Request words = request(0);
      const std::string name = lower_case(words[0]);
      const bool subscribes = name.ends_with("subscribe");
      if (subscribes && connection != subscriber) continue;
      const bool transaction = name == "multi" || name == "watch";
      if (transaction && connection == subscriber) continue;
      if (state.maybe_queueing && (name == "quit" || name == "reset")) continue;
      if (name == "client" && words.size() > 1 && lower_case(words[1]) == "reply" &&
          (state.maybe_queueing || words.size() > 2) &&
          !(words.size() == 3 && lower_case(words[2]) == "on")) {
        continue;
      }
      return words;
    }
  }

  Request request(unsigned depth) {
    const GrammarRow& row = *chosen_[pick_row_(random_)];
    Request out;
    expand(row.pattern, out, depth);
    if (one_in(15)) spoil(out);
    if (one_in(200)) spoil(out);
    keep_small(out);
    keep_alive(out);
    // By chance these have become what ends the server, waits for ever, or makes Redis forget its
    // scripts.
    if (lower_case(out[0]) == "shutdown") out = {"SHUTDOWN", "ABORT"};
    if (lower_case(out[0]) == "wait" && out.size() > 1 && number(out[1]).value_or(0) > 0)
      out[1] = "0";
    if (name_of(out) == "client|pause" && out.size() > 2 && number(out[2]).value_or(0) > 2)
      out[2] = "2";
    if (name_of(out) == "script|flush") out = {"SCRIPT", "FLUSH", "NO"};
    return out;
  }

  void spoil(Request& words) {
    switch (below(7)) {
      case 0:
        if (words.size() > 1) words.pop_back();
        break;
      case 1:
        if (words.size() > 1)
          words.erase(words.begin() + static_cast<long>(1 + below(words.size() - 1)));
        break;
      case 2:
        words.push_back(junk());
        break;
      case 3:
        if (words.size() > 1) words[1 + below(words.size() - 1)] = junk();
        break;
      case 4:
        if (words.size() > 2) {
          std::swap(words[1 + below(words.size() - 1)], words[1 + below(words.size() - 1)]);
        }
        break;
      case 5:
        words.push_back(words[below(words.size())]);
        break;
      default:
        words.insert(words.begin() + static_cast<long>(1 + below(words.size())), junk());
    }
  }

  std::string junk() {
    switch (below(6)) {
      case 0:
        return any(integers());
      case 1:
        return any(floats());
      case 2:
        return any(key_pool());
      case 3:
        return one_in(2) ? "NX" : "GET";
      case 4:
        return any(patterns());
      default:
        return value();
    }
  }

  // No value of hundreds of megabytes, which neither the rules nor the machine need.
  static void keep_small(Request& words) {
    const std::string name = lower_case(words[0]);
    if (name != "setbit" && name != "getbit" && name != "bitfield" && name != "setrange") return;
    for (std::string& word : words) {
      std::string_view digits = word;
      const bool counted = digits.starts_with('#');
      if (counted) digits.remove_prefix(1);
      const auto value = number(digits);
      // The least of all integers saturates a signed field at its greatest in Redis.
      if (name == "bitfield" && value == std::numeric_limits<std::int64_t>::min()) word = "-7777";
      const std::int64_t kept_max = counted ? 200 : 20'000;
      if (value && *value > kept_max && *value < (std::int64_t{1} << 32))
        word = counted ? "#5" : "77";
    }
  }

  static void keep_alive(Request& words) {
    const std::string name = lower_case(words[0]);
    const auto keep = [](std::string& word) {
      const auto value = number(word);
      if (value && *value > 0 && *value < soon_ms_max) word = std::to_string(*value + soon_ms_max);
    };
    constexpr std::string_view time_second[] = {"expire", "pexpire", "setex", "psetex", "restore"};
    if (std::find(std::begin(time_second), std::end(time_second), name) != std::end(time_second)) {
      if (words.size() > 2) keep(words[2]);
    } else if (name.starts_with("eval")) {
      for (std::size_t i = 4; i < words.size(); ++i) keep(words[i]);
    } else if (name == "set" || name == "getex") {
      for (std::size_t i = 2; i + 1 < words.size(); ++i) {
        const std::string option = lower_case(words[i]);
        if (option == "ex" || option == "px") keep(words[i + 1]);
      }
    }
  }

  // A key that lives for some milliseconds, and a pause that outlasts it.
  void short_life(Script& out, unsigned connection) {
    const std::string key = any(key_pool());
    const std::string ms = std::to_string(1 + below(8));
    Request words;
    switch (below(4)) {
      case 0:
        words = {"SET", key, value(), "PX", ms};
        break;
      case 1:
        words = {"PSETEX", key, ms, value()};
        break;
      case 2:
        words = {"PEXPIRE", key, ms};
        break;
      default:
        words = {"GETEX", key, "PX", ms};
    }
    out.push_back({.connection = connection,
                   .words = std::move(words),
                   .ends_run = true,
                   .then_sleep_ms = 20});
    // Redis counts the dead until it meets them; so does kvs.
    out.push_back({.connection = connection, .words = {"EXISTS", key}, .ends_run = true});
  }

  // What comes then is a user's with rights of its own. Passwords that fail are rare, since kvs
  // makes who guesses wait.
  void log_in(Script& out, unsigned connection) {
    const std::string name = any({"alice", "bob"});
    Request rules = {"ACL", "SETUSER", name, "on", "nopass"};
    for (std::uint64_t i = 0; i < 4; ++i) word_of("rule", rules, 0);
    rules.insert(rules.end(), {"on", "nopass"});
    out.push_back({.connection = connection, .words = {"ACL", "SETUSER", name, "on", "nopass"}});
    out.push_back({.connection = connection, .words = std::move(rules)});
    out.push_back({.connection = connection,
                   .words = one_in(2) ? Request{"AUTH", name, "secret"}
                                      : Request{"HELLO", "2", "AUTH", name, "x", "SETNAME", "n"}});
    State& state = states_[connection];
    if (!state.maybe_subscribed) state.leave_in = static_cast<unsigned>(5 + below(40));
    state.maybe_restricted = true;
  }

  // Requests that want no reply, and one that does.
  void silence(Script& out, unsigned connection) {
    const bool skip = one_in(2);
    const std::size_t count = skip ? 1 : 1 + below(5);
    out.push_back({.connection = connection, .words = {"CLIENT", "REPLY", skip ? "SKIP" : "OFF"}});
    for (std::size_t i = 0; i < count; ++i) {
      State unused{.maybe_queueing = true};
      Request words = fitting_request(connection, unused);
      const std::string name = lower_case(words[0]);
      // Those that change how a connection is answered, and those that would not come to an end.
      if (name == "multi" || name == "exec" || name == "discard" || name == "hello" ||
          name == "client") {
        words = {"SET", "k0", "silent"};
      }
      out.push_back({.connection = connection, .words = std::move(words)});
    }
    if (!skip) out.push_back({.connection = connection, .words = {"CLIENT", "REPLY", "ON"}});
    out.push_back({.connection = connection, .words = {"PING", "again"}, .ends_run = true});
  }

  // Bytes after which a server closes the connection. Not here: a zero byte where a bulk begins, at
  // which Redis waits for ever.
  void poison(Script& out, unsigned connection) {
    static const std::vector<std::string> list = {
        "*1\r\n:1\r\n",
        "*abc\r\n",
        "*3000000000\r\n",
        "*1\r\n$-10\r\n",
        "*1\r\n$abc\r\n",
        "*1\r\n$2000000000\r\n",
        "*2\r\n$3\r\nGET\r\nk0\r\n",
        "SET \"a\r\n",
        "SET \"\"\"k\"\"\" v\r\n",
        "SET 'k\r\n",
        "SET 'k'x v\r\n",
        "PING\r\n*-x\r\n",
    };
    out.push_back({.connection = connection,
                   .form = Step::Form::bytes,
                   .words = {any(list)},
                   .ends_run = true});
    states_[connection] = {};
  }

  // Adds the words of `pattern` to `out`.
  void expand(std::string_view pattern, Request& out, unsigned depth) {
    while (!pattern.empty()) {
      switch (pattern.front()) {
        case ' ':
          pattern.remove_prefix(1);
          break;
        case '(':
          expand(alternative(group(pattern)), out, depth);
          break;
        case '[': {
          const std::string_view inside = group(pattern);
          if (!one_in(3)) expand(alternative(inside), out, depth);
          break;
        }
        case '{': {
          const std::string_view inside = group(pattern);
          const std::uint64_t times = one_in(2) ? 1 : 1 + below(4);
          for (std::uint64_t i = 0; i < times; ++i) expand(inside, out, depth);
          break;
        }
        case '<': {
          const std::size_t end = pattern.find('>');
          word_of(pattern.substr(1, end - 1), out, depth);
          pattern.remove_prefix(end + 1);
          break;
        }
        default: {
          const std::size_t end = std::min(pattern.find_first_of(" )]}"), pattern.size());
          out.push_back(cased(pattern.substr(0, std::max<std::size_t>(end, 1))));
          pattern.remove_prefix(std::max<std::size_t>(end, 1));
        }
      }
    }
  }

  // What stands between the bracket that `pattern` begins with and its partner; both are taken off.
  static std::string_view group(std::string_view& pattern) {
    int depth = 0;
    for (std::size_t i = 0;; ++i) {
      const char c = pattern[i];
      if (c == '(' || c == '[' || c == '{') ++depth;
      if (c == ')' || c == ']' || c == '}') --depth;
      if (depth == 0) {
        const std::string_view inside = pattern.substr(1, i - 1);
        pattern.remove_prefix(i + 1);
        return inside;
      }
    }
  }

  std::string_view alternative(std::string_view inside) {
    std::vector<std::string_view> all;
    int depth = 0;
    std::size_t begin = 0;
    for (std::size_t i = 0; i <= inside.size(); ++i) {
      const char c = i == inside.size() ? '|' : inside[i];
      if (c == '(' || c == '[' || c == '{') ++depth;
      if (c == ')' || c == ']' || c == '}') --depth;
      if (c == '|' && depth == 0) {
        all.push_back(inside.substr(begin, i - begin));
        begin = i + 1;
      }
    }
    return all[below(all.size())];
  }

  std::string cased(std::string_view word) {
    std::string out(word);
    if (one_in(10)) out = lower_case(word);
    // Words of the table that are in small letters are names, not options.
    if (lower_case(word) == word) return out;
    if (one_in(40)) {
      char& letter = out[below(out.size())];
      if (std::isalpha(static_cast<unsigned char>(letter)) != 0) letter ^= 0x20;
    }
    return out;
  }

  std::string cased_digest(std::string digest) {
    if (one_in(4)) {
      for (char& c : digest) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    }
    return digest;
  }

  std::string value() {
    switch (below(12)) {
      case 0:
      case 1:
      case 2:
        return std::to_string(static_cast<std::int64_t>(below(2000)) - 1000);
      case 3:
        return any(integers());
      case 4:
        return any(floats());
      case 5:
        return "";
      case 6:
        return bytes(below(8));
      case 7:
        return bytes(43 + below(4));
      case 8:
        return bytes(one_in(20) ? 5000 : 300);
      case 9:
        return std::string("\0\r\n\xff", 4);
      default:
        return std::string("value-") + std::to_string(below(50));
    }
  }

  std::string bytes(std::size_t size) {
    std::string out(size, '\0');
    for (char& byte : out) byte = static_cast<char>(one_in(3) ? random_() : 'a' + below(4));
    return out;
  }

  void word_of(std::string_view what, Request& out, unsigned depth) {
    if (what == "key") return out.push_back(any(key_pool()));
    if (what == "value") return out.push_back(value());
    if (what == "q") return out.push_back("");
    if (what == "int") {
      return out.push_back(one_in(2) ? any(integers())
                                     : std::to_string(static_cast<int>(below(200)) - 100));
    }
    if (what == "float") {
      return out.push_back(one_in(2)
                               ? any(floats())
                               : std::to_string((static_cast<double>(below(20000)) - 10000) / 64));
    }
    if (what == "small")
      return out.push_back(one_in(10) ? any(integers()) : std::to_string(below(5)));
    if (what == "bit")
      return out.push_back(one_in(12) ? any(integers()) : std::to_string(below(2)));
    if (what == "index") {
      return out.push_back(one_in(8) ? any(integers())
                                     : std::to_string(static_cast<int>(below(60)) - 30));
    }
    if (what == "offset") {
      return out.push_back(one_in(12) ? any(integers())
                                      : std::to_string(below(one_in(30) ? 9000 : 90)));
    }
    if (what == "field") {
      if (one_in(15))
        return out.push_back(any({"u64", "i65", "u0", "i0", "x8", "u", "", "u8x", "i-1"}));
      return out.push_back((one_in(2) ? "u" : "i") +
                           std::to_string(1 + below(one_in(3) ? 63 : 16)));
    }
    if (what == "bits") {
      if (one_in(15)) return out.push_back(any(integers()));
      return out.push_back((one_in(3) ? "#" : "") + std::to_string(below(100)));
    }
    if (what == "db") {
      if (one_in(8)) return out.push_back(any(integers()));
      return out.push_back(any({"0", "0", "0", "1", "1", "2", "9", "15", "16", "-1"}));
    }
    if (what == "pattern") return out.push_back(any(patterns()));
    if (what == "channel") return out.push_back(any(channels()));
    if (what == "name")
      return out.push_back(any({"n", "some-name", "", "with space", "\xff", "new\nline", "~!@"}));
    if (what == "seconds") {
      if (one_in(4)) {
        return out.push_back(any({"0", "-1", "-1000", "9223372036854775", "9223372036854776",
                                  "-9223372036854775", "-9223372036854776", "9223372036854775807",
                                  "-9223372036854775808", "abc", "", "1.5", "9223370000000000"}));
      }
      return out.push_back(std::to_string(soon_ms_max + below(100'000'000)));
    }
    if (what == "ms") {
      if (one_in(4)) {
        return out.push_back(
            any({"0", "-1", "-100000", "9223372036854775807", "-9223372036854775808",
                 "9223372036854775808", "abc", "", "9223370000000000000"}));
      }
      return out.push_back(std::to_string(soon_ms_max + below(100'000'000'000)));
    }
    if (what == "unix" || what == "unix-ms") {
      const bool ms = what == "unix-ms";
      if (one_in(4)) {
        return out.push_back(any({"0", "-1", "1", "1000000000", "9223372036854775807", "abc", "",
                                  "-9223372036854775808", "9223372036854775", "9223372036854776"}));
      }
      const std::uint64_t base = 4'102'444'800 + below(4);
      return out.push_back(std::to_string(ms ? base * 1000 + below(3) : base));
    }
    if (what == "dump") {
      // Payloads of Redis 7.0.15 for "hello", "12" and a damaged one.
      static const std::vector<std::string> payloads = {
          std::string("\x00\x05hello\x0a\x00", 9) + "\x9f\x1c\xd9\x96\x54\xa8\x9c\x5b",
          std::string("\x00\xc0\x0c\x0a\x00", 5) + "\xb7\x22\xf0\x2c\x9b\x05\x1d\x2a",
          "damaged",
          "",
      };
      return out.push_back(any(payloads));
    }
    if (what == "script") return out.push_back(lock_scripts()[below(lock_scripts().size())].text);
    if (what == "digest") {
      if (one_in(20)) return out.push_back(any({"", "nosuch", std::string(40, '0')}));
      return out.push_back(cased_digest(lock_scripts()[below(lock_scripts().size())].digest));
    }
    if (what == "token") return out.push_back(one_in(8) ? value() : any({"me", "you"}));
    if (what == "category") {
      return out.push_back(any({"keyspace", "read", "write", "string", "bitmap", "hyperloglog",
                                "pubsub", "admin", "fast", "slow", "blocking", "dangerous",
                                "connection", "transaction", "scripting", "list", "Read"}));
    }
    if (what == "command-name") {
      if (one_in(10))
        return out.push_back(any({"nosuch", "", "client|nosuch", "get|x", "CLIENT|ID"}));
      std::string name = lower_case(first_word(chosen_[below(chosen_.size())]->pattern));
      return out.push_back(std::move(name));
    }
    if (what == "user") return out.push_back(any({"alice", "bob", "nosuch", "with space"}));
    if (what == "rule") {
      return out.push_back(any({"on",
                                "off",
                                "nopass",
                                ">secret",
                                "<secret",
                                "+@all",
                                "-@all",
                                "+get",
                                "-get",
                                "+@read",
                                "-@write",
                                "+client|id",
                                "~*",
                                "~k*",
                                "%R~k1*",
                                "%W~k2*",
                                "allkeys",
                                "resetkeys",
                                "&*",
                                "&c*",
                                "resetchannels",
                                "allchannels",
                                "reset",
                                "+config|get",
                                "-config|set",
                                "#abc",
                                "!abc",
                                "+nosuch",
                                "+@nosuch",
                                "x",
                                "",
                                "(+set ~k3)",
                                "clearselectors",
                                "%X~k",
                                "%R",
                                "%RW~*",
                                "&a b",
                                "+set",
                                "nocommands",
                                "allcommands",
                                "resetpass",
                                "+@string"}));
    }
    if (what == "command") {
      if (depth > 0) return out.push_back("GET");
      Request inner = request(depth + 1);
      // Redis 7.0 takes shard channels for no keys in COMMAND GETKEYS, and for keys elsewhere.
      const std::string name = lower_case(inner[0]);
      if (name.starts_with("ssub") || name.starts_with("sunsub") || name == "spublish") {
        inner = {"GET", "k0"};
      }
      out.insert(out.end(), inner.begin(), inner.end());
    }
  }

  std::mt19937_64 random_;
  std::vector<const GrammarRow*> chosen_;
  std::vector<double> weights_;
  std::discrete_distribution<std::size_t> pick_row_;
  std::array<State, connections> states_{};
};

}  // namespace

// What libraries for locks send, which both servers know: Redis since it was told (reset() of the
// pair), kvs by their digests.
const std::vector<KnownScript>& lock_scripts() {
  static const std::vector<KnownScript> list = [] {
    const auto if_own = [](const std::string& call, const std::string& otherwise) {
      return "if redis.call(\"get\", KEYS[1]) == ARGV[1] then return redis.call(" + call +
             ") else return " + otherwise + " end";
    };
    return std::vector<KnownScript>{
        {if_own("\"del\", KEYS[1]", "0"), "cf0e94b2e9ffc7e04395cf88f7583fc309985910"},
        {if_own("\"pexpire\", KEYS[1], ARGV[2]", "0"), "a7aba3bc5d6e99b3003da8b9d80a63b9f4092ecf"},
        {if_own("\"pttl\", KEYS[1]", "-3"), "6484da7d58920897fdc22b7f9afd1a3d47524ea8"},
        {"return redis.call(\"set\", KEYS[1], ARGV[1], \"NX\", \"PX\", ARGV[2])",
         "862f31bf38e9b63ce28d6e9e5143551bb34ef981"},
    };
  }();
  return list;
}

const std::vector<std::string>& key_pool() {
  static const std::vector<std::string> keys = [] {
    std::vector<std::string> out;
    for (int i = 0; i < 14; ++i) out.push_back("k" + std::to_string(i));
    out.insert(out.end(), {"", std::string("a\0b", 3), "\xff\xfe", "key with space", "{t}1", "*",
                           "[k0]", "\r\n", "long-long-" + std::string(300, 'x')});
    return out;
  }();
  return keys;
}

std::string name_of(const Request& words) {
  std::string name = lower_case(words.empty() ? "" : words[0]);
  if (words.size() > 1 && is_container(name)) name += "|" + lower_case(words[1]);
  return name;
}

const GrammarRow* row_of(const Request& words) {
  // By name: of a command that has several rows any will do, since they are compared alike.
  static const std::map<std::string, const GrammarRow*> by_name = [] {
    std::map<std::string, const GrammarRow*> out;
    for (const GrammarRow& row : rows) {
      std::string name = lower_case(first_word(row.pattern));
      if (is_container(name) && name.size() < row.pattern.size()) {
        const std::string_view rest = row.pattern.substr(name.size() + 1);
        if (rest.starts_with('(')) continue;
        name += "|" + lower_case(first_word(rest));
      }
      out.emplace(name, &row);
    }
    return out;
  }();
  const auto found = by_name.find(name_of(words));
  return found == by_name.end() ? nullptr : found->second;
}

std::vector<std::string> commands_of_grammar() {
  std::set<std::string> names;
  for (const GrammarRow& row : rows) names.insert(lower_case(first_word(row.pattern)));
  return {names.begin(), names.end()};
}

Script random_script(std::uint64_t seed, std::size_t size,
                     const std::function<bool(std::string_view)>& known) {
  return Generator(seed, known).script(size);
}

std::string shown_word(std::string_view word) {
  std::string out = "\"";
  for (const char c : word) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte >= ' ' && byte < 0x7f) {
      out += c;
    } else {
      constexpr std::string_view digits = "0123456789abcdef";
      out += "\\x";
      out += digits[byte >> 4];
      out += digits[byte & 15];
    }
  }
  return out + "\"";
}

std::string shown(const Step& step) {
  std::string out = "[" + std::to_string(step.connection) + "]";
  for (const std::string& word : step.words) out += " " + shown_word(word);
  if (step.form == Step::Form::inlined) out += "   (inline)";
  if (step.form == Step::Form::bytes) out += "   (bytes)";
  if (step.then_sleep_ms != 0) out += "   (wait " + std::to_string(step.then_sleep_ms) + " ms)";
  return out;
}

}  // namespace kvs::test
