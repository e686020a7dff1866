#include "cli/import.h"

#include <cstdio>
#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "cli/batches.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/files.h"
#include "cli/progress.h"

namespace kvs::cli {
namespace {

// Further ones are counted only.
constexpr std::uint64_t problems_shown_max = 20;

struct Sent {
  Future<client::PipelineReplies> replies;
  std::vector<std::uint64_t> lines;  // of each command
  std::uint64_t file_bytes = 0;      // read when it was sent
};

class Importer {
 public:
  Importer(client::BackgroundClient& client, const ImportOptions& options, FileFormat format,
           const InputFile& file)
      : client_(client),
        on_error_(options.on_error),
        position_(position_name(format)),
        reader_(make_reader(format)),
        progress_("import", file.size_bytes(), Progress::Unit::bytes) {}

  ExitCode run(InputFile& file) {
    while (!stopped_) {
      std::optional<FileItem> item = reader_->next();
      if (item) {
        take(std::move(*item));
        continue;
      }
      if (at_end_) break;
      // What is read may take its time to come; nothing waits for it here.
      if (!batch_.empty()) send();
      const Result<std::size_t> got = file.read(reader_->input());
      if (!got) {
        stop(got.error().message(), exit_file);
        break;
      }
      read_bytes_ += *got;
      if (*got == 0) {
        at_end_ = true;
        reader_->end();
      }
    }
    if (!stopped_ && !batch_.empty()) send();
    while (!sent_.empty()) receive();
    progress_.clear();
    return outcome_;
  }

  void print_summary(const OutputOptions& output) const {
    const double seconds = progress_.seconds();
    if (output.format == Format::json) {
      const Json summary{{"imported", done_},    {"bad", bad_},        {"refused", refused_},
                         {"bytes", read_bytes_}, {"seconds", seconds}, {"complete", !stopped_}};
      (void)print(to_line(summary) + "\n");
      return;
    }
    std::string text = "imported " + shown_count(done_) + " of " + shown_bytes(read_bytes_) +
                       " in " + shown_duration(seconds);
    if (seconds > 0) {
      text += ", " + shown_count(static_cast<std::uint64_t>(static_cast<double>(done_) / seconds)) +
              "/s";
    }
    if (bad_ > 0) text += "; " + shown_count(bad_) + " bad";
    if (refused_ > 0) text += "; " + shown_count(refused_) + " refused by the server";
    std::fprintf(stderr, "%s\n", text.c_str());
  }

 private:
  void take(FileItem item) {
    if (item.kind == FileItem::Kind::command) {
      item.problem = conversation_problem(item.words);
      if (!item.problem.empty()) item.kind = FileItem::Kind::bad;
    }
    if (item.kind != FileItem::Kind::command) {
      ++bad_;
      const std::string text = at(item.line) + item.problem;
      if (item.kind == FileItem::Kind::broken || on_error_ == OnError::stop) {
        // The good ones before it are stored, so that the line says where to go on.
        if (!batch_.empty()) send();
        return stop(text, exit_input);
      }
      return skip(text, exit_input);
    }
    for (const std::string& word : item.words) batch_bytes_ += word.size();
    batch_.push_back(std::move(item.words));
    lines_.push_back(item.line);
    if (batch_.size() >= batch_commands_max || batch_bytes_ >= batch_bytes_max) send();
  }

  void send() {
    while (!stopped_ && sent_.size() >= batches_in_flight_max) receive();
    if (stopped_) return;
    sent_.push_back(
        {send_batch(client_, std::exchange(batch_, {})), std::exchange(lines_, {}), read_bytes_});
    batch_bytes_ = 0;
  }

  void receive() {
    Sent sent = std::move(sent_.front());
    sent_.pop_front();
    client::PipelineReplies replies = sent.replies.get();
    if (!replies) return lost(replies.error());
    for (std::size_t i = 0; i < replies->size(); ++i) {
      const Result<client::Reply>& reply = (*replies)[i];
      if (reply) {
        ++done_;
        last_line_ = sent.lines[i];
        continue;
      }
      if (reply.error().code() != Code::server) return lost(reply.error());
      ++refused_;
      const std::string text = at(sent.lines[i]) + reply.error().message();
      if (on_error_ == OnError::stop) {
        stop(text, exit_error_reply);
      } else {
        skip(text, exit_error_reply);
      }
    }
    if (!stopped_) progress_.update(sent.file_bytes);
  }

  std::string at(std::uint64_t line) const {
    if (line == 0) return {};
    return std::string(position_) + " " + std::to_string(line) + ": ";
  }

  void say(const std::string& text) {
    progress_.clear();
    std::fprintf(stderr, "%s\n", text.c_str());
  }

  void skip(const std::string& text, ExitCode code) {
    if (outcome_ == exit_done) outcome_ = code;
    if (++problems_ <= problems_shown_max) return say("skipped " + text);
    if (problems_ == problems_shown_max + 1) say("(further ones are skipped without a message)");
  }

  void stop(const std::string& text, ExitCode code) {
    if (std::exchange(stopped_, true)) {
      // What was in flight when it stopped: worth a line, but not another reason.
      if (++problems_ <= problems_shown_max) say(text);
      return;
    }
    outcome_ = code;
    say(text);
  }

  void lost(const Error& error) {
    if (stopped_ && outcome_ == exit_code_of(error)) return;  // said already
    stop(error.message() + "; acknowledged up to " + std::string(position_) + " " +
             std::to_string(last_line_) + ", what follows may be stored or not",
         exit_code_of(error));
  }

  client::BackgroundClient& client_;
  const OnError on_error_;
  const std::string_view position_;
  std::unique_ptr<RecordReader> reader_;
  Progress progress_;

  std::vector<Words> batch_;
  std::vector<std::uint64_t> lines_;
  std::size_t batch_bytes_ = 0;
  std::deque<Sent> sent_;

  bool at_end_ = false;
  bool stopped_ = false;
  ExitCode outcome_ = exit_done;
  std::uint64_t read_bytes_ = 0;
  std::uint64_t done_ = 0;
  std::uint64_t bad_ = 0;
  std::uint64_t refused_ = 0;
  std::uint64_t problems_ = 0;
  std::uint64_t last_line_ = 0;  // of the last command that was answered without an error
};

}  // namespace

void declare_format(CLI::App& command, std::optional<FileFormat>& format) {
  static const std::map<std::string, FileFormat> names{
      {"jsonl", FileFormat::json_lines}, {"csv", FileFormat::csv}, {"resp", FileFormat::resp}};
  command
      .add_option_function<std::string>(
          "--format", [&format](const std::string& name) { format = names.at(name); },
          "jsonl, csv or resp; without it what the file's name ends in, else jsonl")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"jsonl", "csv", "resp"}));
}

CLI::App* declare_import(CLI::App& app, ImportOptions& options) {
  CLI::App* const command = app.add_subcommand("import", "Store what FILE has");
  command->add_option("FILE", options.file, "As export writes it; - is stdin")
      ->required()
      ->type_name("");
  declare_format(*command, options.format);
  command
      ->add_option_function<std::string>(
          "--on-error",
          [&options](const std::string& name) {
            options.on_error = name == "skip" ? OnError::skip : OnError::stop;
          },
          "What is done about bad records and error replies: stop or skip")
      ->type_name("WHAT")
      ->default_str("stop")
      ->check(CLI::IsMember({"stop", "skip"}));
  return command;
}

int run_import(const ConnectionOptions& to, const OutputOptions& output,
               const ImportOptions& options) {
  Result<InputFile> file = InputFile::open(options.file);
  if (!file) return report(file.error());
  Result<std::unique_ptr<client::BackgroundClient>> client = connect_background(to);
  if (!client) return report(client.error());
  const FileFormat format = options.format.value_or(format_of_name(options.file));
  Importer importer(**client, options, format, *file);
  const ExitCode outcome = importer.run(*file);
  importer.print_summary(output);
  return outcome;
}

}  // namespace kvs::cli
