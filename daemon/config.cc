// config.cc - from argv, the environment and a config file to one Config.
//
// CLI11 does the parsing: each row of config_options.h is one of its options, and ConfigSyntax
// teaches it redis.conf's syntax. CLI11 lets a config file win over the environment; here it is the
// other way round, so ConfigSyntax leaves out what the environment says, and CLI11 fills that in
// afterwards. CLI11 reports by exceptions; none leaves this file.
#include "daemon/config.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "daemon/config_file.h"
#include "daemon/config_options.h"
#include "daemon/log.h"
#include "daemon/tls_settings.h"

namespace kvs::daemon {
namespace {

constexpr const char* version_text = "kvs-server " KVS_VERSION;
constexpr std::size_t help_columns = 100;
constexpr std::size_t help_indent = 6;

bool in_environment(const ConfigOption& option) {
  const char* value = std::getenv(environment_name(option).c_str());
  return value != nullptr && *value != '\0';
}

std::string joined(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, " "));
}

// Redis' `bind` and `port` are the halves of our `addr`; a line with one of them changes that half.
class AddressLines {
 public:
  // Takes a line if it is about the address; then `error` says what is wrong with it, if anything.
  bool take(const Directive& line, std::optional<std::string>& error) {
    if (line.name != "bind" && line.name != "port" && line.name != "addr") return false;
    const std::string value = joined(line.words);
    if (line.name == "addr") {
      auto whole = parse_socket_address(value);
      if (!whole) {
        error = "expected IP:PORT or [IPv6]:PORT, got '" + escaped(value) + "'";
      } else {
        address_ = *std::move(whole);
      }
    } else if (line.name == "bind") {
      const bool ipv6 = value.find(':') != value.npos;
      change_half(ipv6 ? "[" + value + "]" : value, std::to_string(address_.port), error,
                  "one numeric address", value);
    } else {
      change_half(address_.ipv6 ? "[" + address_.host + "]" : address_.host, value, error,
                  "a port number", value);
    }
    seen_ = true;
    return true;
  }

  bool seen() const { return seen_; }
  const std::string& text() const { return address_.text; }

 private:
  void change_half(const std::string& host, const std::string& port,
                   std::optional<std::string>& error, std::string_view wanted,
                   std::string_view value) {
    auto whole = parse_socket_address(host + ":" + port);
    if (!whole) {
      error = fmt::format("expected {}, got '{}'", wanted, escaped(value));
    } else {
      address_ = *std::move(whole);
    }
  }

  SocketAddress address_;
  bool seen_ = false;
};

// Turns a config file into CLI11's items. Mistakes are found here, where file and line are known,
// and thrown as CLI::FileError: CLI11 holds those back until --help and --version had their turn.
class ConfigSyntax : public CLI::Config {
 public:
  // `users` takes the `user` lines, of which there may be many.
  ConfigSyntax(const CLI::App& app, std::vector<std::string>& users) : app_(app), users_(users) {}

  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    const std::string path = app_.get_config_ptr()->as<std::string>();
    const auto directives = read_directives(input, path);
    if (!directives) throw CLI::FileError(directives.error().message(), CLI::ExitCodes::FileError);

    std::map<std::string_view, std::string> values;  // by option: the last line wins
    AddressLines address;
    kvs::daemon::Config scratch;
    users_.clear();
    for (const Directive& line : *directives) {
      std::optional<std::string> mistake;
      if (line.name == "user") {
        if (line.words.empty()) mistake = "user needs a name";
        users_.push_back(joined(line.words));
      } else if (!address.take(line, mistake)) {
        mistake = take(line, values, scratch);
      }
      if (mistake) {
        throw CLI::FileError(line.place() + ": " + *mistake, CLI::ExitCodes::FileError);
      }
    }
    if (address.seen()) values["addr"] = address.text();

    std::vector<CLI::ConfigItem> found;
    for (const auto& [name, value] : values) {
      if (in_environment(*find_config_option(name))) continue;
      found.push_back({.parents = {}, .name = std::string(name), .inputs = {value}});
    }
    return found;
  }

  // CLI11 calls this for --dump-like features only, which kvs-server has not.
  std::string to_config(const CLI::App*, bool, bool, std::string) const override { return {}; }

 private:
  static std::optional<std::string> take(const Directive& line,
                                         std::map<std::string_view, std::string>& values,
                                         kvs::daemon::Config& scratch) {
    const ConfigOption* option = find_config_option(line.name);
    if (option == nullptr) return "unknown directive '" + escaped(line.name) + "'";
    if (line.words.empty()) return line.name + " needs a value";
    if (line.words.size() > 1 && option->words_max == 1) return line.name + " takes one value";
    std::string value = option_value(*option, line.words);
    if (auto mistake = option->set(scratch, value)) return line.name + ": " + *mistake;
    std::string& whole = values[option->name];
    whole = option->repeated == Repeated::adds_up && !whole.empty() ? whole + " " + value : value;
    return std::nullopt;
  }

  const CLI::App& app_;
  std::vector<std::string>& users_;
};

// Breaks `text` into lines of at most `help_columns`, each indented.
std::string wrapped(std::string_view text) {
  std::string out;
  std::size_t column = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    if (column == 0 || column + 1 + end > help_columns) {
      if (column > 0) out += '\n';
      out.append(help_indent, ' ');
      column = help_indent;
    } else {
      out += ' ';
      ++column;
    }
    out += text.substr(0, end);
    column += end;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out + "\n";
}

std::string help_text() {
  const Config defaults;
  std::string out =
      "kvs-server: a persistent key/value server that speaks Redis' protocol\n\n"
      "Usage: kvs-server [--addr IP:PORT] [--engine ENGINE] [--dir DIRECTORY] [OPTION ...]\n";
  std::string_view group;
  for (const ConfigOption& option : config_options()) {
    if (option.group != group) {
      group = option.group;
      out += fmt::format("\n{}:\n", group);
    }
    const std::string shown = option.show(defaults);
    out += fmt::format("  --{} {}{}\n", option.name, option.argument,
                       shown.empty() ? "" : "   [" + shown + "]");
    out += wrapped(option.help);
  }
  out +=
      "\nOther:\n"
      "  --config FILE\n" +
      wrapped("Read options from this file too (KVS_CONFIG does the same).") +
      "  --check-config\n" +
      wrapped("Say what is wrong with the configuration, if anything, and end.") +
      "  --check DIRECTORY [--json]\n" +
      wrapped(
          "Look at every byte of a data directory and name everything that is damaged; changes "
          "nothing. Exit code 0: good; 1: opens, but cuts off an unfinished write; 2: corrupt; "
          "3: could not be checked.") +
      "  --salvage DIRECTORY\n" +
      wrapped(
          "Make a corrupt data directory one that opens. Damaged files go to a quarantine in "
          "it, with a report of what is lost. Exit code 0: nothing lost; 1: something lost; "
          "3: failed.") +
      "  --restore BACKUP\n" +
      wrapped("Verify a backup and copy it into the empty directory that --dir names.") +
      "  -h, --help\n"
      "  -V, --version\n"
      "\n"
      "Defaults stand in brackets. A SIZE takes units as in redis.conf: 1k is 1000 bytes, 1kb is "
      "1024;\n"
      "m, mb, g and gb likewise.\n"
      "\n"
      "Every option of the groups above is also a line of the config file (sync always) and an\n"
      "environment variable (KVS_SYNC=always). The command line wins over the environment, the\n"
      "environment over the file. The file has redis.conf's syntax: comments start with #, quotes "
      "as\n"
      "there, `include FILE`; appendfsync, bind and port are understood too.\n";
  return out;
}

// Was `name` given as an argument? Only to tell its mistakes from those of its KVS_ variable.
bool on_command_line(std::string_view name, std::span<const char* const> arguments) {
  const std::string flag = fmt::format("--{}", name);
  for (const std::string_view argument : arguments) {
    if (argument == flag || argument.starts_with(flag + "=")) return true;
  }
  return false;
}

void add_option(CLI::App& app, Config& config, const ConfigOption& option,
                std::span<const char* const> arguments) {
  const auto store = [&config, &option, arguments](const CLI::results_t& words) {
    if (auto mistake = option.set(config, joined(words))) {
      const std::string source = on_command_line(option.name, arguments)
                                     ? fmt::format("--{}", option.name)
                                     : environment_name(option);
      throw CLI::ValidationError(source, *mistake);
    }
    return true;
  };
  CLI::Option* added = app.add_option(fmt::format("--{}", option.name), store);
  added->envname(environment_name(option));
  if (option.words_max > 1) {
    added->expected(1, static_cast<int>(option.words_max));
    added->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  } else {
    added->expected(1);
    added->take_last();
  }
}

// What is done instead of serving: one of them, on the command line only.
void add_one_shots(CLI::App& app, OneShot& one_shot) {
  const auto add = [&app, &one_shot](const char* name, OneShot::Kind kind) {
    const auto store = [&one_shot, name, kind](const CLI::results_t& words) {
      if (one_shot.kind != OneShot::Kind::none) {
        throw CLI::ValidationError(name, "only one of --check, --salvage and --restore");
      }
      if (words[0].empty()) throw CLI::ValidationError(name, "expected a directory, got ''");
      one_shot.kind = kind;
      one_shot.path = words[0];
      return true;
    };
    app.add_option(name, store)->expected(1)->configurable(false);
  };
  add("--check", OneShot::Kind::check);
  add("--salvage", OneShot::Kind::salvage);
  add("--restore", OneShot::Kind::restore);
  app.add_flag("--json", one_shot.json)->configurable(false);
}

// CLI11's description of a mistake, in one line and in our words where its own are unclear.
std::string describe(const CLI::App& app, const CLI::ParseError& error) {
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    return fmt::format("unexpected argument '{}' (see --help)",
                       escaped(fmt::format("{}", fmt::join(app.remaining(), " "))));
  }
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
    const std::string what = error.what();
    return what.substr(0, what.find(':')) + ": needs a value (see --help)";
  }
  return error.what();
}

ParseOutcome failed(std::string_view message) {
  fmt::print(stderr, "kvs-server: {}\n", message);
  return {.config = std::nullopt, .exit_code = 1};
}

// The config file that was asked for must be there; CLI11 would say only that it is "not readable".
std::optional<std::string> unreadable(const std::string& path) {
  if (std::error_code ignored; std::filesystem::is_directory(path, ignored)) {
    return fmt::format("cannot read '{}': {}", escaped(path), std::strerror(EISDIR));
  }
  errno = 0;
  if (std::ifstream(path)) return std::nullopt;
  return fmt::format("cannot read '{}': {}", escaped(path), std::strerror(errno));
}

ParseOutcome parse(int argc, const char* const* argv) {
  Config config;
  const std::span arguments(argv, static_cast<std::size_t>(argc));
  const char* file_variable = std::getenv("KVS_CONFIG");
  const std::string file_default = file_variable == nullptr ? "" : file_variable;

  CLI::App app;
  app.set_help_flag("-h,--help");
  app.set_version_flag("-V,--version", version_text);
  app.config_formatter(std::make_shared<ConfigSyntax>(app, config.users));
  CLI::Option* file = app.set_config("--config", file_default, "", !file_default.empty());
  file->take_last();
  app.add_flag("--check-config", config.check_config)->configurable(false);
  add_one_shots(app, config.one_shot);
  for (const ConfigOption& option : config_options()) add_option(app, config, option, arguments);

  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", help_text());
    return {};
  } catch (const CLI::CallForVersion&) {
    fmt::print("{}\n", version_text);
    return {};
  } catch (const CLI::FileError& error) {
    const auto reason = unreadable(file->as<std::string>());
    return failed(reason ? *reason : error.what());
  } catch (const CLI::ParseError& error) {
    return failed(describe(app, error));
  }

  config.config_file = file->as<std::string>();
  if (config.check_config) {
    if (const auto usable = check_usable(config); !usable) return failed(usable.error().message());
    fmt::print("{}configuration is valid\n",
               config.config_file.empty() ? "" : config.config_file.string() + ": ");
    return {};
  }
  return {.config = std::move(config), .exit_code = 0};
}

}  // namespace

Result<void> check_usable(const Config& config) {
  if (config.tls_port == 0) return {};
  if (config.tls_port == config.addr.port) {
    return fail(Code::invalid, "tls-port: this is the port of addr");
  }
  if (auto made = make_tls_context(config.tls); !made) return std::unexpected(made.error());
  return {};
}

ParseOutcome parse_config(int argc, const char* const* argv) {
  try {
    return parse(argc, argv);
  } catch (const std::exception& error) {
    // Memory, or a mistake of ours in how CLI11 is used.
    return failed(error.what());
  }
}

}  // namespace kvs::daemon
