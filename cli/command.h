// command.h - `kvs-client command WORD...`: any command of the server, once.
#pragma once

#include <string>
#include <vector>

#include "cli/connection.h"
#include "cli/output.h"

namespace CLI {
class App;
}

namespace kvs::cli {

struct CommandOptions {
  std::vector<std::string> words;
  bool last_from_stdin = false;
};

CLI::App* declare_command(CLI::App& app, CommandOptions& options);

// Why this cannot be sent; empty: it can.
std::string command_problem(const CommandOptions& options);

// Why a command that changes how the connection works has no place in a conversation of one reply
// to each command; empty: it has.
std::string conversation_problem(const std::vector<std::string>& words);

// Is the command's reply a text for people, to be shown as it is?
bool answers_text(const std::vector<std::string>& words);

int run_command(const ConnectionOptions& to, const OutputOptions& output,
                const CommandOptions& options);

}  // namespace kvs::cli
