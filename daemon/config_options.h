// config_options.h - one row per option: its name, its help, how its text becomes a field of Config
// and back.
//
// The command line, KVS_* variables, config files, --help and packaging/kvs.conf all speak of the
// same options; this table is the one place that knows them. To add one: a field in Config
// (config.h), a row here, a line in packaging/kvs.conf (a test compares the two).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/config.h"

namespace kvs::daemon {

// What is to be made of an option that is given more than once.
enum class Repeated : std::uint8_t {
  last_wins,
  adds_up,  // the value is all their words, each quoted where it must be
};

struct ConfigOption {
  std::string_view name;      // as on the command line, without dashes, and in a config file
  std::string_view argument;  // its kind in --help: "SIZE", "yes|no"
  std::string_view group;     // heading in --help
  std::string_view help;
  unsigned words_max;  // how many words a value may have, joined by one blank
  // Sets the field, or returns what was expected and changes nothing.
  std::optional<std::string> (*set)(Config& config, std::string_view value);
  // The field as `set` would take it; "" when an empty value means "not set".
  std::string (*show)(const Config& config);
  Repeated repeated = Repeated::last_wins;
};

// The words of a line as a value that `set` takes. A single word is one already.
std::string option_value(const ConfigOption& option, const std::vector<std::string>& words);

// All options, in the order of --help.
std::span<const ConfigOption> config_options();

// The option called `name` or, in a config file, by Redis' name for the same; null when unknown.
const ConfigOption* find_config_option(std::string_view name);

// "io-threads" -> "KVS_IO_THREADS".
std::string environment_name(const ConfigOption& option);

// "100", "64kb" (1024), "64k" (1000), "1gb" ... in any case; nullopt when it is not a size or does
// not fit.
std::optional<std::uint64_t> parse_size(std::string_view text);

// The shortest exact form that parse_size takes: "64mb".
std::string size_text(std::uint64_t bytes);

}  // namespace kvs::daemon
