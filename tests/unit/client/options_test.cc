// options_test.cc - the command line of kvs-client; what it prints is in tests/integration.
#include "cli/options.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

using kvs::cli::Options;
using kvs::cli::parse_options;
using kvs::cli::ParseOutcome;

namespace {

ParseOutcome parse(const std::vector<std::string>& words) {
  std::vector<const char*> argv{"kvs-client"};
  for (const std::string& word : words) argv.push_back(word.c_str());
  return parse_options(static_cast<int>(argv.size()), argv.data());
}

// KEY=VALUE@ADDRESS of a line that is right, else "exit N".
std::string outcome_of(const std::vector<std::string>& words) {
  const ParseOutcome outcome = parse(words);
  if (!outcome.options) return "exit " + std::to_string(outcome.exit_code);
  const Options& options = *outcome.options;
  return options.key.key + "=" + options.key.value + "@" + to_string(options.connection.address);
}

}  // namespace

TEST_CASE("--addr is taken before and after the command and its words") {
  CHECK(outcome_of({"set", "k", "v"}) == "k=v@127.0.0.1:4000");
  CHECK(outcome_of({"set", "k", "v", "--addr", "[::1]:1"}) == "k=v@[::1]:1");
  CHECK(outcome_of({"set", "--addr", "[::1]:1", "k", "v"}) == "k=v@[::1]:1");
  CHECK(outcome_of({"--addr", "[::1]:1", "set", "k", "v"}) == "k=v@[::1]:1");
  CHECK(outcome_of({"set", "k", "v", "--addr=[::1]:1"}) == "k=v@[::1]:1");
}

TEST_CASE("a value may begin with one dash, and with `--` before them key and value with any") {
  CHECK(outcome_of({"set", "k", "-5"}) == "k=-5@127.0.0.1:4000");
  CHECK(outcome_of({"set", "k", "-"}) == "k=-@127.0.0.1:4000");
  CHECK(outcome_of({"set", "k", "-V"}) == "k=-V@127.0.0.1:4000");
  CHECK(outcome_of({"set", "k", "-x", "--addr", "1.1.1.1:1"}) == "k=-x@1.1.1.1:1");
  CHECK(outcome_of({"--addr", "1.1.1.1:1", "set", "k", "-x"}) == "k=-x@1.1.1.1:1");
  CHECK(outcome_of({"set", "--", "-k", "--v"}) == "-k=--v@127.0.0.1:4000");
  CHECK(outcome_of({"set", "--addr", "1.1.1.1:1", "--", "--addr", "-h"}) == "--addr=-h@1.1.1.1:1");
  CHECK(outcome_of({"get", "--", "-k"}) == "-k=@127.0.0.1:4000");
}

TEST_CASE("keys and values may be empty, command names, brackets and other oddities") {
  CHECK(outcome_of({"set", "", ""}) == "=@127.0.0.1:4000");
  CHECK(outcome_of({"get", "get"}) == "get=@127.0.0.1:4000");
  CHECK(outcome_of({"set", "set", "rm"}) == "set=rm@127.0.0.1:4000");
  CHECK(outcome_of({"set", "[a,b]", "\"q\" {}%\n"}) == "[a,b]=\"q\" {}%\n@127.0.0.1:4000");
}

TEST_CASE("mistakes end with exit code 2, help and version with 0") {
  using Words = std::vector<std::string>;
  for (const Words& words :
       {Words{}, Words{"unknown"}, Words{"set"}, Words{"set", "k"}, Words{"set", "k", "v", "extra"},
        Words{"set", "k", "--flag"}, Words{"set", "k", "v", "--flag"}, Words{"get"},
        Words{"get", "-k"}, Words{"get", "k", "extra"}, Words{"get", "k", "--addr"},
        Words{"get", "k", "--addr", "localhost:4000"}, Words{"rm"}, Words{"rm", "k", "extra"},
        Words{"--flag"}}) {
    CHECK(outcome_of(words) == "exit 2");
  }
  CHECK(outcome_of({"-V"}) == "exit 0");
  CHECK(outcome_of({"--help"}) == "exit 0");
  CHECK(outcome_of({"set", "--help"}) == "exit 0");
}
