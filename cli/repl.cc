#include "cli/repl.h"

#include <charconv>
#include <cstdio>
#include <optional>
#include <unistd.h>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "cli/command.h"
#include "cli/command_help.h"
#include "cli/exit_code.h"
#include "cli/files.h"
#include "cli/history_file.h"
#include "cli/line_editor.h"
#include "cli/words.h"

namespace kvs::cli {
namespace {

using Words = std::vector<std::string>;

constexpr const char* usage =
    "A command of the server and its arguments, in quotes where they have blanks:\n"
    "\"...\" with \\n \\xHH and so on, '...' as it is.\n"
    "  help COMMAND   what a command does; help commands names all\n"
    "  clear          an empty screen\n"
    "  exit, quit, Ctrl-D\n";

class Repl {
 public:
  Repl(ConnectionOptions to, OutputOptions output)
      : to_(std::move(to)),
        output_(settled(output)),
        interactive_(::isatty(STDIN_FILENO) != 0),
        history_path_(interactive_ ? history_path() : std::string()) {}

  int run() {
    const auto editor = make_line_editor(
        {.completions = [this](std::string_view text) { return completions(text); },
         .hint = [this](std::string_view text) { return helps_.hint(split_typed(text)); }});
    for (const std::string& line : load_history(history_path_)) editor->remember(line);
    if (!connected() && !interactive_) return first_failure_;
    if (interactive_) load_helps();

    std::string line;
    for (;;) {
      const LineEditor::Outcome outcome = editor->read(prompt(), line);
      if (outcome == LineEditor::Outcome::end) break;
      if (outcome == LineEditor::Outcome::interrupted) continue;
      const std::optional<Words> words = split_words(line);
      if (words && words->empty()) continue;
      if (!words || !has_secret(*words)) {
        editor->remember(line);
        append_history(history_path_, line);
      }
      if (!words) {
        complain("A quote is not closed, or does not end its word", exit_usage);
        continue;
      }
      const std::string name = upper(words->front());
      if (name == "EXIT" || name == "QUIT") break;
      if (!take(*words, name)) break;
    }
    return interactive_ ? exit_done : first_failure_;
  }

 private:
  std::string prompt() const {
    std::string text = client::to_string(to_.address);
    if (!client_) text = "not connected to " + text;
    if (to_.database != 0) text += "[" + std::to_string(to_.database) + "]";
    if (in_transaction_) text += "(TX)";
    return text + "> ";
  }

  std::vector<std::string> completions(std::string_view text) const {
    Words typed = split_typed(text);
    // Behind "help" as at the beginning of the line.
    if (typed.size() > 1 && upper(typed.front()) == "HELP") typed.erase(typed.begin());
    return helps_.completions(typed);
  }

  // False: it is over.
  bool take(const Words& words, const std::string& name) {
    if (name == "HELP" || name == "?") {
      help(words);
      return true;
    }
    if (name == "CLEAR" && interactive_) return say("\x1b[H\x1b[2J");
    if (const std::string problem = conversation_problem(words); !problem.empty()) {
      complain(problem, exit_usage);
      return true;
    }
    if (!connected()) return interactive_;
    const Result<client::Reply> reply = client_->command(words);
    if (!reply) {
      const bool answered = reply.error().code() == Code::server;
      const std::string error_text = answered && output_.format == Format::human
                                         ? "(error) " + reply.error().message()
                                         : reply.error().message();
      complain(error_text, exit_code_of(reply.error()));
      if (answered) {
        if (name == "EXEC") in_transaction_ = false;
        return true;
      }
      forget_connection();
      return interactive_;
    }
    note(words, name);
    const bool as_text = output_.format == Format::human && answers_text(words) &&
                         reply->kind == client::Reply::Kind::string;
    return say(as_text ? shown_text(reply->text) : shown(*reply, output_));
  }

  // What the next connection must be told, too, and what the prompt shows.
  void note(const Words& words, const std::string& name) {
    if (name == "SELECT" && words.size() == 2 && !in_transaction_) {
      const std::string& number = words[1];
      std::from_chars(number.data(), number.data() + number.size(), to_.database);
    } else if (name == "AUTH" && !in_transaction_) {
      to_.password = words.back();
      to_.user = words.size() > 2 ? words[1] : std::string();
      if (interactive_ && helps_.empty()) load_helps();
    } else if (name == "MULTI") {
      in_transaction_ = true;
    } else if (name == "EXEC" || name == "DISCARD" || name == "RESET") {
      in_transaction_ = false;
      if (name == "RESET") to_.database = 0;
    }
  }

  bool connected() {
    if (client_ && client_->connected()) return true;
    const bool again = client_.has_value();
    forget_connection();
    Result<client::SyncClient> made = connect(to_);
    to_.wait_seconds.reset();  // it is for the beginning
    if (!made) {
      complain(made.error().message(), exit_code_of(made.error()));
      return false;
    }
    client_.emplace(std::move(*made));
    if (again && interactive_) std::fputs("(connected again)\n", stderr);
    if (interactive_ && helps_.empty()) load_helps();
    return true;
  }

  void forget_connection() {
    client_.reset();
    in_transaction_ = false;
  }

  void load_helps() {
    if (!client_) return;
    // Refused before AUTH, and by servers that are older than it: then there are no hints.
    const Result<client::Reply> docs = client_->command({"COMMAND", "DOCS"});
    if (docs) helps_ = CommandHelps(*docs);
  }

  void help(const Words& words) {
    if (words.size() == 1) {
      say(usage);
      return;
    }
    if (helps_.empty() && connected()) load_helps();
    if (words.size() == 2 && upper(words[1]) == "COMMANDS") {
      say(helps_.names());
      return;
    }
    const CommandHelp* const found = helps_.find({words.begin() + 1, words.end()});
    if (found == nullptr) return complain("There is no command " + words[1], exit_usage);
    say(CommandHelps::text(*found));
  }

  bool say(std::string_view text) {
    const Result<void> printed = print(text);
    if (!printed) complain(printed.error().message(), exit_file);
    return printed.has_value();
  }

  void complain(const std::string& text, ExitCode code) {
    if (first_failure_ == exit_done) first_failure_ = code;
    const bool coloured = output_.colour == Colour::always && ::isatty(STDERR_FILENO) != 0;
    const std::string shown_as = coloured ? inked(text, Ink::error, output_) : text;
    std::fprintf(stderr, "%s\n", shown_as.c_str());
  }

  ConnectionOptions to_;
  const OutputOptions output_;
  const bool interactive_;
  const std::string history_path_;
  CommandHelps helps_;
  std::optional<client::SyncClient> client_;
  bool in_transaction_ = false;
  ExitCode first_failure_ = exit_done;
};

}  // namespace

CLI::App* declare_repl(CLI::App& app) {
  return app.add_subcommand("repl", "A prompt with history and completion; or a script from stdin")
      ->alias("shell");
}

int run_repl(const ConnectionOptions& to, const OutputOptions& output) {
  Repl repl(to, output);
  return repl.run();
}

}  // namespace kvs::cli
