// config_file_fuzz.cc - any text as a config file: it is read or refused with its place, and what
// an option has taken is shown in a form that it takes again.
//
// Lines that include other files are left out: what is fuzzed is the syntax, not the disk.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>
#include <string_view>

#include "daemon/config.h"
#include "daemon/config_file.h"
#include "daemon/config_options.h"

namespace {

using namespace kvs::daemon;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

std::string without_includes(const std::string& text) {
  std::istringstream lines(text);
  std::string kept;
  for (std::string line; std::getline(lines, line);) {
    const auto words = split_words(line);
    bool includes = false;
    if (words && !words->empty()) {
      std::string name = words->front();
      for (char& c : name) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
      includes = name == "include";
    }
    if (!includes) kept += line + "\n";
  }
  return kept;
}

void apply(Config& config, const Directive& directive) {
  const ConfigOption* const option = find_config_option(directive.name);
  if (option == nullptr || directive.words.empty()) return;
  std::string value;
  for (const std::string& word : directive.words) value += (value.empty() ? "" : " ") + word;
  const std::string before = option->show(config);
  if (const auto expected = option->set(config, value)) {
    require(!expected->empty(), "a refusal says what was expected");
    require(option->show(config) == before, "a refused value changes nothing");
    return;
  }
  const std::string shown = option->show(config);
  if (shown.empty()) return;
  Config again = config;
  require(!option->set(again, shown), "what is shown is taken");
  require(option->show(again) == shown, "and means the same");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  std::istringstream input(without_includes(text));
  const auto directives = read_directives(input, "/nowhere/kvs.conf");
  if (!directives) {
    require(directives.error().message().starts_with("/nowhere/kvs.conf:"), "an error has a place");
    return 0;
  }
  Config config;
  for (const Directive& directive : *directives) apply(config, directive);
  return 0;
}
