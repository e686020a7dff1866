// options.h - the command line of kvs-client, as a value.
//
// All of it is checked here, the address too: a mistake is reported before anything else happens.
// What a subcommand takes beside the options of all is declared in that subcommand's file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/bench.h"
#include "cli/command.h"
#include "cli/connection.h"
#include "cli/export.h"
#include "cli/import.h"
#include "cli/key_commands.h"
#include "cli/output.h"
#include "cli/repl.h"
#include "cli/scan.h"
#include "cli/watch.h"

namespace kvs::cli {

struct Options {
  enum class Command : std::uint8_t {
    set,
    get,
    rm,
    command,
    scan,
    watch,
    import_file,
    export_file,
    bench,
    repl
  };

  Command command = Command::get;
  ConnectionOptions connection;
  OutputOptions output;

  KeyOptions key;  // of set, get and rm
  CommandOptions words;
  ScanOptions scan;
  WatchOptions watch;
  ImportOptions import_file;
  ExportOptions export_file;
  BenchOptions bench;
};

// What the command line asks for: a command, or to end now with this exit code (help, version or a
// usage error: the text has been printed, errors to stderr).
struct ParseOutcome {
  std::optional<Options> options;
  int exit_code = 0;
};

ParseOutcome parse_options(int argc, const char* const* argv);

// Overwrites passwords in the words of the process, which everybody on the machine can read.
void hide_passwords(int argc, char** argv);

}  // namespace kvs::cli
