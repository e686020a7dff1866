// example_test.cc - packaging/kvs.conf documents every option with its default, and nothing else;
// the manual has every option.
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>

#include <doctest/doctest.h>

#include "daemon/config_file.h"
#include "daemon/config_options.h"
#include "tests/unit/config/parsing.h"

namespace kvs::daemon {
namespace {

std::string packaging(const std::string& name) {
  const char* source = std::getenv("KVS_SOURCE_DIR");
  REQUIRE_MESSAGE(source != nullptr, "run through ctest, or set KVS_SOURCE_DIR");
  return std::string(source) + "/packaging/" + name;
}

std::string example_path() {
  return packaging("kvs.conf");
}

// The example's directives: lines of the form "#name value", one '#' and no blank.
std::vector<Directive> commented_out() {
  std::ifstream input(example_path());
  REQUIRE(input.good());
  std::stringstream uncommented;
  for (std::string line; std::getline(input, line);) {
    const bool directive = line.size() > 1 && line[0] == '#' && line[1] >= 'a' && line[1] <= 'z';
    uncommented << (directive ? line.substr(1) : "") << '\n';
  }
  auto directives = read_directives(uncommented, example_path());
  REQUIRE_MESSAGE(directives, directives.error().message());
  return *directives;
}

TEST_CASE("the example config is valid and changes nothing as it stands") {
  const auto checked = testing::parse({"--config", example_path(), "--check-config"});
  CHECK_MESSAGE(checked.exit_code == 0, checked.err);
  const auto parsed = testing::parse({"--config", example_path()});
  REQUIRE_MESSAGE(parsed.config, parsed.err);
  for (const ConfigOption& option : config_options()) {
    CHECK_MESSAGE(option.show(*parsed.config) == option.show(Config()), option.name);
  }
}

TEST_CASE("the example config shows every option once, with its default") {
  std::map<std::string, std::string> values;
  for (const Directive& directive : commented_out()) {
    CAPTURE(directive.place());
    std::string value;
    for (const std::string& word : directive.words) value += (value.empty() ? "" : " ") + word;
    CHECK(find_config_option(directive.name) != nullptr);
    CHECK(values.emplace(directive.name, value).second);
  }
  for (const ConfigOption& option : config_options()) {
    const auto found = values.find(std::string(option.name));
    REQUIRE_MESSAGE(found != values.end(), option.name);
    CHECK_MESSAGE(found->second == option.show(Config()), option.name);
  }
}

TEST_CASE("the manual of kvs-server names every option") {
  std::ifstream input(packaging("man/kvs-server.1"));
  REQUIRE(input.good());
  const std::string manual(std::istreambuf_iterator<char>(input), {});
  for (const ConfigOption& option : config_options()) {
    std::string escaped = "\\-\\-";
    for (const char letter : option.name) escaped += letter == '-' ? "\\-" : std::string(1, letter);
    CHECK_MESSAGE(manual.find(escaped + "\\fR") != std::string::npos, option.name);
  }
}

}  // namespace
}  // namespace kvs::daemon
