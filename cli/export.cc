#include "cli/export.h"

#include <cstdio>
#include <deque>
#include <nlohmann/json.hpp>
#include <unistd.h>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "cli/batches.h"
#include "cli/exit_code.h"
#include "cli/files.h"
#include "cli/import.h"
#include "cli/key_pages.h"
#include "cli/progress.h"

namespace kvs::cli {
namespace {

using client::Reply;

constexpr std::uint64_t page_keys = 1000;
constexpr std::size_t fetches_in_flight_max = 4;
// Values that are asked for together; a larger one is asked for alone.
constexpr std::size_t fetch_bytes_max = std::size_t{4} << 20;

// A value with its deadline, at one instant: the reply that counts is the last of the four.
constexpr std::size_t commands_per_key = 4;

struct Fetch {
  std::vector<std::string> keys;
  Future<client::PipelineReplies> replies;
};

class Exporter {
 public:
  Exporter(client::BackgroundClient& client, OutputFile& file, FileFormat format,
           const ExportOptions& options, std::optional<std::uint64_t> total)
      : client_(client),
        file_(file),
        format_(format),
        pages_(options.pattern, "", page_keys),
        progress_("export", total, Progress::Unit::keys) {}

  Result<void> run() {
    if (Result<void> written = file_.write(file_header(format_)); !written) return written;
    // One page ahead: while its keys are on their way, the values of the one before are.
    auto page = send_batch(client_, {pages_.request()});
    while (!pages_.at_end()) {
      Result<std::vector<std::string>> keys = pages_.take(only_reply(page.get()));
      if (!keys) return std::unexpected(std::move(keys).error());
      if (!pages_.at_end()) page = send_batch(client_, {pages_.request()});
      if (Result<void> fetched = fetch(std::move(*keys)); !fetched) return fetched;
    }
    while (!fetches_.empty()) {
      if (Result<void> received = receive(); !received) return received;
    }
    progress_.clear();
    return {};
  }

  std::uint64_t keys() const noexcept { return keys_; }
  std::uint64_t other_types() const noexcept { return other_types_; }
  double seconds() const { return progress_.seconds(); }

 private:
  static Result<Reply> only_reply(client::PipelineReplies replies) {
    if (!replies) return std::unexpected(std::move(replies).error());
    return std::move(replies->front());
  }

  Result<void> fetch(std::vector<std::string> keys) {
    std::vector<Words> questions;
    for (const std::string& key : keys) questions.push_back({"STRLEN", key});
    if (questions.empty()) return {};
    client::PipelineReplies sizes = send_batch(client_, std::move(questions)).get();
    if (!sizes) return std::unexpected(std::move(sizes).error());
    std::vector<std::string> group;
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const Result<Reply>& size = (*sizes)[i];
      if (!size && size.error().message().starts_with("WRONGTYPE")) {
        ++other_types_;
        continue;
      }
      if (!size) return std::unexpected(size.error());
      const auto value_bytes = static_cast<std::size_t>(size->integer);
      if (!group.empty() && bytes + value_bytes > fetch_bytes_max) {
        if (Result<void> sent = send(std::exchange(group, {})); !sent) return sent;
        bytes = 0;
      }
      bytes += value_bytes;
      group.push_back(std::move(keys[i]));
    }
    if (group.empty()) return {};
    return send(std::move(group));
  }

  Result<void> send(std::vector<std::string> keys) {
    while (fetches_.size() >= fetches_in_flight_max) {
      if (Result<void> received = receive(); !received) return received;
    }
    std::vector<Words> commands;
    for (const std::string& key : keys) {
      commands.push_back({"MULTI"});
      commands.push_back({"GET", key});
      commands.push_back({"PEXPIRETIME", key});
      commands.push_back({"EXEC"});
    }
    fetches_.push_back({std::move(keys), send_batch(client_, std::move(commands))});
    return {};
  }

  Result<void> receive() {
    Fetch group = std::move(fetches_.front());
    fetches_.pop_front();
    client::PipelineReplies replies = group.replies.get();
    if (!replies) return std::unexpected(std::move(replies).error());
    std::string lines;
    for (std::size_t i = 0; i < group.keys.size(); ++i) {
      Result<Reply>& reply = (*replies)[i * commands_per_key + commands_per_key - 1];
      if (Result<void> taken = take(std::move(group.keys[i]), std::move(reply), lines); !taken) {
        return taken;
      }
    }
    progress_.update(keys_);
    return file_.write(lines);
  }

  Result<void> take(std::string key, Result<Reply> reply, std::string& lines) {
    if (!reply) return std::unexpected(std::move(reply).error());
    if (reply->kind != Reply::Kind::array || reply->elements.size() != 2) {
      return fail(Code::protocol, "the server answered EXEC with something else");
    }
    Reply& value = reply->elements[0];
    const Reply& deadline = reply->elements[1];
    if (value.kind == Reply::Kind::error) return fail(Code::server, value.text);
    if (deadline.kind == Reply::Kind::error) return fail(Code::server, deadline.text);
    if (value.kind == Reply::Kind::nil) return {};  // gone since SCAN named it
    Record record{std::move(key), std::move(value.text), std::nullopt};
    if (deadline.integer >= 0) record.expires_at_ms = deadline.integer;
    append_record(lines, record, format_);
    ++keys_;
    return {};
  }

  client::BackgroundClient& client_;
  OutputFile& file_;
  const FileFormat format_;
  KeyPages pages_;
  Progress progress_;
  std::deque<Fetch> fetches_;
  std::uint64_t keys_ = 0;
  std::uint64_t other_types_ = 0;
};

// How many keys there are; nothing depends on it but the bar.
std::optional<std::uint64_t> key_count(client::BackgroundClient& client,
                                       const ExportOptions& options) {
  if (!options.pattern.empty()) return std::nullopt;
  client::PipelineReplies replies = send_batch(client, {{"DBSIZE"}}).get();
  if (!replies || !replies->front()) return std::nullopt;
  return static_cast<std::uint64_t>(replies->front()->integer);
}

void print_summary(const Exporter& exporter, const OutputFile& file, const OutputOptions& output) {
  if (output.format == Format::json) {
    const std::string line =
        to_line(Json{{"exported", exporter.keys()}, {"seconds", exporter.seconds()}}) + "\n";
    if (!file.is_stdout()) {
      (void)print(line);
    } else {
      std::fputs(line.c_str(), stderr);
    }
    return;
  }
  const double seconds = exporter.seconds();
  const auto rate = static_cast<std::uint64_t>(static_cast<double>(exporter.keys()) /
                                               (seconds > 0 ? seconds : 1));
  std::fprintf(stderr, "exported %s keys in %s, %s/s\n", shown_count(exporter.keys()).c_str(),
               shown_duration(seconds).c_str(), shown_count(rate).c_str());
}

}  // namespace

CLI::App* declare_export(CLI::App& app, ExportOptions& options) {
  CLI::App* const command =
      app.add_subcommand("export", "Write keys, values and deadlines to FILE");
  command->add_option("FILE", options.file, "Where to; - is stdout")->required()->type_name("");
  declare_format(*command, options.format);
  command->add_option("--match", options.pattern, "Only keys that this glob matches")
      ->type_name("PATTERN");
  return command;
}

int run_export(const ConnectionOptions& to, const OutputOptions& output,
               const ExportOptions& options) {
  Result<std::unique_ptr<client::BackgroundClient>> client = connect_background(to);
  if (!client) return report(client.error());
  Result<OutputFile> file = OutputFile::open(options.file);
  if (!file) return report(file.error());
  const FileFormat format = options.format.value_or(format_of_name(options.file));
  Exporter exporter(**client, *file, format, options, key_count(**client, options));
  Result<void> done = exporter.run();
  if (done) done = file->commit();
  if (!done) return report(done.error());
  print_summary(exporter, *file, output);
  if (exporter.other_types() == 0) return exit_done;
  std::fprintf(stderr, "%s keys are no strings and are not in the file\n",
               shown_count(exporter.other_types()).c_str());
  return exit_input;
}

}  // namespace kvs::cli
