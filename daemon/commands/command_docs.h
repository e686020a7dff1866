// command_docs.h - the arguments of a command as a tree, read from its syntax line.
//
// COMMAND DOCS answers trees, from which redis-cli makes its hints; the rows of the command table
// hold the line that a person would write. One is derived from the other, so they cannot differ.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kvs::daemon {

struct DocArgument {
  std::string name;
  std::string type;   // key, string, integer, double, pattern, unix-time, pure-token, oneof, block
  std::string token;  // the word before it; empty: none
  bool optional = false;
  bool multiple = false;
  int key_spec_index = -1;             // of type key
  std::vector<DocArgument> arguments;  // of oneof and block
};

// Reads a syntax line: words in capitals are tokens, others are arguments; [..] is optional, a | b
// is a choice, <..> groups, and "[x ...]" repeats what stands before it.
// The line is one of our own: a mistake in it is an assertion. `key_specs` is how many the command
// has: keys are numbered by them.
std::vector<DocArgument> parse_syntax(std::string_view syntax, int key_specs);

}  // namespace kvs::daemon
