// info.cc - INFO.
//
// Fields have the names that Redis gave them, since monitoring looks for those; what Redis counts
// and kvs has nothing of (forks, evictions, replication) is given as the constant it always is
// here. "aof" speaks of the log, and a rewrite of the log is its compaction. Figures of our own
// begin with "kvs_".
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <set>
#include <string>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "daemon/backups.h"
#include "daemon/client_registry.h"
#include "daemon/commands/amplification.h"
#include "daemon/commands/arguments.h"
#include "daemon/commands/process_memory.h"
#include "daemon/commands/server_handlers.h"
#include "daemon/commands/version.h"
#include "daemon/config.h"
#include "daemon/durability.h"
#include "daemon/log.h"
#include "daemon/memory_limit.h"
#include "daemon/metrics.h"
#include "daemon/operations.h"
#include "daemon/settings.h"
#include "daemon/watches.h"

namespace kvs::daemon {

namespace {

using resp::ReplyWriter;

std::string human(std::uint64_t bytes) {
  constexpr std::array<char, 4> units = {'K', 'M', 'G', 'T'};
  if (bytes < 1024) return std::to_string(bytes) + "B";
  double amount = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (amount >= 1024 && unit + 1 < units.size()) {
    amount /= 1024;
    ++unit;
  }
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%.2f%c", amount, units[unit]);
  return text.data();
}

std::string fixed(double value, int digits) {
  std::array<char, 64> text;
  std::snprintf(text.data(), text.size(), "%.*f", digits, value);
  return text.data();
}

std::string percent(std::uint64_t part, std::uint64_t whole) {
  return fixed(whole == 0 ? 0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole), 2) +
         "%";
}

class Report {
 public:
  void section(std::string_view title) {
    if (!text_.empty()) text_ += "\r\n";
    text_.append("# ").append(title).append("\r\n");
  }
  void field(std::string_view name, std::string_view value) {
    text_.append(name).append(":").append(value).append("\r\n");
  }
  template <class Number>
  requires std::is_arithmetic_v<Number>
  void field(std::string_view name, Number value) {
    field(name, std::string_view(std::to_string(value)));
  }
  void bytes(const std::string& name, std::uint64_t value) {
    field(name, value);
    field(name + "_human", human(value));
  }
  const std::string& text() const noexcept { return text_; }

 private:
  std::string text_;
};

void report_server(Context& context, Report& report) {
  const Services& services = context.services;
  report.section("Server");
  report.field("redis_version", redis_version);
  report.field("kvs_version", kvs_version);
  report.field("kvs_engine", services.engine.stats().engine);
  report.field("redis_git_sha1", "00000000");
  report.field("redis_git_dirty", 0);
  report.field("redis_build_id", "0");
  report.field("redis_mode", "standalone");
  utsname system{};
  uname(&system);
  report.field("os", std::string(system.sysname) + " " + system.release + " " + system.machine);
  report.field("arch_bits", 8 * sizeof(void*));
  report.field("multiplexing_api", "epoll");
  report.field("process_id", getpid());
  report.field("process_supervised", getenv("NOTIFY_SOCKET") != nullptr ? "systemd" : "no");
  report.field("run_id", services.metrics.run_id());
  const Config& config = services.config;
  report.field("tcp_port", has_plain_port(config) ? config.addr.port : config.tls_port);
  int listeners = 0;
  const auto listener = [&](const std::string& what) {
    report.field("listener" + std::to_string(listeners++), what);
  };
  const auto on_port = [&](const std::string& name, unsigned port) {
    listener("name=" + name + ",bind=" + config.addr.host + ",port=" + std::to_string(port));
  };
  if (has_plain_port(config)) on_port("tcp", config.addr.port);
  if (!config.unixsocket.empty()) listener("name=unix,bind=" + config.unixsocket.string());
  if (config.tls_port != 0) on_port("tls", config.tls_port);
  report.field("server_time_usec", std::chrono::duration_cast<std::chrono::microseconds>(
                                       std::chrono::system_clock::now().time_since_epoch())
                                       .count());
  const auto uptime = std::chrono::duration_cast<std::chrono::seconds>(
      std::chrono::steady_clock::now() - services.metrics.started_at());
  report.field("uptime_in_seconds", uptime.count());
  report.field("uptime_in_days", uptime.count() / 86400);
  report.field("hz", 10);
  report.field("configured_hz", 10);
  std::array<char, 4096> path;
  const ssize_t path_bytes = readlink("/proc/self/exe", path.data(), path.size());
  report.field("executable",
               path_bytes > 0 ? std::string_view(path.data(), static_cast<std::size_t>(path_bytes))
                              : std::string_view());
  report.field("config_file", services.config.config_file.string());
  report.field("io_threads_active", 0);
}

void report_clients(Context& context, Report& report) {
  const Services& services = context.services;
  const auto clients = services.clients.list();
  std::size_t watching = 0;
  std::uint64_t input_max = 0;
  std::uint64_t output_max = 0;
  std::size_t subscribed = 0;
  for (const auto& client : clients) {
    if (std::any_of(std::begin(client->subscriptions), std::end(client->subscriptions),
                    [](const auto& count) { return count.load() != 0; })) {
      ++subscribed;
    }
    if (client->watched.load(std::memory_order_relaxed) != 0) ++watching;
    input_max = std::max(input_max, client->input_bytes.load(std::memory_order_relaxed));
    output_max = std::max(output_max, client->output_bytes.load(std::memory_order_relaxed));
  }
  report.section("Clients");
  report.field("connected_clients", clients.size());
  report.field("cluster_connections", 0);
  report.field("maxclients", services.settings.maxclients.load());
  report.field("client_recent_max_input_buffer", input_max);
  report.field("client_recent_max_output_buffer", output_max);
  report.field("blocked_clients", 0);
  report.field("tracking_clients", services.operations.tracking.figures().clients);
  report.field("pubsub_clients", subscribed);
  report.field("watching_clients", watching);
  report.field("clients_in_timeout_table", 0);
  report.field("total_watched_keys", services.watches.count());
  report.field("total_blocking_keys", 0);
  report.field("kvs_connected_clients_peak", services.metrics.connected_clients_peak.load());
}

void report_memory(Context& context, Report& report) {
  const Services& services = context.services;
  const EngineStats stats = services.engine.stats();
  const ProcessMemory memory = process_memory();
  const std::uint64_t client_bytes = services.metrics.client_buffer_bytes.load();
  const std::uint64_t overhead = stats.index_bytes + client_bytes;
  const std::uint64_t dataset = stats.cache_bytes;
  report.section("Memory");
  report.bytes("used_memory", memory.anonymous);
  report.bytes("used_memory_rss", memory.resident);
  report.bytes("used_memory_peak", memory.resident_peak);
  report.field("used_memory_peak_perc", percent(memory.resident, memory.resident_peak));
  report.field("used_memory_overhead", overhead);
  report.field("used_memory_startup", 0);
  report.field("used_memory_dataset", dataset);
  report.field("used_memory_dataset_perc", percent(dataset, memory.anonymous));
  // The kernel's figures, as everywhere here; the allocator is not asked.
  const std::uint64_t beside_heap = memory.resident - std::min(memory.resident, memory.anonymous);
  const std::string resident_ratio =
      fixed(memory.anonymous == 0
                ? 0
                : static_cast<double>(memory.resident) / static_cast<double>(memory.anonymous),
            2);
  report.field("allocator_allocated", memory.anonymous);
  report.field("allocator_active", memory.anonymous);
  report.field("allocator_resident", memory.resident);
  report.bytes("total_system_memory", physical_memory_bytes());
  report.bytes("used_memory_lua", 0);
  report.bytes("used_memory_scripts", 0);
  report.field("number_of_cached_scripts", 0);
  report.bytes("maxmemory", services.settings.maxmemory.load());
  report.field("maxmemory_policy", "noeviction");
  report.field("allocator_frag_ratio", "1.00");
  report.field("allocator_frag_bytes", 0);
  report.field("allocator_rss_ratio", resident_ratio);
  report.field("allocator_rss_bytes", beside_heap);
  report.field("rss_overhead_ratio", "1.00");
  report.field("rss_overhead_bytes", 0);
  report.field("mem_fragmentation_ratio", resident_ratio);
  report.field("mem_fragmentation_bytes", beside_heap);
  report.field("mem_not_counted_for_evict", 0);
  report.field("mem_replication_backlog", 0);
  report.field("mem_clients_slaves", 0);
  report.field("mem_clients_normal", client_bytes);
  report.field("mem_aof_buffer", 0);
  report.field("active_defrag_running", 0);
  report.field("lazyfree_pending_objects", 0);
  report.field("lazyfreed_objects", 0);
  report.field("kvs_index_bytes", stats.index_bytes);
  report.field("kvs_cache_bytes", stats.cache_bytes);
  report.field("kvs_maxmemory_counted_bytes", counted_memory_bytes(services));
  report.field("kvs_maxmemory_clients", services.settings.maxmemory_clients.load());
}

void report_scrub(const ScrubStats& scrub, Report& report) {
  report.field("scrub_running", scrub.running ? 1 : 0);
  report.field("scrub_progress_perc", percent(scrub.pass_bytes, scrub.pass_bytes_total));
  report.field("scrub_last_completed", scrub.last_completed / 1000);
  report.field("scrub_passes", scrub.passes);
  report.field("scrub_bytes", scrub.bytes);
  report.field("scrub_errors", scrub.errors);
  report.field("scrub_damaged_places", scrub.damaged_places);
  report.field("scrub_damaged_segments", scrub.damaged_segments);
}

void report_persistence(Context& context, Report& report) {
  const Engine& engine = context.services.engine;
  const EngineStats stats = engine.stats();
  // Read in this order, so that the difference is never negative.
  const Position synced = engine.synced();
  const Position committed = engine.committed();
  const std::string_view status = stats.read_only ? "err" : "ok";
  const auto started_at = std::chrono::duration_cast<std::chrono::seconds>(
      context.services.metrics.started_at_wall_clock().time_since_epoch());
  report.section("Persistence");
  const LoadStatus& load = context.services.load_status;
  const bool loading_now = load.loading();
  report.field("loading", loading_now ? 1 : 0);
  report.field("async_loading", 0);
  if (loading_now) {
    report.field("loading_start_time", load.began_at_ms() / 1000);
    report.field("loading_total_bytes", load.bytes_total());
    report.field("loading_loaded_bytes", load.bytes_done());
    report.field("loading_loaded_perc", fixed(load.percent(), 2));
    report.field("loading_eta_seconds", load.seconds_left());
    report.field("kvs_loading_keys", load.keys());
  }
  report.field("current_cow_size", 0);
  report.field("rdb_changes_since_last_save", committed - std::min(committed, synced));
  Backups::Status backup;
  if (context.services.backups != nullptr) backup = context.services.backups->status();
  report.field("rdb_bgsave_in_progress", backup.running ? 1 : 0);
  report.field("rdb_last_save_time",
               backup.completed > 0 ? backup.last_completed_unix_seconds : started_at.count());
  report.field("rdb_last_bgsave_status", backup.last_ok ? "ok" : "err");
  report.field("rdb_last_bgsave_time_sec", backup.last_took_seconds);
  report.field("rdb_current_bgsave_time_sec", backup.current_seconds);
  report.field("rdb_saves", backup.completed);
  report.field("rdb_last_cow_size", 0);
  report.field("rdb_last_load_keys_expired", 0);
  report.field("rdb_last_load_keys_loaded", stats.recovered_records);
  report.field("aof_enabled", 1);
  report.field("aof_rewrite_in_progress", stats.compaction_running ? 1 : 0);
  report.field("aof_rewrite_scheduled", 0);
  report.field("aof_last_rewrite_time_sec", -1);
  report.field("aof_current_rewrite_time_sec", -1);
  report.field("aof_last_bgrewrite_status", "ok");
  report.field("aof_rewrites", stats.compactions);
  report.field("aof_last_write_status", status);
  report.field("aof_last_cow_size", 0);
  report.field("module_fork_in_progress", 0);
  report.field("module_fork_last_cow_size", 0);
  report.field("aof_current_size", stats.disk_bytes);
  report.field("aof_base_size", stats.live_bytes);
  report.field("aof_pending_rewrite", 0);
  report.field("aof_buffer_length", 0);
  report.field("aof_pending_bio_fsync", committed > synced ? 1 : 0);
  report.field("aof_delayed_fsync", 0);
  report.field("kvs_read_only", stats.read_only ? 1 : 0);
  if (stats.read_only) report.field("kvs_read_only_reason", stats.read_only_reason);
  report.field("kvs_committed_position", committed);
  report.field("kvs_synced_position", synced);
  report.field("kvs_sync_waiting_clients", context.services.sync_turn.waiting());
  report.field("kvs_disk_bytes", stats.disk_bytes);
  report.field("kvs_live_bytes", stats.live_bytes);
  report.field("kvs_dead_bytes", stats.dead_bytes);
  report.field("kvs_segments", stats.segments);
  report.field("kvs_compactions", stats.compactions);
  report.field("kvs_compacted_bytes", stats.compacted_bytes);
  report.field("kvs_compaction_running", stats.compaction_running ? 1 : 0);
  report.field("kvs_compaction_paused", stats.compaction_paused ? 1 : 0);
  report.field("kvs_compaction_debt_bytes", stats.compaction_debt_bytes);
  report.field("kvs_compaction_bytes_per_second", stats.compaction_rate_bytes);
  report.field("kvs_compaction_rate_limit", stats.compaction_rate_limit_bytes);
  report.field("kvs_tombstone_bytes", stats.tombstone_bytes);
  report.field("kvs_space_allowed_bytes", stats.space_allowed_bytes);
  report.field("kvs_space_amplification", fixed(space_amplification(stats), 3));
  report.field("kvs_write_amplification", fixed(write_amplification(stats), 3));
  report.field("kvs_writer_delays", stats.writer_delays);
  report.field("kvs_writer_delay_us", stats.writer_delay_us);
  report.field("kvs_reserve_bytes", stats.reserve_bytes);
  report.field("kvs_disk_full", stats.disk_full ? 1 : 0);
  report.field("kvs_written_bytes", stats.written_bytes);
  report.field("kvs_syncs", stats.syncs);
  report.field("kvs_sync_failures", stats.sync_failures);
  report.field("kvs_corrupt_reads", stats.corrupt_reads);
  report.field("kvs_read_errors", stats.read_errors);
  report_scrub(stats.scrub, report);
  if (backup.completed > 0) {
    report.field("kvs_last_backup_name", backup.last_name);
    report.field("kvs_last_backup_position", backup.last.position);
    report.field("kvs_last_backup_bytes", backup.last.bytes);
    report.field("kvs_last_backup_new_bytes", backup.last.new_bytes);
  }
  if (!backup.last_ok) report.field("kvs_last_backup_error", escaped(backup.last_error));
  report.field("kvs_torn_bytes_cut", stats.torn_bytes_cut);
  report.field("kvs_recovery_seconds", fixed(stats.recovery_seconds, 3));
  report.field("kvs_recovery_hints_used", stats.hints_used);
  report.field("kvs_recovery_hints_bad", stats.hints_bad);
  report.field("kvs_hint_bytes", stats.hint_bytes);
}

void report_stats(Context& context, Report& report) {
  const Metrics& metrics = context.services.metrics;
  const EngineStats stats = context.services.engine.stats();
  report.section("Stats");
  report.field("total_connections_received", metrics.sum(&WorkerMetrics::connections_accepted));
  report.field("total_commands_processed", metrics.sum(&WorkerMetrics::commands));
  report.field("instantaneous_ops_per_sec", metrics.operations_per_second());
  const auto kilobytes = [](std::uint64_t bytes) {
    return fixed(static_cast<double>(bytes) / 1024, 2);
  };
  report.field("instantaneous_input_kbps", kilobytes(metrics.input_bytes_per_second()));
  report.field("instantaneous_output_kbps", kilobytes(metrics.output_bytes_per_second()));
  report.field("total_net_input_bytes", metrics.sum(&WorkerMetrics::net_input_bytes));
  report.field("total_net_output_bytes", metrics.sum(&WorkerMetrics::net_output_bytes));
  report.field("rejected_connections", metrics.sum(&WorkerMetrics::connections_rejected));
  report.field("sync_full", 0);
  report.field("sync_partial_ok", 0);
  report.field("sync_partial_err", 0);
  report.field("expired_keys", stats.expired_keys);
  report.field("expired_stale_perc", "0.00");
  report.field("expired_time_cap_reached_count", 0);
  report.field("expire_cycle_cpu_milliseconds", 0);
  report.field("evicted_keys", 0);
  report.field("evicted_clients", metrics.sum(&WorkerMetrics::output_limit_closed));
  report.field("keyspace_hits", metrics.sum(&WorkerMetrics::keyspace_hits));
  report.field("keyspace_misses", metrics.sum(&WorkerMetrics::keyspace_misses));
  report.field("pubsub_channels", context.services.pubsub.count(Subscription::channel));
  report.field("pubsub_patterns", context.services.pubsub.count(Subscription::pattern));
  report.field("pubsubshard_channels", context.services.pubsub.count(Subscription::shard));
  report.field("latest_fork_usec", 0);
  report.field("total_forks", 0);
  report.field("migrate_cached_sockets", 0);
  report.field("slave_expires_tracked_keys", 0);
  report.field("active_defrag_hits", 0);
  report.field("active_defrag_misses", 0);
  report.field("active_defrag_key_hits", 0);
  report.field("active_defrag_key_misses", 0);
  const Tracking::Figures tracked = context.services.operations.tracking.figures();
  report.field("tracking_total_keys", tracked.keys);
  report.field("tracking_total_items", tracked.items);
  report.field("tracking_total_prefixes", tracked.prefixes);
  report.field("unexpected_error_replies", 0);
  report.field("total_error_replies", metrics.sum(&WorkerMetrics::error_replies));
  report.field("dump_payload_sanitizations", 0);
  report.field("total_reads_processed", metrics.sum(&WorkerMetrics::net_reads));
  report.field("total_writes_processed", metrics.sum(&WorkerMetrics::net_writes));
  report.field("io_threaded_reads_processed", 0);
  report.field("io_threaded_writes_processed", 0);
  report.field("acl_access_denied_auth", metrics.sum(&WorkerMetrics::auth_failures));
  report.field("client_query_buffer_limit_disconnections",
               metrics.sum(&WorkerMetrics::query_limit_closed));
  report.field("client_output_buffer_limit_disconnections",
               metrics.sum(&WorkerMetrics::output_limit_closed));
  report.field("kvs_timeout_disconnections", metrics.sum(&WorkerMetrics::timeouts_closed));
  report.field("kvs_batches", metrics.sum(&WorkerMetrics::batches));
  report.field("kvs_batched_requests", metrics.sum(&WorkerMetrics::batched_requests));
  report.field("kvs_disk_reads", stats.disk_reads);
  report.field("kvs_cold_reads", metrics.sum(&WorkerMetrics::cold_reads));
  report.field("kvs_cold_read_method", metrics.all_have_rings() ? "io_uring" : "pool");
  report.field("kvs_cache_hits", stats.cache_hits);
}

void report_replication(Context& context, Report& report) {
  report.section("Replication");
  report.field("role", "master");
  report.field("connected_slaves", 0);
  report.field("master_failover_state", "no-failover");
  report.field("master_replid", context.services.metrics.run_id());
  report.field("master_replid2", std::string(40, '0'));
  report.field("master_repl_offset", 0);
  report.field("second_repl_offset", -1);
  report.field("repl_backlog_active", 0);
  report.field("repl_backlog_size", 0);
  report.field("repl_backlog_first_byte_offset", 0);
  report.field("repl_backlog_histlen", 0);
}

void report_cpu(Context& context, Report& report) {
  const auto seconds = [](const timeval& time) {
    return fixed(static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6, 6);
  };
  rusage own{};
  rusage children{};
  getrusage(RUSAGE_SELF, &own);
  getrusage(RUSAGE_CHILDREN, &children);
  report.section("CPU");
  report.field("used_cpu_sys", seconds(own.ru_stime));
  report.field("used_cpu_user", seconds(own.ru_utime));
  report.field("used_cpu_sys_children", seconds(children.ru_stime));
  report.field("used_cpu_user_children", seconds(children.ru_utime));
  // The threads that serve clients are others.
  const Metrics& metrics = context.services.metrics;
  const auto from_microseconds = [](std::uint64_t microseconds) {
    return fixed(static_cast<double>(microseconds) / 1e6, 6);
  };
  report.field("used_cpu_sys_main_thread", from_microseconds(metrics.main_thread_system_us()));
  report.field("used_cpu_user_main_thread", from_microseconds(metrics.main_thread_user_us()));
}

void report_cluster(Context&, Report& report) {
  report.section("Cluster");
  report.field("cluster_enabled", 0);
}

void report_keyspace(Context& context, Report& report) {
  report.section("Keyspace");
  for (unsigned database = 0; database < databases_count; ++database) {
    const DatabaseStats stats = context.figures_of(static_cast<Database>(database));
    if (stats.keys == 0) continue;
    report.field("db" + std::to_string(database),
                 "keys=" + std::to_string(stats.keys) +
                     ",expires=" + std::to_string(stats.volatiles) + ",avg_ttl=0");
  }
}

template <const char* title>
void report_nothing(Context&, Report& report) {
  report.section(title);
}
constexpr char modules_title[] = "Modules";

// Calls `use(command, figures)` for every command and subcommand that somebody has tried.
template <class Use>
void for_each_tried(Context& context, Use&& use) {
  const auto one = [&](const Command& command) {
    const CommandFigures figures = context.services.metrics.figures_of(command);
    if (figures.calls() + figures.rejected != 0) use(command, figures);
  };
  for (const Command* command : context.services.commands.all()) {
    one(*command);
    for (const Command& subcommand : command->subcommands) one(subcommand);
  }
}

void report_commandstats(Context& context, Report& report) {
  report.section("Commandstats");
  for_each_tried(context, [&](const Command& command, const CommandFigures& figures) {
    const std::uint64_t calls = figures.calls();
    const double microseconds = static_cast<double>(figures.nanoseconds) / 1000;
    report.field("cmdstat_" + std::string(command.name),
                 "calls=" + std::to_string(calls) +
                     ",usec=" + std::to_string(figures.nanoseconds / 1000) + ",usec_per_call=" +
                     fixed(calls == 0 ? 0 : microseconds / static_cast<double>(calls), 2) +
                     ",rejected_calls=" + std::to_string(figures.rejected) +
                     ",failed_calls=" + std::to_string(figures.failed));
  });
}

void report_errorstats(Context& context, Report& report) {
  report.section("Errorstats");
  for (const auto& [word, count] : context.services.metrics.errors()) {
    report.field("errorstat_" + word, "count=" + std::to_string(count));
  }
}

void report_latencystats(Context& context, Report& report) {
  report.section("Latencystats");
  if (!context.services.settings.latency_tracking.load()) return;
  for_each_tried(context, [&](const Command& command, const CommandFigures& figures) {
    if (figures.calls() == 0) return;
    const auto at = [&](double percent) {
      return fixed(static_cast<double>(figures.percentile(percent)) / 1000, 3);
    };
    report.field("latency_percentiles_usec_" + std::string(command.name),
                 "p50=" + at(50) + ",p99=" + at(99) + ",p99.9=" + at(99.9));
  });
}

enum class In : std::uint8_t { standard, all };  // the smallest set that has it

struct Section {
  std::string_view name;
  In in;
  void (*write)(Context& context, Report& report);
};

constexpr std::array<Section, 13> sections = {{
    {"server", In::standard, report_server},
    {"clients", In::standard, report_clients},
    {"memory", In::standard, report_memory},
    {"persistence", In::standard, report_persistence},
    {"stats", In::standard, report_stats},
    {"replication", In::standard, report_replication},
    {"cpu", In::standard, report_cpu},
    {"modules", In::standard, report_nothing<modules_title>},
    {"commandstats", In::all, report_commandstats},
    {"errorstats", In::standard, report_errorstats},
    {"latencystats", In::all, report_latencystats},
    {"cluster", In::standard, report_cluster},
    {"keyspace", In::standard, report_keyspace},
}};

}  // namespace

// INFO [section ...]: sections by name, or default, all, everything. Unknown ones are left out.
void info_command(Context& context, Args args, ReplyWriter& reply) {
  std::set<std::string> wanted;
  for (const std::string_view word : args.subspan(1)) wanted.insert(lower_case(word));
  const auto asked = [&wanted](const char* name) { return wanted.count(name) != 0; };
  const bool all = asked("all") || asked("everything");
  const bool standard = wanted.empty() || asked("default") || all;

  Report report;
  for (const Section& section : sections) {
    if (wanted.count(std::string(section.name)) != 0 || (section.in == In::standard && standard) ||
        (section.in == In::all && all)) {
      section.write(context, report);
    }
  }
  reply.verbatim(report.text());
}

}  // namespace kvs::daemon
