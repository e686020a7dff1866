// main.cc - kvs-client: one subcommand, then the end.
//
// Data goes to stdout, everything else to stderr; the exit codes are in exit_code.h.

#include <csignal>

#include "cli/options.h"

namespace kvs::cli {
namespace {

int run(const Options& options) {
  const ConnectionOptions& to = options.connection;
  const OutputOptions& output = options.output;
  switch (options.command) {
    case Options::Command::set:
      return run_set(to, output, options.key);
    case Options::Command::get:
      return run_get(to, output, options.key);
    case Options::Command::rm:
      return run_rm(to, output, options.key);
    case Options::Command::command:
      return run_command(to, output, options.words);
    case Options::Command::scan:
      return run_scan(to, output, options.scan);
    case Options::Command::import_file:
      return run_import(to, output, options.import_file);
    case Options::Command::export_file:
      return run_export(to, output, options.export_file);
    case Options::Command::watch:
      return run_watch(to, output, options.watch);
    case Options::Command::bench:
      return run_bench(to, output, options.bench);
    case Options::Command::repl:
      return run_repl(to, output);
  }
  return 1;
}

}  // namespace
}  // namespace kvs::cli

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a reader or server that went away is an error with a text
  const kvs::cli::ParseOutcome parsed = kvs::cli::parse_options(argc, argv);
  kvs::cli::hide_passwords(argc, argv);
  if (!parsed.options) return parsed.exit_code;
  return kvs::cli::run(*parsed.options);
}
