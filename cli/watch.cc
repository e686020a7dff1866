#include "cli/watch.h"

#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <utility>

#include <CLI/CLI.hpp>

#include "cli/exit_code.h"
#include "cli/files.h"
#include "cli/progress.h"

namespace kvs::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned lines_per_heading = 20;

std::optional<double> number_of(const Info& info, std::string_view name) {
  const auto found = info.find(name);
  if (found == info.end()) return std::nullopt;
  double number = 0;
  const std::string& text = found->second;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

Json now_of(const Info& info, std::string_view name) {
  const std::optional<double> number = number_of(info, name);
  if (!number) return {};
  if (*number == std::floor(*number)) return static_cast<std::int64_t>(*number);
  return *number;
}

std::optional<double> difference(const Info& before, const Info& now, std::string_view name) {
  const std::optional<double> old_number = number_of(before, name);
  const std::optional<double> new_number = number_of(now, name);
  if (!old_number || !new_number) return std::nullopt;
  // Smaller: the server has started anew, or CONFIG RESETSTAT.
  return *new_number < *old_number ? *new_number : *new_number - *old_number;
}

Json rate_of(const Info& before, const Info& now, std::string_view name, double seconds) {
  const std::optional<double> change = difference(before, now, name);
  return change && seconds > 0 ? Json(*change / seconds) : Json();
}

// Of "db0:keys=5,expires=1,avg_ttl=0", over all databases.
std::uint64_t total_keys(const Info& info) {
  std::uint64_t keys = 0;
  for (const auto& [name, text] : info) {
    constexpr std::string_view field = "keys=";
    if (!name.starts_with("db") || !text.starts_with(field)) continue;
    std::uint64_t here = 0;
    std::from_chars(text.data() + field.size(), text.data() + text.size(), here);
    keys += here;
  }
  return keys;
}

std::string count_text(const Json& number) {
  if (!number.is_number()) return "-";
  return shown_count(static_cast<std::uint64_t>(std::llround(number.get<double>())));
}

std::string bytes_text(const Json& number) {
  if (!number.is_number()) return "-";
  return shown_bytes(static_cast<std::uint64_t>(std::llround(number.get<double>())));
}

std::string percent_text(const Json& number) {
  if (!number.is_number()) return "-";
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f%%", number.get<double>() * 100);
  return text.data();
}

std::string factor_text(const Json& number) {
  if (!number.is_number()) return "-";
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.2f", number.get<double>());
  return text.data();
}

struct Column {
  const char* field;    // of watch_sample
  const char* heading;  // of the line
  const char* name;     // of the table
  int width;
  std::string (*text)(const Json&);
};

constexpr std::array columns{
    Column{"ops_per_second", "ops/s", "requests/s", 10, count_text},
    Column{"keys", "keys", "keys", 13, count_text},
    Column{"clients", "clients", "clients", 8, count_text},
    Column{"memory_bytes", "memory", "memory (resident)", 11, bytes_text},
    Column{"hit_rate", "hits", "hit rate", 7, percent_text},
    Column{"input_bytes_per_second", "in/s", "input/s", 11, bytes_text},
    Column{"output_bytes_per_second", "out/s", "output/s", 11, bytes_text},
    Column{"disk_bytes", "disk", "disk", 11, bytes_text},
    Column{"space_amplification", "amp", "space amplification", 6, factor_text},
    Column{"compacted_bytes_per_second", "compact/s", "compaction/s", 11, bytes_text},
    Column{"syncs_per_second", "syncs/s", "syncs/s", 9, count_text},
};

std::string time_of_day() {
  const std::time_t now = std::time(nullptr);
  std::tm parts = {};
  ::localtime_r(&now, &parts);
  std::array<char, 16> text{};
  std::strftime(text.data(), text.size(), "%H:%M:%S", &parts);
  return text.data();
}

std::string right(std::string text, int width) {
  const auto wanted = static_cast<std::size_t>(width);
  return text.size() < wanted ? std::string(wanted - text.size(), ' ') + text : text;
}

std::string heading() {
  std::string line = "time    ";
  for (const Column& column : columns) line += " " + right(column.heading, column.width);
  return line + "\n";
}

std::string line_of(const Json& sample) {
  std::string line = time_of_day();
  for (const Column& column : columns) {
    line += " " + right(column.text(sample.at(column.field)), column.width);
  }
  return line + "\n";
}

std::string table_of(const Json& sample, const Info& info, const std::string& address,
                     const OutputOptions& output) {
  const auto field = [&info](std::string_view name) {
    const auto found = info.find(name);
    return found == info.end() ? std::string("-") : found->second;
  };
  std::string text = inked(address, Ink::heading, output) + "  " + field("kvs_engine") + " " +
                     field("kvs_version") + ", up " +
                     shown_duration(number_of(info, "uptime_in_seconds").value_or(0)) + ", " +
                     time_of_day() + "\x1b[K\n\x1b[K\n";
  for (const Column& column : columns) {
    text += right(column.name, 22) + "  " +
            inked(right(column.text(sample.at(column.field)), 14), Ink::number, output) +
            "\x1b[K\n";
  }
  return text;
}

Result<Info> ask(client::SyncClient& client) {
  Result<client::Reply> reply = client.command({"INFO", "everything"});
  if (!reply) return std::unexpected(std::move(reply).error());
  return parse_info(reply->text);
}

}  // namespace

Info parse_info(std::string_view text) {
  Info info;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    const std::size_t colon = line.find(':');
    if (line.starts_with('#') || colon == std::string_view::npos) continue;
    info.emplace(line.substr(0, colon), line.substr(colon + 1));
  }
  return info;
}

Json watch_sample(const Info& before, const Info& now, double seconds) {
  const std::optional<double> hits = difference(before, now, "keyspace_hits");
  const std::optional<double> misses = difference(before, now, "keyspace_misses");
  const bool asked = hits && misses && *hits + *misses > 0;
  Json sample;
  sample["ops_per_second"] = rate_of(before, now, "total_commands_processed", seconds);
  sample["keys"] = total_keys(now);
  sample["clients"] = now_of(now, "connected_clients");
  sample["memory_bytes"] = now_of(now, "used_memory_rss");
  sample["hit_rate"] = asked ? Json(*hits / (*hits + *misses)) : Json();
  sample["input_bytes_per_second"] = rate_of(before, now, "total_net_input_bytes", seconds);
  sample["output_bytes_per_second"] = rate_of(before, now, "total_net_output_bytes", seconds);
  sample["disk_bytes"] = now_of(now, "kvs_disk_bytes");
  sample["space_amplification"] = now_of(now, "kvs_space_amplification");
  sample["compacted_bytes_per_second"] = rate_of(before, now, "kvs_compacted_bytes", seconds);
  sample["syncs_per_second"] = rate_of(before, now, "kvs_syncs", seconds);
  return sample;
}

CLI::App* declare_watch(CLI::App& app, WatchOptions& options) {
  CLI::App* const watch = app.add_subcommand("watch", "Show what the server does, live");
  watch->add_option("--interval", options.interval_seconds, "Between two lines")
      ->type_name("SECONDS")
      ->capture_default_str()
      ->check(CLI::Range(0.05, 86'400.0));
  watch->add_flag_callback(
      "--once", [&options] { options.until = WatchUntil::one_line; },
      "One line, after one interval, and end");
  return watch;
}

int run_watch(const ConnectionOptions& to, const OutputOptions& output,
              const WatchOptions& options) {
  Result<client::SyncClient> client = connect(to);
  if (!client) return report(client.error());
  const OutputOptions shown_as = settled(output);
  const bool once = options.until == WatchUntil::one_line;
  const bool table = shown_as.format == Format::human && is_terminal(1) && !once;

  auto asked = Clock::now();
  Result<Info> before = ask(*client);
  if (!before) return report(before.error());
  for (unsigned lines = 0;; ++lines) {
    std::this_thread::sleep_for(std::chrono::duration<double>(options.interval_seconds));
    const auto now = Clock::now();
    Result<Info> info = ask(*client);
    if (!info) return report(info.error());
    const double seconds = std::chrono::duration<double>(now - asked).count();
    const Json sample = watch_sample(*before, *info, seconds);
    std::string text;
    if (shown_as.format == Format::json) {
      text = to_line(sample) + "\n";
    } else if (table) {
      // Up over the last one; the first begins where the cursor is.
      if (lines > 0) text = "\x1b[" + std::to_string(columns.size() + 2) + "A\r";
      text += table_of(sample, *info, client::to_string(to.address), shown_as);
    } else {
      if (lines % lines_per_heading == 0) text = heading();
      text += line_of(sample);
    }
    if (const Result<void> printed = print(text); !printed) return report(printed.error());
    if (once) return exit_done;
    before = std::move(info);
    asked = now;
  }
}

}  // namespace kvs::cli
