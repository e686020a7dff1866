#include "daemon/commands/command_docs.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cctype>
#include <iterator>
#include <utility>

namespace kvs::daemon {

namespace {

using Arguments = std::vector<DocArgument>;

std::vector<std::string_view> split(std::string_view syntax) {
  std::vector<std::string_view> words;
  std::size_t at = 0;
  while (at < syntax.size()) {
    if (syntax[at] == ' ') {
      ++at;
      continue;
    }
    std::size_t end = at + 1;
    if (std::string_view("[]<>|").find(syntax[at]) == std::string_view::npos) {
      end = std::min(syntax.find_first_of(" []<>|", at), syntax.size());
    }
    words.push_back(syntax.substr(at, end - at));
    at = end;
  }
  return words;
}

bool is_token(std::string_view word) {
  return std::isupper(static_cast<unsigned char>(word.front())) != 0;
}

bool is_argument(std::string_view word) {
  return std::islower(static_cast<unsigned char>(word.front())) != 0;
}

std::string_view type_of(std::string_view name) {
  constexpr std::array<std::string_view, 8> keys = {"key",  "newkey", "source",  "destination",
                                                    "key1", "key2",   "destkey", "sourcekey"};
  constexpr std::array<std::string_view, 21> integers = {
      "seconds",       "milliseconds", "increment",      "decrement",   "offset",
      "start",         "end",          "index",          "count",       "cursor",
      "timeout",       "protover",     "destination-db", "numreplicas", "numkeys",
      "min-match-len", "ttl",          "frequency",      "db",          "index1",
      "index2"};
  const auto among = [name](const auto& names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  if (among(keys)) return "key";
  if (among(integers) || name == "client-id") return "integer";
  if (name.starts_with("unix-time")) return "unix-time";
  if (name == "pattern") return "pattern";
  return "string";
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

class Parser {
 public:
  Parser(std::string_view syntax, int key_specs) : words_(split(syntax)), key_specs_(key_specs) {}

  Arguments parse() {
    Arguments arguments = sequence();
    assert(at_ == words_.size());
    return arguments;
  }

 private:
  bool next_is(std::string_view word) const { return at_ < words_.size() && words_[at_] == word; }

  void skip(std::string_view word) {
    assert(next_is(word));
    ++at_;
  }

  // Elements up to a bar, a closing bracket or the end.
  Arguments sequence() {
    Arguments arguments;
    while (at_ < words_.size() && !next_is("|") && !next_is("]") && !next_is(">")) {
      if (next_is("[") && repeats()) {
        repeat(arguments);
      } else {
        arguments.push_back(element());
      }
    }
    return arguments;
  }

  DocArgument element() {
    if (next_is("[")) {
      skip("[");
      DocArgument argument = choice("]");
      argument.optional = true;
      return argument;
    }
    if (next_is("<")) {
      skip("<");
      return choice(">");
    }
    const std::string_view word = words_[at_++];
    if (!is_token(word)) return named(word);
    DocArgument argument;
    if (at_ < words_.size() && is_argument(words_[at_])) {
      argument = named(words_[at_++]);
    } else if (next_is("<")) {
      argument = element();
    } else {
      argument.name = lower(word);
      argument.type = "pure-token";
    }
    argument.token = word;
    return argument;
  }

  DocArgument named(std::string_view name) {
    DocArgument argument;
    argument.name = name;
    argument.type = type_of(name);
    // The last spec is that of all keys behind.
    if (argument.type == "key") argument.key_spec_index = std::min(keys_++, key_specs_ - 1);
    return argument;
  }

  // What stands between brackets: one argument, a block of several, or a choice of these.
  DocArgument choice(std::string_view end) {
    Arguments choices;
    choices.push_back(block(sequence()));
    while (next_is("|")) {
      skip("|");
      choices.push_back(block(sequence()));
    }
    skip(end);
    if (choices.size() == 1) return std::move(choices.front());
    return group("oneof", std::move(choices));
  }

  static DocArgument block(Arguments arguments) {
    assert(!arguments.empty());
    if (arguments.size() == 1) return std::move(arguments.front());
    return group("block", std::move(arguments));
  }

  static DocArgument group(std::string_view type, Arguments arguments) {
    DocArgument whole;
    whole.type = type;
    for (const DocArgument& argument : arguments) {
      if (!whole.name.empty()) whole.name += '_';
      whole.name += argument.name;
    }
    whole.arguments = std::move(arguments);
    return whole;
  }

  // Is this bracket a "[x ...]"?
  bool repeats() const {
    const auto inside = words_.begin() + static_cast<std::ptrdiff_t>(at_) + 1;
    const auto end = std::find_if(inside, words_.end(),
                                  [](std::string_view word) { return word == "[" || word == "]"; });
    return end != words_.end() && *end == "]" && *std::prev(end) == "...";
  }

  // "[x y ...]" repeats the last two arguments.
  void repeat(Arguments& arguments) {
    skip("[");
    std::ptrdiff_t count = 0;
    for (; !next_is("..."); ++at_) ++count;
    skip("...");
    skip("]");
    const auto first = arguments.end() - count;
    DocArgument repeated =
        block(Arguments(std::make_move_iterator(first), std::make_move_iterator(arguments.end())));
    repeated.multiple = true;
    arguments.erase(first, arguments.end());
    arguments.push_back(std::move(repeated));
  }

  const std::vector<std::string_view> words_;
  const int key_specs_;
  std::size_t at_ = 0;
  int keys_ = 0;
};

}  // namespace

std::vector<DocArgument> parse_syntax(std::string_view syntax, int key_specs) {
  return Parser(syntax, key_specs).parse();
}

}  // namespace kvs::daemon
