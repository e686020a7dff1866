// grammar.h - what both servers can be asked, and random scripts of it.
//
// A row of the table is a command with its options in a small notation:
//
//   WORD            itself, now and then in another case
//   <class>         a random word of that class: <key>, <value>, <int>, ...
//   (a|b) [a|b]     one of these; one of these or nothing
//   {a}             one to four times
//
// What the notation allows is right or nearly so; a share of the requests is spoiled afterwards, by
// words that are dropped, doubled, swapped or replaced.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/request.h"

namespace kvs::test {

// How the replies to a command are compared (compare.cc says what is taken out of them).
enum class Compare : std::uint8_t {
  exactly,
  seconds,       // integers that may differ by what passes between two servers
  milliseconds,  // the same
  as_set,        // arrays in any order
  scan,          // a cursor, and keys in any order
  presence,      // null or not
  kind,          // the first byte: what differs from server to server by its nature
  header,        // the first line: what is random, but of one size
  almost,        // numbers of keys: both may count for a while what has expired
  hello,         // without id and version
  help,          // the lines around those that say what there is
  names,         // of commands that both have, in any order
  commands,      // what COMMAND says of those
  clients,       // without numbers, addresses, ages and buffers
  parameters,    // that both have, and that do not say where the server is
  user,          // without its rules on commands
  users,         // the same, as lines
  refusals,      // without ages and connections
};

struct GrammarRow {
  std::string_view pattern;
  Compare compare = Compare::exactly;
  unsigned weight = 10;
};

// The row of a request, by its first word or its first two; null for what is none.
const GrammarRow* row_of(const Request& words);
// "GET", or "OBJECT ENCODING" as "object|encoding".
std::string name_of(const Request& words);

struct Step {
  enum class Form : std::uint8_t {
    array,    // an ordinary request
    inlined,  // the same words in one line
    bytes,    // words[0] as it is, which ends the connection; it is then opened anew
  };
  unsigned connection = 0;
  Form form = Form::array;
  Request words;
  bool ends_run = false;  // wait for all replies before anything else is sent
  unsigned then_sleep_ms = 0;
};
using Script = std::vector<Step>;

// The step as one line that tells a reader everything.
std::string shown(const Step& step);
std::string shown_word(std::string_view word);

// Connections of a script. The last one is there for publish/subscribe.
inline constexpr unsigned connections = 4;
inline constexpr unsigned subscriber = connections - 1;

// A script in Lua that kvs knows by its digest.
struct KnownScript {
  std::string text;
  std::string digest;
};
const std::vector<KnownScript>& lock_scripts();

// The keys that scripts use.
const std::vector<std::string>& key_pool();

// A script of about `size` steps; one seed gives one script. `known` says whether the server under
// test has a command (by name_of, without a subcommand); rows of others are left out.
Script random_script(std::uint64_t seed, std::size_t size,
                     const std::function<bool(std::string_view)>& known);

// The commands of the table, one name each.
std::vector<std::string> commands_of_grammar();

}  // namespace kvs::test
