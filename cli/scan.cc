#include "cli/scan.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "cli/exit_code.h"
#include "cli/files.h"
#include "cli/key_pages.h"

namespace kvs::cli {
namespace {

struct Found {
  std::string key;
  std::string type;                  // when asked for
  std::optional<std::string> value;  // when asked for, and it is a string
};

std::string line_of(const Found& found, const ScanOptions& options, Format format) {
  if (format == Format::json) {
    Json object;
    object["key"] = to_json(std::string_view(found.key));
    if (options.with_type) object["type"] = found.type;
    if (options.with_values) {
      object["value"] = found.value ? to_json(std::string_view(*found.value)) : Json();
    }
    return to_line(object) + "\n";
  }
  const auto shown_bytes = [format](const std::string& bytes) {
    return format == Format::human ? in_quotes(bytes) : bytes;
  };
  std::string line = shown_bytes(found.key);
  if (options.with_type) line += "\t" + found.type;
  if (options.with_values) {
    line += "\t" + (found.value ? shown_bytes(*found.value) : std::string());
  }
  return line + "\n";
}

// What was asked for of `keys`; those that have vanished meanwhile are left out.
Result<std::vector<Found>> look_at(client::SyncClient& client, std::vector<std::string> keys,
                                   const ScanOptions& options) {
  std::vector<Found> all(keys.size());
  std::vector<bool> gone(keys.size(), false);
  for (std::size_t i = 0; i < keys.size(); ++i) all[i].key = std::move(keys[i]);
  for (const std::string_view command : {"TYPE", "GET"}) {
    const bool types = command == "TYPE";
    if (types ? !options.with_type : !options.with_values) continue;
    client::Pipeline pipeline = client.pipeline();
    for (const Found& found : all) pipeline.command({command, found.key});
    client::PipelineReplies replies = client.run(pipeline);
    if (!replies) return std::unexpected(std::move(replies).error());
    for (std::size_t i = 0; i < all.size(); ++i) {
      Result<client::Reply>& reply = (*replies)[i];
      // A GET of what is no string is an error; it has a type, and no value to show.
      if (!reply && !(reply.error().code() == Code::server &&
                      reply.error().message().starts_with("WRONGTYPE"))) {
        return std::unexpected(std::move(reply).error());
      }
      if (!reply) continue;
      if (types) {
        gone[i] = reply->text == "none";
        all[i].type = std::move(reply->text);
      } else if (reply->kind == client::Reply::Kind::nil) {
        gone[i] = true;
      } else {
        all[i].value = std::move(reply->text);
      }
    }
  }
  std::vector<Found> present;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!gone[i]) present.push_back(std::move(all[i]));
  }
  return present;
}

}  // namespace

CLI::App* declare_scan(CLI::App& app, ScanOptions& options) {
  CLI::App* const scan = app.add_subcommand("scan", "List the keys, or those that PATTERN matches");
  scan->add_option("PATTERN", options.pattern, "A glob: * ? [abc] \\")->type_name("");
  scan->add_flag("--count", options.count_only, "Print how many there are instead");
  scan->add_flag("--type", options.with_type, "Print the type behind each key");
  scan->add_option("--only-type", options.type, "Only keys of this type")->type_name("TYPE");
  scan->add_flag("--with-values", options.with_values, "Print the value behind each key");
  scan->add_option("--page", options.page_keys, "Keys to ask for at once")
      ->type_name("KEYS")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  return scan;
}

int run_scan(const ConnectionOptions& to, const OutputOptions& output, const ScanOptions& options) {
  Result<client::SyncClient> client = connect(to);
  if (!client) return report(client.error());
  const Format format = settled(output).format;
  std::uint64_t count = 0;
  KeyPages pages(options.pattern, options.type, options.page_keys);
  while (!pages.at_end()) {
    Result<client::Reply> reply = client->command(pages.request());
    Result<std::vector<std::string>> keys = pages.take(std::move(reply));
    if (!keys) return report(keys.error());
    if (options.count_only) {
      count += keys->size();
      continue;
    }
    const Result<std::vector<Found>> found = look_at(*client, std::move(*keys), options);
    if (!found) return report(found.error());
    std::string lines;
    for (const Found& each : *found) lines += line_of(each, options, format);
    if (const Result<void> printed = print(lines); !printed) return report(printed.error());
  }
  if (!options.count_only) return exit_done;
  const std::string line =
      format == Format::json ? to_line(Json{{"count", count}}) : std::to_string(count);
  const Result<void> printed = print(line + "\n");
  return printed ? exit_done : report(printed.error());
}

}  // namespace kvs::cli
