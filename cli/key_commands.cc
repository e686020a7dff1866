#include "cli/key_commands.h"

#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string_view>

#include <CLI/CLI.hpp>

#include "cli/exit_code.h"
#include "cli/files.h"

namespace kvs::cli {
namespace {

int print_or_report(std::string_view text) {
  const Result<void> printed = print(text);
  return printed ? exit_done : report(printed.error());
}

Result<std::string> value_of(const KeyOptions& options) {
  if (options.value_given) return options.value;
  Result<InputFile> file = InputFile::open(options.from_stdin ? "-" : options.file);
  if (!file) return std::unexpected(std::move(file).error());
  return file->read_all();
}

client::SetOptions conditions_of(const KeyOptions& options) {
  client::SetOptions result;
  if (options.if_absent) result.when = client::SetOptions::When::absent;
  if (options.if_present) result.when = client::SetOptions::When::present;
  if (options.keep_time_to_live) result.expiry = client::SetOptions::Expiry::keep;
  if (options.time_to_live_seconds) {
    result.expire_after =
        std::chrono::milliseconds(static_cast<long long>(*options.time_to_live_seconds * 1000));
  }
  return result;
}

int no_such_key() {
  std::fputs("Key not found\n", stderr);
  return exit_no_such_key;
}

int write_value(const std::string& file, std::string_view value) {
  Result<OutputFile> output = OutputFile::open(file);
  if (!output) return report(output.error());
  Result<void> written = output->write(value);
  if (written) written = output->commit();
  return written ? exit_done : report(written.error());
}

}  // namespace

CLI::App* declare_set(CLI::App& app, KeyOptions& options) {
  CLI::App* const set = app.add_subcommand("set", "Store VALUE under KEY; prints nothing");
  set->add_option("KEY", options.key, "The key")->required()->type_name("");
  set->add_option_function<std::string>(
         "VALUE",
         [&options](const std::string& value) {
           options.value = value;
           options.value_given = true;
         },
         "The value")
      ->type_name("");
  set->add_flag("--stdin", options.from_stdin, "The value is what stdin has, to its end");
  set->add_option("--file", options.file, "The value is what FILE has")->type_name("FILE");
  set->add_option("--ttl", options.time_to_live_seconds, "The key is gone after so long")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.001, 1e11));
  set->add_flag("--keep-ttl", options.keep_time_to_live, "The key keeps the time it has");
  set->add_flag("--if-absent", options.if_absent, "Only if there is no such key");
  set->add_flag("--if-present", options.if_present, "Only if there is such a key");
  return set;
}

CLI::App* declare_get(CLI::App& app, KeyOptions& options) {
  CLI::App* const get = app.add_subcommand("get", "Print the value of KEY, or \"Key not found\"");
  get->add_option("KEY", options.key, "The key")->required()->type_name("");
  get->add_option("--output", options.output, "Write the value to FILE, byte for byte")
      ->type_name("FILE");
  return get;
}

CLI::App* declare_rm(CLI::App& app, KeyOptions& options) {
  CLI::App* const rm = app.add_subcommand("rm", "Remove KEY; prints nothing");
  rm->add_option("KEY", options.key, "The key")->required()->type_name("");
  return rm;
}

std::string set_problem(const KeyOptions& options) {
  const int sources = options.value_given + options.from_stdin + !options.file.empty();
  if (sources == 0) return "VALUE is required";
  if (sources > 1) return "give one of VALUE, --stdin and --file";
  if (options.if_absent && options.if_present) {
    return "--if-absent and --if-present exclude each other";
  }
  if (options.keep_time_to_live && options.time_to_live_seconds) {
    return "--ttl and --keep-ttl exclude each other";
  }
  return {};
}

int run_set(const ConnectionOptions& to, const OutputOptions& output, const KeyOptions& options) {
  // First what may be wrong here.
  const Result<std::string> value = value_of(options);
  if (!value) return report(value.error());
  Result<client::SyncClient> client = connect(to);
  if (!client) return report(client.error());
  const Result<bool> stored = client->set(options.key, *value, conditions_of(options));
  if (!stored) return report(stored.error());
  if (output.format == Format::json) {
    const int printed = print_or_report(to_line(Json{{"stored", *stored}}) + "\n");
    if (printed != exit_done) return printed;
  }
  if (*stored) return exit_done;
  if (output.format == Format::json) return exit_no_such_key;
  std::fputs(options.if_absent ? "Not stored: there is such a key\n"
                               : "Not stored: there is no such key\n",
             stderr);
  return exit_no_such_key;
}

int run_get(const ConnectionOptions& to, const OutputOptions& output, const KeyOptions& options) {
  Result<client::SyncClient> client = connect(to);
  if (!client) return report(client.error());
  const Result<std::optional<std::string>> value = client->get(options.key);
  if (!value) return report(value.error());
  if (output.format == Format::json) {
    Json object;
    object["key"] = to_json(std::string_view(options.key));
    object["value"] = *value ? to_json(std::string_view(**value)) : Json();
    const std::string line = to_line(object) + "\n";
    return options.output.empty() ? print_or_report(line) : write_value(options.output, line);
  }
  // Into a file or through a pipe, the text "Key not found" could be a value.
  if (!options.output.empty()) {
    return *value ? write_value(options.output, **value) : no_such_key();
  }
  if (output.format == Format::raw) return *value ? print_or_report(**value) : no_such_key();
  if (!*value) return print_or_report("Key not found\n");
  if (output.format == Format::human) return print_or_report(in_quotes(**value) + "\n");
  return print_or_report(**value + "\n");
}

int run_rm(const ConnectionOptions& to, const OutputOptions& output, const KeyOptions& options) {
  Result<client::SyncClient> client = connect(to);
  if (!client) return report(client.error());
  const Result<void> removed = client->remove(options.key);
  const bool answered = removed || removed.error().code() == Code::not_found;
  if (answered && output.format == Format::json) {
    const int printed = print_or_report(to_line(Json{{"removed", removed.has_value()}}) + "\n");
    if (printed != exit_done) return printed;
    return removed ? exit_done : exit_no_such_key;
  }
  return removed ? exit_done : report(removed.error());
}

}  // namespace kvs::cli
