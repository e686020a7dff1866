// command_help.h - what the server says about its commands (COMMAND DOCS), for the prompt: names to
// complete, arguments to hint at, the text of `help`.
//
// From the server and not from a table of ours, so that it fits the server that one talks to.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/client/reply.h"

namespace kvs::cli {

struct CommandHelp {
  struct Argument {
    std::string text;  // "value", "[NX | XX]", "key [key ...]"
    enum class Kind : std::uint8_t { one_word, open_end };
    Kind kind = Kind::one_word;  // one_word: exactly one word stands for it
  };
  std::string name;  // "SET", "CONFIG GET"
  std::string summary;
  std::string since;
  std::string group;
  std::string complexity;
  std::vector<Argument> arguments;
  std::vector<std::string> tokens;  // NX, PX, ...: words of the command's own
};

class CommandHelps {
 public:
  CommandHelps() = default;
  // Of the reply to COMMAND DOCS; what cannot be understood is left out.
  explicit CommandHelps(const client::Reply& docs);

  bool empty() const noexcept { return helps_.empty(); }

  // The command that these words begin with, CONFIG GET before CONFIG; null: none.
  const CommandHelp* find(const std::vector<std::string>& words) const;

  // What the last of `typed` (split_typed) may become, in the case in which it was begun.
  std::vector<std::string> completions(const std::vector<std::string>& typed) const;

  // What may follow when all of `typed` but the last word are complete.
  std::string hint(const std::vector<std::string>& typed) const;

  // For `help`: of one command, or the names of all.
  static std::string text(const CommandHelp& help);
  std::string names() const;

 private:
  void add(const client::Reply& name, const client::Reply& fields);

  std::map<std::string, CommandHelp, std::less<>> helps_;
};

}  // namespace kvs::cli
