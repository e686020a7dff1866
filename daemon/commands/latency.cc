// latency.cc - LATENCY: what took long by kind of event (daemon/latency_events.h), and how long
// each command takes (daemon/command_stats.h).
#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "daemon/command_table.h"
#include "daemon/commands/arguments.h"
#include "daemon/context.h"
#include "daemon/metrics.h"
#include "daemon/operations.h"
#include "daemon/settings.h"

namespace kvs::daemon {

namespace {

using resp::ReplyWriter;

struct Summary {
  std::int64_t least = 0;
  std::int64_t most = 0;
  double average = 0;
};

Summary summary_of(const LatencySeries& series) {
  Summary summary{series.samples.front().milliseconds, 0, 0};
  for (const LatencySample& sample : series.samples) {
    summary.least = std::min(summary.least, sample.milliseconds);
    summary.most = std::max(summary.most, sample.milliseconds);
    summary.average += static_cast<double>(sample.milliseconds);
  }
  summary.average /= static_cast<double>(series.samples.size());
  return summary;
}

std::optional<LatencySeries> series_called(Context& context, std::string_view event) {
  for (LatencySeries& series : context.services.operations.latency.all()) {
    if (series.event == event) return std::move(series);
  }
  return std::nullopt;
}

void latency_latest(Context& context, Args, ReplyWriter& reply) {
  const auto all = context.services.operations.latency.all();
  reply.array(all.size());
  for (const LatencySeries& series : all) {
    reply.array(4);
    reply.bulk(series.event);
    reply.integer(series.samples.back().unix_seconds);
    reply.integer(series.samples.back().milliseconds);
    reply.integer(series.all_time_max_ms);
  }
}

void latency_history(Context& context, Args args, ReplyWriter& reply) {
  const auto series = series_called(context, args[2]);
  if (!series) return reply.array(0);
  reply.array(series->samples.size());
  for (const LatencySample& sample : series->samples) {
    reply.array(2);
    reply.integer(sample.unix_seconds);
    reply.integer(sample.milliseconds);
  }
}

// LATENCY RESET [event ...]: how many kinds of events were forgotten.
void latency_reset(Context& context, Args args, ReplyWriter& reply) {
  LatencyEvents& latency = context.services.operations.latency;
  std::size_t forgotten = 0;
  if (args.size() == 2) forgotten = latency.reset();
  for (const std::string_view event : args.subspan(2)) forgotten += latency.reset(event) ? 1 : 0;
  reply.integer(static_cast<std::int64_t>(forgotten));
}

std::string age_text(std::int64_t seconds) {
  if (seconds < 60) return std::to_string(seconds) + "s";
  if (seconds < 3600) return std::to_string(seconds / 60) + "m";
  if (seconds < 86400) return std::to_string(seconds / 3600) + "h";
  return std::to_string(seconds / 86400) + "d";
}

// LATENCY GRAPH event: a column per sample, oldest first, and below it how long ago it was.
void latency_graph(Context& context, Args args, ReplyWriter& reply) {
  const auto series = series_called(context, args[2]);
  if (!series) {
    return reply.error("ERR No samples available for event '" + as_printed(args[2]) + "'");
  }
  constexpr std::int64_t height = 4;
  const Summary summary = summary_of(*series);
  std::string text = series->event + " - high " + std::to_string(summary.most) + " ms, low " +
                     std::to_string(summary.least) + " ms (all time high " +
                     std::to_string(series->all_time_max_ms) + " ms)\n" + std::string(80, '-') +
                     "\n";
  const std::int64_t span = std::max<std::int64_t>(summary.most - summary.least, 1);
  for (std::int64_t row = height; row > 0; --row) {
    for (const LatencySample& sample : series->samples) {
      const std::int64_t filled = 1 + (sample.milliseconds - summary.least) * (height - 1) / span;
      text += filled > row ? '|' : filled == row ? '#' : ' ';
    }
    text += '\n';
  }
  text += '\n';
  std::vector<std::string> ages;
  std::size_t longest = 0;
  for (const LatencySample& sample : series->samples) {
    ages.push_back(age_text(std::max<std::int64_t>(context.now() / 1000 - sample.unix_seconds, 0)));
    longest = std::max(longest, ages.back().size());
  }
  for (std::size_t row = 0; row < longest; ++row) {  // from top to bottom
    for (const std::string& age : ages) text += row < age.size() ? age[row] : ' ';
    text += '\n';
  }
  reply.verbatim(text);
}

std::string_view advice_for(std::string_view event) {
  if (event == "sync") {
    return "The disk takes long to sync. Something else may be writing to it; 'sync everysec' "
           "keeps "
           "replies from waiting for it.";
  }
  if (event == "compaction") {
    return "Slices of compaction wait for the disk. compact-rate-limit makes it gentler, a larger "
           "space-amplification rarer.";
  }
  if (event == "expire") return "Many keys expire at one time. Spread their deadlines.";
  if (event == "fast-command") {
    return "Commands that should be fast are not: the machine may be short of processor time or "
           "swap.";
  }
  return "SLOWLOG GET names the slow commands. KEYS and large values are the usual ones.";
}

void latency_doctor(Context& context, Args, ReplyWriter& reply) {
  const auto threshold = context.services.settings.latency_monitor_threshold_ms.load();
  const auto all = context.services.operations.latency.all();
  std::string text;
  if (threshold == 0 && all.empty()) {
    text =
        "Latency is not monitored. CONFIG SET latency-monitor-threshold <milliseconds> begins to "
        "note what takes longer than that.\n";
  } else if (all.empty()) {
    text = "Nothing took " + std::to_string(threshold) + " ms or longer.\n";
  }
  for (const LatencySeries& series : all) {
    const Summary summary = summary_of(series);
    text += series.event + ": " + std::to_string(series.samples.size()) + " spikes (average " +
            std::to_string(std::llround(summary.average)) + " ms, from " +
            std::to_string(summary.least) + " to " + std::to_string(summary.most) +
            " ms; worst ever " + std::to_string(series.all_time_max_ms) + " ms). ";
    text.append(advice_for(series.event)).append("\n");
  }
  reply.verbatim(text);
}

void reply_histogram(const Command& command, const CommandFigures& figures, ReplyWriter& reply) {
  // Cumulative, at 1024 ns times powers of two (said in microseconds), where something was added.
  std::vector<std::pair<std::int64_t, std::int64_t>> steps;
  const auto calls = static_cast<std::int64_t>(figures.calls());
  std::int64_t seen = 0;
  std::size_t bucket = 0;
  for (std::uint64_t bound = 1024; seen < calls; bound *= 2) {
    const std::int64_t before = seen;
    for (; bucket < figures.buckets.size() && LatencyBuckets::upper_bound(bucket) < bound;
         ++bucket) {
      seen += static_cast<std::int64_t>(figures.buckets[bucket]);
    }
    if (seen > before) steps.emplace_back(static_cast<std::int64_t>(bound / 1000), seen);
  }
  reply.bulk(command.name);
  reply.map(2);
  reply.bulk("calls");
  reply.integer(calls);
  reply.bulk("histogram_usec");
  reply.map(steps.size());
  for (const auto& [microseconds, count] : steps) {
    reply.integer(microseconds);
    reply.integer(count);
  }
}

// LATENCY HISTOGRAM [command ...]; a container stands for its subcommands.
void latency_histogram(Context& context, Args args, ReplyWriter& reply) {
  const CommandTable& table = context.services.commands;
  std::vector<std::pair<const Command*, CommandFigures>> found;
  const auto take = [&](const Command& command) {
    CommandFigures figures = context.services.metrics.figures_of(command);
    if (figures.calls() != 0) found.emplace_back(&command, figures);
  };
  const auto take_whole = [&](const Command& command) {
    take(command);
    for (const Command& subcommand : command.subcommands) take(subcommand);
  };
  if (args.size() == 2) {
    for (const Command* command : table.all()) take_whole(*command);
  }
  for (const std::string_view word : args.subspan(2)) {
    const std::string name = lower_case(word);
    const Command* const command = table.find(std::string_view(name).substr(0, name.find('|')));
    if (command == nullptr) continue;
    if (name.find('|') == name.npos) take_whole(*command);
    for (const Command& subcommand : command->subcommands) {
      if (subcommand.name == name) take(subcommand);
    }
  }
  reply.map(found.size());
  for (const auto& [command, figures] : found) reply_histogram(*command, figures, reply);
}

void latency_help(Context&, Args, ReplyWriter& reply) {
  constexpr std::array<std::string_view, 13> lines = {
      "DOCTOR",
      "    Return a report for humans on what took long.",
      "GRAPH <event>",
      "    Return the samples of <event> as a graph.",
      "HISTORY <event>",
      "    Return the samples of <event>.",
      "LATEST",
      "    Return the latest sample of each event.",
      "RESET [<event> ...]",
      "    Forget the samples of the events, or of all.",
      "HISTOGRAM [<command> ...]",
      "    Return how long the commands took, cumulatively. Without names: all that ran.",
      "    Events are command, fast-command, sync, compaction and expire.",
  };
  reply_help(reply, "LATENCY", lines);
}

constexpr KeyRange no_keys{};
constexpr std::uint32_t operation = admin | dangerous | no_script | loading | stale;
constexpr std::string_view of_nodes =
    "nondeterministic_output request_policy:all_nodes response_policy:special";

constexpr std::array subcommand_rows{
    Command{
        "latency|doctor",
        2,
        operation,
        no_keys,
        latency_doctor,
        {"Returns a report on latency for humans.", "2.8.13", "server", "O(1)", "", "", of_nodes}},
    Command{"latency|graph",
            3,
            operation,
            no_keys,
            latency_graph,
            {"Returns the samples of an event as a graph.", "2.8.13", "server", "O(1)", "event", "",
             of_nodes}},
    Command{"latency|help",
            2,
            loading | stale,
            no_keys,
            latency_help,
            {"Lists the subcommands.", "2.8.13", "server", "O(1)", ""}},
    Command{"latency|histogram",
            -2,
            operation,
            no_keys,
            latency_histogram,
            {"Returns how long commands took.", "7.0.0", "server",
             "O(N) with N the number of commands", "[command [command ...]]", "", of_nodes}},
    Command{
        "latency|history",
        3,
        operation,
        no_keys,
        latency_history,
        {"Returns the samples of an event.", "2.8.13", "server", "O(1)", "event", "", of_nodes}},
    Command{
        "latency|latest",
        2,
        operation,
        no_keys,
        latency_latest,
        {"Returns the latest sample of each event.", "2.8.13", "server", "O(1)", "", "", of_nodes}},
    Command{"latency|reset",
            -2,
            operation,
            no_keys,
            latency_reset,
            {"Forgets the samples of events.", "2.8.13", "server", "O(1)", "[event [event ...]]",
             "", "request_policy:all_nodes response_policy:all_succeeded"}},
};

constexpr std::array rows{
    Command{"latency",
            -2,
            0,
            no_keys,
            nullptr,
            {"A container for commands about latency.", "2.8.13", "server",
             "Depends on subcommand.", ""},
            subcommand_rows},
};

}  // namespace

std::span<const Command> latency_commands() {
  return rows;
}

}  // namespace kvs::daemon
