// key_commands.h - set, get and rm: what contract.md 1 fixes, and what people want beside it.
//
// Without the further options each prints and returns exactly what the contract's table says.
#pragma once

#include <optional>
#include <string>

#include "cli/connection.h"
#include "cli/output.h"

namespace CLI {
class App;
}

namespace kvs::cli {

struct KeyOptions {
  std::string key;
  std::string value;  // of set
  bool value_given = false;
  bool from_stdin = false;  // of set: the value is what stdin has
  std::string file;         // of set: or what this file has
  std::optional<double> time_to_live_seconds;
  bool keep_time_to_live = false;
  bool if_absent = false;
  bool if_present = false;
  std::string output;  // of get: where the value goes; empty: stdout
};

CLI::App* declare_set(CLI::App& app, KeyOptions& options);
CLI::App* declare_get(CLI::App& app, KeyOptions& options);
CLI::App* declare_rm(CLI::App& app, KeyOptions& options);

// What is wrong with the options of set together; empty: nothing.
std::string set_problem(const KeyOptions& options);

// Each returns the exit code.
int run_set(const ConnectionOptions& to, const OutputOptions& output, const KeyOptions& options);
int run_get(const ConnectionOptions& to, const OutputOptions& output, const KeyOptions& options);
int run_rm(const ConnectionOptions& to, const OutputOptions& output, const KeyOptions& options);

}  // namespace kvs::cli
