// repl.h - `kvs-client repl`: a prompt for commands, or a script of them from stdin.
#pragma once

#include "cli/connection.h"
#include "cli/output.h"

namespace CLI {
class App;
}

namespace kvs::cli {

CLI::App* declare_repl(CLI::App& app);

// At a terminal 0, whatever was answered; of a script the code of its first failure, after all of
// it has run (a lost connection ends it).
int run_repl(const ConnectionOptions& to, const OutputOptions& output);

}  // namespace kvs::cli
