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

TEST_CASE("a server's command keeps its words, but for our options with two dashes") {
  const auto words_of = [](const std::vector<std::string>& words) {
    const ParseOutcome outcome = parse(words);
    if (!outcome.options) return "exit " + std::to_string(outcome.exit_code);
    std::string text = to_string(outcome.options->connection.address);
    for (const std::string& word : outcome.options->words.words) text += "|" + word;
    return text;
  };
  CHECK(words_of({"command", "GET", "-x"}) == "127.0.0.1:4000|GET|-x");
  CHECK(words_of({"command", "SET", "[a,b]", "", "--addr", "1.1.1.1:1"}) == "1.1.1.1:1|SET|[a,b]|");
  CHECK(words_of({"--addr", "1.1.1.1:1", "command", "ECHO", "-h"}) == "1.1.1.1:1|ECHO|-h");
  CHECK(words_of({"command", "ECHO", "--", "--addr"}) == "127.0.0.1:4000|ECHO|--addr");
  CHECK(words_of({"command", "ECHO", "\x01"}) == "127.0.0.1:4000|ECHO|\x01");
  CHECK(words_of({"command", "ECHO", "--odd"}) == "exit 2");
  CHECK(words_of({"command"}) == "exit 2");
  CHECK(words_of({"command", "MONITOR"}) == "exit 2");
}

TEST_CASE("options of all subcommands are taken before and after them") {
  const auto outcome = parse({"get", "k", "--db", "3", "--timeout", "0.5", "--wait", "--tls-ca",
                              "ca.pem", "--user", "u", "--password", "p", "--json"});
  REQUIRE(outcome.options);
  const kvs::cli::ConnectionOptions& connection = outcome.options->connection;
  CHECK(connection.database == 3);
  CHECK(connection.timeout_seconds == 0.5);
  CHECK(connection.wait_seconds == 60);
  REQUIRE(connection.tls);
  CHECK(connection.tls->ca_file == "ca.pem");
  CHECK(connection.password == "p");
  CHECK(outcome.options->output.format == kvs::cli::Format::json);
  CHECK(parse({"get", "--wait", "k"}).options->key.key == "k");
  CHECK(parse({"--wait=2.5", "get", "k"}).options->connection.wait_seconds == 2.5);
  CHECK_FALSE(parse({"get", "k"}).options->connection.tls);
}

TEST_CASE("a value of `set` comes from one place") {
  CHECK(parse({"set", "k", "--stdin"}).options->key.from_stdin);
  CHECK(parse({"set", "k", "--file", "-f"}).options->key.file == "-f");
  CHECK(outcome_of({"set", "k", "--file", "f", "v"}) == "exit 2");
  CHECK(outcome_of({"set", "k", "--stdin", "--file", "f"}) == "exit 2");
  CHECK(outcome_of({"set", "--file", "f"}) == "exit 2");
  CHECK(outcome_of({"set", "k", "v", "--ttl", "-1"}) == "exit 2");
  CHECK(outcome_of({"set", "k", "v", "--if-absent", "--if-present"}) == "exit 2");
}

TEST_CASE("a password does not stay in the words of the process") {
  std::string first = "--password";
  std::string second = "geheim";
  std::string third = "--password=geheim";
  std::string fourth = "--";
  std::string fifth = "--password=key";
  char* argv[] = {first.data(),  first.data(), second.data(), third.data(),
                  fourth.data(), fifth.data(), nullptr};
  kvs::cli::hide_passwords(6, argv);
  CHECK(second == "******");
  CHECK(third == "--password=******");
  CHECK(fifth == "--password=key");
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
