#include "cli/options.h"

#include <algorithm>
#include <iostream>
#include <string_view>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

namespace kvs::cli {
namespace {

constexpr int usage_error_exit_code = 2;

constexpr std::string_view footer =
    R"(Keys and values that begin with a dash: everything after "--" is taken as it is,
and a VALUE may begin with one dash anyway.
  kvs-client set balance -5
  kvs-client get -- --odd-key

Exit status: 0 when done (a "get" of an absent key prints "Key not found" and is
done), 1 when the server refuses, cannot be reached or "rm" finds no such key,
2 when the command line is wrong.)";

// `set KEY -5`: a word in VALUE's place that begins with one dash is the value, not a flag. CLI11
// knows no such rule, so the value is taken out and a harmless word left in its place.
std::optional<std::string> take_dash_value(std::vector<std::string>& words) {
  constexpr std::size_t place = 2;  // of VALUE in: set KEY VALUE
  std::size_t position = 0;
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::string& word = words[i];
    if (word == "--addr") {
      ++i;
    } else if (position == place && word.starts_with('-') && !word.starts_with("--")) {
      if (word == "-h") return std::nullopt;
      return std::exchange(word, "value");
    } else if (word == "--") {
      return std::nullopt;
    } else if (!word.starts_with('-')) {
      if (position == 0 && word != "set") return std::nullopt;
      ++position;
    }
  }
  return std::nullopt;
}

std::string valid_address(const std::string& text) {
  const auto address = client::parse_socket_address(text);
  return address ? std::string() : address.error().message();
}

}  // namespace

ParseOutcome parse_options(int argc, const char* const* argv) {
  Options options;
  std::string address = client::to_string(options.address);

  CLI::App app("Sets, gets and removes keys of a kvs server.", "kvs-client");
  app.set_version_flag("-V,--version", "kvs-client " KVS_VERSION, "Print the version and end");
  app.set_help_flag("-h,--help", "Print this help and end");
  app.require_subcommand(1);
  app.footer(std::string(footer));

  CLI::App* const set = app.add_subcommand("set", "Store VALUE under KEY; prints nothing");
  CLI::App* const get = app.add_subcommand("get", "Print the value of KEY, or \"Key not found\"");
  CLI::App* const rm = app.add_subcommand("rm", "Remove KEY; prints nothing");
  for (CLI::App* const command : {set, get, rm}) {
    command->add_option("KEY", options.key, "The key")->required()->type_name("");
    command->footer(std::string(footer));
  }
  set->add_option("VALUE", options.value, "The value")->required()->type_name("");
  for (CLI::App* const command : {&app, set, get, rm}) {
    command->add_option("--addr", address, "Where the server listens; no host names")
        ->type_name("IP:PORT")
        ->capture_default_str()
        ->check(CLI::Validator(valid_address, ""));
  }

  std::vector<std::string> words(argv + 1, argv + argc);
  const std::optional<std::string> dash_value = take_dash_value(words);
  std::reverse(words.begin(), words.end());  // as CLI11 wants them
  try {
    app.parse(std::move(words));
  } catch (const CLI::ParseError& error) {
    if (app.get_subcommands().empty() && !app.remaining().empty() && error.get_exit_code() != 0) {
      std::cerr << "'" << app.remaining().front() << "' is not a command: give set, get or rm\n"
                << "Run with --help for more information.\n";
      return {std::nullopt, usage_error_exit_code};
    }
    const int exit_code = app.exit(error);  // prints help and version to stdout, errors to stderr
    return {std::nullopt, exit_code == 0 ? 0 : usage_error_exit_code};
  }

  options.command = set->parsed()   ? Options::Command::set
                    : get->parsed() ? Options::Command::get
                                    : Options::Command::rm;
  if (dash_value) options.value = *dash_value;
  options.address = *client::parse_socket_address(address);
  return {std::move(options), 0};
}

}  // namespace kvs::cli
