// words.h - a line that somebody typed, as the words of a command; quoting as in redis-cli.
//
//   "..."  with \n \r \t \b \a \xHH and \ before anything else, which stands for itself
//   '...'  with \' for a single quote, everything else as it is
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kvs::cli {

// nullopt: a quote that is not closed, or one that is followed by something else than a blank.
std::optional<std::vector<std::string>> split_words(std::string_view line);

// The same of a line that is still being typed: an open quote ends with the line.
// The last word is empty when the line ends with a blank.
std::vector<std::string> split_typed(std::string_view line);

std::string upper(std::string_view text);

}  // namespace kvs::cli
