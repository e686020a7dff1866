#include "cli/command.h"

#include <utility>

#include <CLI/CLI.hpp>

#include "cli/exit_code.h"
#include "cli/files.h"
#include "cli/words.h"

namespace kvs::cli {
namespace {

std::string word(const std::vector<std::string>& words, std::size_t index) {
  return index < words.size() ? upper(words[index]) : std::string();
}

}  // namespace

CLI::App* declare_command(CLI::App& app, CommandOptions& options) {
  CLI::App* const command = app.add_subcommand(
      "command", "Send any command and print its reply; further words with one dash are its own");
  command->add_option("WORD", options.words, "The command and its arguments")
      ->required()
      ->type_name("")
      ->expected(1, 1 << 20);
  command->add_flag("-x", options.last_from_stdin,
                    "The last argument is what stdin has; stands before the first WORD");
  return command;
}

std::string command_problem(const CommandOptions& options) {
  return conversation_problem(options.words);
}

std::string conversation_problem(const std::vector<std::string>& words) {
  const std::string name = word(words, 0);
  const std::string second = word(words, 1);
  for (const std::string_view pushing :
       {"SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "MONITOR", "SYNC", "PSYNC"}) {
    if (name == pushing) return name + " is answered without end: not in kvs-client";
  }
  if (name == "HELLO" && !second.empty() && second != "2") {
    return "HELLO " + second + ": kvs-client speaks RESP2 only";
  }
  if (name == "CLIENT" && second == "REPLY") return "CLIENT REPLY: kvs-client needs the replies";
  return {};
}

bool answers_text(const std::vector<std::string>& words) {
  const std::string name = word(words, 0);
  if (name == "INFO") return true;
  return name == "CLIENT" && (word(words, 1) == "LIST" || word(words, 1) == "INFO");
}

int run_command(const ConnectionOptions& to, const OutputOptions& output,
                const CommandOptions& options) {
  std::vector<std::string> words = options.words;
  if (options.last_from_stdin) {
    Result<InputFile> input = InputFile::open("-");
    if (!input) return report(input.error());
    Result<std::string> bytes = input->read_all();
    if (!bytes) return report(bytes.error());
    words.push_back(std::move(*bytes));
  }
  Result<client::SyncClient> client = connect(to);
  if (!client) return report(client.error());
  const Result<client::Reply> reply = client->command(words);
  if (!reply) return report(reply.error());
  const OutputOptions settled_output = settled(output);
  const bool as_text = settled_output.format == Format::human && answers_text(words) &&
                       reply->kind == client::Reply::Kind::string;
  const Result<void> printed =
      print(as_text ? shown_text(reply->text) : shown(*reply, settled_output));
  if (!printed) return report(printed.error());
  return exit_done;
}

}  // namespace kvs::cli
