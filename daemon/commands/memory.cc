// memory.cc - MEMORY: what the server and single keys take.
#include <array>
#include <malloc.h>
#include <string>

#include "daemon/command_table.h"
#include "daemon/commands/arguments.h"
#include "daemon/commands/process_memory.h"
#include "daemon/context.h"
#include "daemon/metrics.h"
#include "daemon/settings.h"

namespace kvs::daemon {

namespace {

using resp::ReplyWriter;

// MEMORY USAGE key [SAMPLES count]: what key and value take while the value is in memory.
void memory_usage(Context& context, Args args, ReplyWriter& reply) {
  constexpr std::size_t overhead_bytes = 40;  // index entry and allocator, about
  for (std::size_t i = 3; i < args.size(); i += 2) {
    if (!is_word(args[i], "SAMPLES") || i + 1 == args.size()) {
      return reply.error(texts::syntax_error);
    }
    const auto samples = integer_argument(args[i + 1], reply);
    if (!samples) return;
    if (*samples < 0) return reply.error(texts::syntax_error);
  }
  const auto found = context.find(args[2], Lookup::unseen);
  if (!found) return reply_error(reply, found.error());
  if (!*found) return reply.null();
  reply.integer(static_cast<std::int64_t>((*found)->value_bytes + args[2].size() + overhead_bytes));
}

double ratio(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

// Redis' fields. What an allocator would say is said by the kernel's figures instead.
void memory_stats(Context& context, Args, ReplyWriter& reply) {
  const Services& services = context.services;
  const ProcessMemory memory = process_memory();
  const EngineStats engine = services.engine.stats();
  const std::uint64_t clients = services.metrics.client_buffer_bytes.load();
  const std::uint64_t overhead = engine.index_bytes + clients;
  std::uint64_t keys = 0;
  std::size_t databases = 0;
  for (unsigned database = 0; database < databases_count; ++database) {
    const std::uint64_t in_it = context.figures_of(static_cast<Database>(database)).keys;
    keys += in_it;
    databases += in_it != 0 ? 1 : 0;
  }
  const auto number = [&](std::string_view name, std::uint64_t value) {
    reply.bulk(name);
    reply.integer(static_cast<std::int64_t>(value));
  };
  const auto real = [&](std::string_view name, double value) {
    reply.bulk(name);
    reply.number(value);
  };
  reply.map(26 + databases);
  number("peak.allocated", memory.resident_peak);
  number("total.allocated", memory.anonymous);
  number("startup.allocated", 0);
  number("replication.backlog", 0);
  number("clients.slaves", 0);
  number("clients.normal", clients);
  number("cluster.links", 0);
  number("aof.buffer", 0);
  number("lua.caches", 0);
  number("functions.caches", 0);
  for (unsigned database = 0; database < databases_count; ++database) {
    const DatabaseStats stats = context.figures_of(static_cast<Database>(database));
    if (stats.keys == 0) continue;
    reply.bulk("db." + std::to_string(database));
    reply.map(2);
    number("overhead.hashtable.main", engine.index_bytes * stats.keys / keys);
    number("overhead.hashtable.expires", 0);
  }
  number("overhead.total", overhead);
  number("keys.count", keys);
  number("keys.bytes-per-key", keys == 0 ? 0 : engine.index_bytes / keys);
  number("dataset.bytes", engine.cache_bytes);
  real("dataset.percentage", 100 * ratio(engine.cache_bytes, memory.anonymous));
  real("peak.percentage", 100 * ratio(memory.resident, memory.resident_peak));
  number("allocator.allocated", memory.anonymous);
  number("allocator.active", memory.anonymous);
  number("allocator.resident", memory.resident);
  real("allocator-fragmentation.ratio", 1);
  number("allocator-fragmentation.bytes", 0);
  real("allocator-rss.ratio", ratio(memory.resident, memory.anonymous));
  number("allocator-rss.bytes", memory.resident - std::min(memory.resident, memory.anonymous));
  real("rss-overhead.ratio", 1);
  number("rss-overhead.bytes", 0);
  real("fragmentation", ratio(memory.resident, memory.anonymous));
}

void memory_doctor(Context& context, Args, ReplyWriter& reply) {
  const ProcessMemory memory = process_memory();
  const std::uint64_t machine = physical_memory_bytes();
  const std::uint64_t clients = context.services.metrics.client_buffer_bytes.load();
  std::string text;
  if (memory.resident > machine / 10 * 8) {
    text +=
        "The server holds more than 80 % of the machine's memory: lower cache-size, or give it "
        "more.\n";
  }
  if (clients > memory.anonymous / 2 && clients > (1u << 26)) {
    text +=
        "Buffers of clients take more than half of the memory: CLIENT LIST shows whose (obl, "
        "qbuf).\n";
  }
  if (memory.resident_peak > 3 * memory.resident / 2 && memory.resident_peak > (1u << 28)) {
    text += "At its peak the server held " + std::to_string(memory.resident_peak / 1048576) +
            " MiB, half more than now; that has been given back to the system.\n";
  }
  if (text.empty()) text = "Nothing about the memory of this server is out of the ordinary.\n";
  reply.verbatim(text);
}

// What glibc says of its heaps, as XML.
void memory_malloc_stats(Context&, Args, ReplyWriter& reply) {
  char* text = nullptr;
  std::size_t bytes = 0;
  FILE* const out = open_memstream(&text, &bytes);
  if (out == nullptr) return reply.error("ERR not enough memory for the statistics");
  malloc_info(0, out);
  std::fclose(out);
  reply.verbatim({text, bytes});
  std::free(text);
}

void memory_purge(Context&, Args, ReplyWriter& reply) {
  malloc_trim(0);
  reply.ok();
}

void memory_help(Context&, Args, ReplyWriter& reply) {
  constexpr std::array<std::string_view, 11> lines = {
      "DOCTOR",
      "    Return what is out of the ordinary about the memory, for humans.",
      "MALLOC-STATS",
      "    Return the allocator's own statistics.",
      "PURGE",
      "    Give memory that the allocator keeps back to the system.",
      "STATS",
      "    Return what the server's memory is used for.",
      "USAGE <key> [SAMPLES <count>]",
      "    Return memory in bytes used by <key> and its value. Values are plain strings, so",
      "    <count> makes no difference.",
  };
  reply_help(reply, "MEMORY", lines);
}

constexpr KeyRange no_keys{};
constexpr KeyRange usage_key{2, 2, 1};
constexpr std::string_view of_nodes =
    "nondeterministic_output request_policy:all_shards response_policy:special";

constexpr std::array subcommand_rows{
    Command{
        "memory|doctor",
        2,
        0,
        no_keys,
        memory_doctor,
        {"Returns a report on memory for humans.", "4.0.0", "server", "O(1)", "", "", of_nodes}},
    Command{"memory|help",
            2,
            loading | stale,
            no_keys,
            memory_help,
            {"Lists the subcommands.", "4.0.0", "server", "O(1)", ""}},
    Command{"memory|malloc-stats",
            2,
            0,
            no_keys,
            memory_malloc_stats,
            {"Returns the statistics of the allocator.", "4.0.0", "server",
             "Depends on how much memory is allocated.", "", "", of_nodes}},
    // It walks the heaps: not on a loop.
    Command{"memory|purge",
            2,
            slow,
            no_keys,
            memory_purge,
            {"Gives unused memory back to the system.", "4.0.0", "server",
             "Depends on how much memory is allocated.", "", "",
             "request_policy:all_shards response_policy:all_succeeded"}},
    Command{"memory|stats",
            2,
            0,
            no_keys,
            memory_stats,
            {"Returns what memory is used for.", "4.0.0", "server", "O(1)", "", "", of_nodes}},
    Command{"memory|usage",
            -3,
            reads,
            usage_key,
            memory_usage,
            {"Estimates the memory that a key and its value take.", "4.0.0", "server", "O(1)",
             "key [SAMPLES count]", "RO"}},
};

constexpr std::array rows{
    Command{
        "memory",
        -2,
        0,
        no_keys,
        nullptr,
        {"A container for commands about memory.", "4.0.0", "server", "Depends on subcommand.", ""},
        subcommand_rows},
};

}  // namespace

std::span<const Command> memory_commands() {
  return rows;
}

}  // namespace kvs::daemon
