// config_file.h - reads the syntax of redis.conf: one `directive value ...` a line.
//
// * A line whose first character is '#' is a comment, and so is nothing else: a '#' further on is
// part
//   of a value, as in Redis.
// * Words are separated by blanks. "double quotes" know \n \r \t \a \b \" \\ and \xHH, 'single
// quotes'
//   only \'; a closing quote ends its word.
// * `include FILE` reads another file in place; FILE may hold wildcards (a pattern that matches
// nothing
//   is no mistake) and is relative to the folder of the file that names it.
//
// What the directives mean is not known here: config.cc asks config_options.h for that.
#pragma once

#include <istream>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/async/result.h"

namespace kvs::daemon {

// One line of a config file: where it stands and what it says.
struct Directive {
  std::string file;
  unsigned line = 0;
  std::string name;                // lower case
  std::vector<std::string> words;  // what follows the name

  // "/etc/kvs/kvs.conf:12"
  std::string place() const { return file + ":" + std::to_string(line); }
};

// Returns all directives of `input`, which is called `file` in messages, and of what it includes,
// in the order in which they stand. Errors: invalid; the message starts with "FILE:LINE: ".
Result<std::vector<Directive>> read_directives(std::istream& input, const std::string& file);

// Splits one line into words.
// Errors: invalid (unbalanced quotes, or text glued to a closing quote).
Result<std::vector<std::string>> split_words(std::string_view line);

// `word` as a line would say it: in quotes where it must be.
std::string config_word(std::string_view word);

}  // namespace kvs::daemon
