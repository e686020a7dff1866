#include "cli/words.h"

#include <cctype>

namespace kvs::cli {
namespace {

bool is_blank(char byte) {
  return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

int hex_value(char byte) {
  if (byte >= '0' && byte <= '9') return byte - '0';
  if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
  if (byte >= 'A' && byte <= 'F') return byte - 'A' + 10;
  return -1;
}

// What stands for `byte` behind a backslash in double quotes.
char escaped(char byte) {
  switch (byte) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'b':
      return '\b';
    case 'a':
      return '\a';
    default:
      return byte;
  }
}

struct Split {
  std::vector<std::string> words;
  bool balanced = true;
  bool ends_with_blank = true;
};

// Takes one character of a double-quoted part at `at`, which moves on.
char take_quoted(std::string_view line, std::size_t& at) {
  if (line[at] != '\\' || at + 1 == line.size()) return line[at++];
  if (line[at + 1] == 'x' && at + 3 < line.size() && hex_value(line[at + 2]) >= 0 &&
      hex_value(line[at + 3]) >= 0) {
    const char byte = static_cast<char>(hex_value(line[at + 2]) * 16 + hex_value(line[at + 3]));
    at += 4;
    return byte;
  }
  at += 2;
  return escaped(line[at - 1]);
}

Split split(std::string_view line) {
  Split result;
  std::size_t at = 0;
  for (;;) {
    while (at < line.size() && is_blank(line[at])) ++at;
    if (at == line.size()) return result;
    std::string word;
    while (at < line.size() && !is_blank(line[at])) {
      const char quote = line[at];
      if (quote != '"' && quote != '\'') {
        word += line[at++];
        continue;
      }
      ++at;
      while (at < line.size() && line[at] != quote) {
        if (quote == '"') {
          word += take_quoted(line, at);
        } else if (line[at] == '\\' && at + 1 < line.size() && line[at + 1] == '\'') {
          word += '\'';
          at += 2;
        } else {
          word += line[at++];
        }
      }
      if (at == line.size()) {
        result.balanced = false;
        break;
      }
      ++at;
      if (at < line.size() && !is_blank(line[at])) result.balanced = false;
    }
    result.words.push_back(std::move(word));
    result.ends_with_blank = at < line.size();
  }
}

}  // namespace

std::optional<std::vector<std::string>> split_words(std::string_view line) {
  Split result = split(line);
  if (!result.balanced) return std::nullopt;
  return std::move(result.words);
}

std::vector<std::string> split_typed(std::string_view line) {
  Split result = split(line);
  if (result.ends_with_blank) result.words.emplace_back();
  return std::move(result.words);
}

std::string upper(std::string_view text) {
  std::string result(text);
  for (char& byte : result) {
    byte = static_cast<char>(std::toupper(static_cast<unsigned char>(byte)));
  }
  return result;
}

}  // namespace kvs::cli
