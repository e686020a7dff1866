#include "cli/options.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string_view>
#include <utility>

#include <CLI/CLI.hpp>

#include "cli/exit_code.h"

namespace kvs::cli {
namespace {

constexpr std::string_view footer =
    R"(Keys and values that begin with a dash: everything after "--" is taken as it is,
and a VALUE may begin with one dash anyway.
  kvs-client set balance -5
  kvs-client get -- --odd-key

Exit status: 0 done (a "get" of an absent key prints "Key not found" and is done),
1 no such key ("rm") or the condition of a "set" did not hold, 2 the command line is
wrong, 3 no connection to the server or it was lost, 4 the server answered an error,
5 no answer in time, 6 bad input data, 7 a file or stdout cannot be read or written.)";

constexpr std::string_view wait_default_seconds = "60";

// In front of words that CLI11 must not look at; taken off again afterwards.
constexpr char mark = '\x01';

std::string valid_address(const std::string& text) {
  const auto address = client::parse_socket_address(text);
  return address ? std::string() : address.error().message();
}

// What cannot go into its field directly.
struct Texts {
  std::string address;
  std::string format;
  std::string colour = "auto";
  bool no_colour = false;
  bool json = false;
  bool raw = false;
  bool human = false;
  bool tls = false;
  bool tls_insecure = false;
  client::TlsOptions tls_options;
};

void declare_common(CLI::App& app, Options& options, Texts& texts) {
  const CLI::Range seconds(0.001, 1e8);
  ConnectionOptions& connection = options.connection;
  app.add_option("--addr", texts.address, "Where the server listens; no host names")
      ->type_name("IP:PORT")
      ->capture_default_str()
      ->check(CLI::Validator(valid_address, ""));
  const std::string group = "Connection";
  app.add_option("--user", connection.user, "The user, when not the default one")
      ->type_name("NAME")
      ->group(group);
  app.add_option("--password", connection.password, "The password; better in KVS_PASSWORD")
      ->type_name("PASSWORD")
      ->group(group);
  app.add_option("--db", connection.database, "The database")
      ->type_name("N")
      ->check(CLI::Range(0, 1'000'000))
      ->group(group);
  app.add_option("--timeout", connection.timeout_seconds,
                 "For the connection and each reply; 5 and 30 without")
      ->type_name("SECONDS")
      ->check(seconds)
      ->group(group);
  app.add_option("--wait", connection.wait_seconds,
                 "Wait until the server is ready, --wait=SECONDS at most (60)")
      ->type_name("")
      ->check(seconds)
      ->group(group);
  app.add_flag("--tls", texts.tls, "Encrypt, and verify the server")->group(group);
  app.add_option("--tls-ca", texts.tls_options.ca_file, "Who may have signed the certificate")
      ->type_name("FILE")
      ->group(group);
  app.add_option("--tls-server-name", texts.tls_options.server_name, "Name in the certificate")
      ->type_name("NAME")
      ->group(group);
  app.add_option("--tls-cert", texts.tls_options.certificate_file, "Our certificate")
      ->type_name("FILE")
      ->group(group);
  app.add_option("--tls-key", texts.tls_options.key_file, "Its key")
      ->type_name("FILE")
      ->group(group);
  app.add_flag("--tls-insecure", texts.tls_insecure, "Verify nothing; for tests")->group(group);
  const std::string output = "Output";
  app.add_flag("--json", texts.json, "As JSON")->group(output);
  app.add_flag("--raw", texts.raw, "The bytes as they are")->group(output);
  app.add_flag("--human", texts.human, "Quoted and numbered, as on a terminal")->group(output);
  app.add_option("--color", texts.colour, "Colours: auto (on a terminal), always, never")
      ->type_name("WHEN")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->group(output);
  app.add_flag("--no-color", texts.no_colour, "As --color never")->group(output);
}

const CLI::App* find_subcommand(const CLI::App& app, const std::string& name) {
  const std::vector<const CLI::App*> found = app.get_subcommands(
      [&name](const CLI::App* subcommand) { return subcommand->get_name() == name; });
  return found.empty() ? nullptr : found.front();
}

// Marks the words that are the user's and not ours: a VALUE with one dash (`set KEY -5`), and
// everything in a server's command but options with two dashes. CLI11 knows no such rules, and
// would take "[a,b]" apart. Gives --wait its default.
void mark_words(std::vector<std::string>& words, const CLI::App& app) {
  const CLI::App* subcommand = nullptr;
  std::size_t position = 0;  // of the next word that is no option; 0 is the subcommand
  bool options_end = false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::string& word = words[i];
    const bool is_command = subcommand != nullptr && subcommand->get_name() == "command";
    const bool is_set = subcommand != nullptr && subcommand->get_name() == "set";
    const bool dashed = word.starts_with('-') && !options_end;
    const bool one_dash = dashed && !word.starts_with("--");
    if (one_dash && is_set && position == 2) {
      if (word == "-h") return;
      word.insert(0, 1, mark);
      ++position;
    } else if (one_dash && is_command && position >= 2) {
      word.insert(0, 1, mark);
    } else if (dashed && word == "--") {
      options_end = true;
      // All words of a command are marked; CLI11 would take this for their end.
      if (is_command) words.erase(words.begin() + static_cast<std::ptrdiff_t>(i--));
    } else if (dashed) {
      const CLI::Option* option = app.get_option_no_throw(word);
      if (subcommand != nullptr && option == nullptr) {
        option = subcommand->get_option_no_throw(word);
      }
      if (word == "--wait") {
        word += "=" + std::string(wait_default_seconds);
      } else if (option != nullptr && option->get_items_expected_max() > 0) {
        ++i;  // its value, whatever it is
      }
    } else {
      if (position == 0) subcommand = find_subcommand(app, word);
      if ((is_command && position >= 1) || (is_set && position == 2)) word.insert(0, 1, mark);
      ++position;
    }
  }
}

void unmark(std::string& word) {
  if (word.starts_with(mark)) word.erase(0, 1);
}

void settle(Options& options, const Texts& texts) {
  options.connection.address = *client::parse_socket_address(texts.address);
  if (options.connection.password.empty()) {
    const char* const password = std::getenv("KVS_PASSWORD");
    if (password != nullptr) options.connection.password = password;
  }
  client::TlsOptions tls = texts.tls_options;
  if (texts.tls_insecure) tls.verify = client::TlsOptions::Verify::nothing;
  const bool tls_wanted = texts.tls || texts.tls_insecure || !tls.ca_file.empty() ||
                          !tls.server_name.empty() || !tls.certificate_file.empty() ||
                          !tls.key_file.empty();
  if (tls_wanted) options.connection.tls = std::move(tls);
  options.output.format = texts.json    ? Format::json
                          : texts.raw   ? Format::raw
                          : texts.human ? Format::human
                                        : Format::automatic;
  options.output.colour = texts.no_colour || texts.colour == "never" ? Colour::never
                          : texts.colour == "always"                 ? Colour::always
                                                                     : Colour::automatic;
}

std::string usage_problem(const Options& options, const Texts& texts) {
  if (texts.json + texts.raw + texts.human > 1) {
    return "--json, --raw and --human exclude each other";
  }
  if (options.connection.password.empty() && !options.connection.user.empty()) {
    return "--user needs --password or KVS_PASSWORD";
  }
  return {};
}

int usage_error(const std::string& text) {
  std::cerr << text << "\nRun with --help for more information.\n";
  return exit_usage;
}

}  // namespace

ParseOutcome parse_options(int argc, const char* const* argv) {
  Options options;
  Texts texts;
  texts.address = client::to_string(options.connection.address);

  CLI::App app("Talks to a kvs server, or to any other that speaks Redis' protocol.", "kvs-client");
  app.set_version_flag("-V,--version", "kvs-client " KVS_VERSION, "Print the version and end");
  app.set_help_flag("-h,--help", "Print this help and end");
  app.require_subcommand(1);
  app.footer(std::string(footer));

  using Command = Options::Command;
  const std::array commands{
      std::pair(declare_set(app, options.key), Command::set),
      std::pair(declare_get(app, options.key), Command::get),
      std::pair(declare_rm(app, options.key), Command::rm),
      std::pair(declare_command(app, options.words), Command::command),
      std::pair(declare_scan(app, options.scan), Command::scan),
      std::pair(declare_export(app, options.export_file), Command::export_file),
      std::pair(declare_import(app, options.import_file), Command::import_file),
      std::pair(declare_watch(app, options.watch), Command::watch),
      std::pair(declare_bench(app, options.bench), Command::bench),
      std::pair(declare_repl(app), Command::repl),
  };
  declare_common(app, options, texts);
  for (const auto& [command, name] : commands) {
    command->footer(std::string(footer));
    declare_common(*command, options, texts);
  }

  std::vector<std::string> words(argv + 1, argv + argc);
  mark_words(words, app);
  std::reverse(words.begin(), words.end());  // as CLI11 wants them
  try {
    app.parse(std::move(words));
  } catch (const CLI::ParseError& error) {
    if (app.get_subcommands().empty() && !app.remaining().empty() && error.get_exit_code() != 0) {
      return {std::nullopt,
              usage_error("'" + app.remaining().front() +
                          "' is not a command: give set, get, rm, command, scan, export, import, "
                          "watch, bench or repl")};
    }
    const int exit_code = app.exit(error);  // prints help and version to stdout, errors to stderr
    return {std::nullopt, exit_code == 0 ? 0 : exit_usage};
  }

  for (const auto& [command, name] : commands) {
    if (command->parsed()) options.command = name;
  }
  unmark(options.key.value);
  for (std::string& word : options.words.words) unmark(word);
  settle(options, texts);
  std::string problem = usage_problem(options, texts);
  if (problem.empty() && options.command == Command::set) problem = set_problem(options.key);
  if (problem.empty() && options.command == Command::command) {
    problem = command_problem(options.words);
  }
  if (!problem.empty()) return {std::nullopt, usage_error(problem)};
  return {std::move(options), 0};
}

void hide_passwords(int argc, char** argv) {
  constexpr std::string_view name = "--password";
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--") return;
    char* secret = nullptr;
    if (word == name && i + 1 < argc) {
      secret = argv[++i];
    } else if (word.starts_with("--password=")) {
      secret = argv[i] + name.size() + 1;
    }
    if (secret != nullptr) std::memset(secret, '*', std::strlen(secret));
  }
}

}  // namespace kvs::cli
