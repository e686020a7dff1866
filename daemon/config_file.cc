// config_file.cc - the lines of a config file and of the files that it includes.
#include "daemon/config_file.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <glob.h>
#include <iterator>
#include <optional>

#include "daemon/monitors.h"

namespace kvs::daemon {
namespace {

// Deep enough for every honest arrangement; a file that includes itself ends here.
constexpr unsigned include_depth_max = 16;

bool is_blank(char character) {
  return character == ' ' || character == '\t' || character == '\r' || character == '\n' ||
         character == '\v' || character == '\f' || character == '\0';
}

std::optional<int> hex_digit(char character) {
  if (character >= '0' && character <= '9') return character - '0';
  if (character >= 'a' && character <= 'f') return character - 'a' + 10;
  if (character >= 'A' && character <= 'F') return character - 'A' + 10;
  return std::nullopt;
}

char unescaped(char character) {
  switch (character) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'a':
      return '\a';
    case 'b':
      return '\b';
    default:
      return character;
  }
}

// Appends to `word` what stands between the quote at `at` and its partner and returns the index
// behind that one, or nullopt when there is none.
std::optional<std::size_t> read_quoted(std::string_view line, std::size_t at, std::string& word) {
  const char quote = line[at++];
  while (at < line.size() && line[at] != quote) {
    if (line[at] != '\\' || at + 1 == line.size()) {
      word += line[at++];
    } else if (quote == '\'') {
      // Only \' means anything between single quotes.
      if (line[at + 1] == '\'') ++at;
      word += line[at++];
    } else if (line[at + 1] == 'x' && at + 3 < line.size() && hex_digit(line[at + 2]) &&
               hex_digit(line[at + 3])) {
      word += static_cast<char>(*hex_digit(line[at + 2]) * 16 + *hex_digit(line[at + 3]));
      at += 4;
    } else {
      word += unescaped(line[at + 1]);
      at += 2;
    }
  }
  if (at == line.size()) return std::nullopt;
  return at + 1;
}

std::string lower_case(std::string text) {
  for (char& character : text) {
    if (character >= 'A' && character <= 'Z') character = static_cast<char>(character - 'A' + 'a');
  }
  return text;
}

// The files that `pattern` names, or the pattern itself when it holds no wildcard.
std::vector<std::string> expand(const std::string& pattern) {
  if (pattern.find_first_of("*?[") == std::string::npos) return {pattern};
  glob_t found{};
  std::vector<std::string> files;
  if (::glob(pattern.c_str(), 0, nullptr, &found) == 0) {
    files.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  }
  ::globfree(&found);
  return files;
}

// Reads one file and, where it says so, others into `directives`.
class Reading {
 public:
  explicit Reading(std::vector<Directive>& directives) : directives_(directives) {}

  Result<void> read(std::istream& input, const std::string& file, unsigned depth) {
    std::string text;
    for (unsigned line = 1; std::getline(input, text); ++line) {
      auto words = split_words(text);
      Directive directive{.file = file, .line = line, .name = {}, .words = {}};
      if (!words) return fail_at(directive, words.error().message());
      if (words->empty() || is_comment(text)) continue;
      directive.name = lower_case(words->front());
      directive.words.assign(std::next(words->begin()), words->end());
      if (directive.name == "include") {
        if (auto included = include(directive, depth); !included) return included;
      } else {
        directives_.push_back(std::move(directive));
      }
    }
    if (input.bad()) return fail(Code::invalid, file + ": " + std::strerror(errno));
    return {};
  }

 private:
  static std::unexpected<Error> fail_at(const Directive& directive, const std::string& what) {
    return fail(Code::invalid, directive.place() + ": " + what);
  }

  static bool is_comment(std::string_view line) {
    while (!line.empty() && is_blank(line.front())) line.remove_prefix(1);
    return line.starts_with('#');
  }

  Result<void> include(const Directive& directive, unsigned depth) {
    if (directive.words.size() != 1) return fail_at(directive, "include takes one file name");
    if (depth == include_depth_max) {
      return fail_at(directive, "files include each other too deeply");
    }
    // An absolute name replaces the folder.
    const auto pattern =
        std::filesystem::path(directive.file).parent_path() / directive.words.front();
    for (const std::string& file : expand(pattern.string())) {
      errno = 0;
      std::ifstream input(file);
      if (!input || std::filesystem::is_directory(file)) {
        const int error = input ? EISDIR : errno;
        return fail_at(directive, "cannot read '" + file + "': " + std::strerror(error));
      }
      if (auto included = read(input, file, depth + 1); !included) return included;
    }
    return {};
  }

  std::vector<Directive>& directives_;
};

}  // namespace

Result<std::vector<std::string>> split_words(std::string_view line) {
  std::vector<std::string> words;
  std::size_t at = 0;
  for (;;) {
    while (at < line.size() && is_blank(line[at])) ++at;
    if (at == line.size()) return words;
    // A comment may hold anything, quotes included.
    if (words.empty() && line[at] == '#') return words;

    std::string word;
    while (at < line.size() && !is_blank(line[at])) {
      if (line[at] != '"' && line[at] != '\'') {
        word += line[at++];
        continue;
      }
      const auto behind = read_quoted(line, at, word);
      if (!behind) return fail(Code::invalid, "unbalanced quotes");
      at = *behind;
      if (at < line.size() && !is_blank(line[at])) {
        return fail(Code::invalid, "a closing quote must be followed by a blank");
      }
    }
    words.push_back(std::move(word));
  }
}

std::string config_word(std::string_view word) {
  const bool plain = !word.empty() && word.find_first_of("\"'#\\ \t\r\n\v\f") == word.npos &&
                     word.find('\0') == word.npos;
  return plain ? std::string(word) : quoted_text(word);
}

Result<std::vector<Directive>> read_directives(std::istream& input, const std::string& file) {
  std::vector<Directive> directives;
  if (auto done = Reading(directives).read(input, file, 0); !done) {
    return std::unexpected(done.error());
  }
  return directives;
}

}  // namespace kvs::daemon
