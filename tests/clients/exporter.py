#!/usr/bin/python3
"""exporter.py - Debian's prometheus-redis-exporter scrapes the server with everything switched on.

No scrape may fail or log an error, and every figure that it finds in redis-server it finds here. Left
out are groups of keys (-check-key-groups), which it forms by a Lua script.
"""

import re
import shutil
import subprocess
import time
import urllib.request

import harness

# What must be found, whichever version of Redis there is to compare with.
EXPECTED = """
    allocator_active_bytes allocator_allocated_bytes allocator_frag_bytes allocator_frag_ratio
    allocator_resident_bytes allocator_rss_bytes allocator_rss_ratio aof_base_size_bytes
    aof_buffer_length aof_current_rewrite_duration_sec aof_current_size_bytes aof_delayed_fsync
    aof_enabled aof_last_bgrewrite_status aof_last_cow_size_bytes aof_last_rewrite_duration_sec
    aof_last_write_status aof_pending_bio_fsync aof_pending_rewrite aof_rewrite_in_progress
    aof_rewrite_scheduled blocked_clients client_recent_max_input_buffer_bytes
    client_recent_max_output_buffer_bytes cluster_enabled commands_duration_seconds_total
    commands_failed_calls_total commands_processed_total commands_rejected_calls_total
    commands_total config_maxclients config_maxmemory connected_clients connected_clients_details
    connected_slaves connections_received_total cpu_sys_children_seconds_total
    cpu_sys_seconds_total cpu_user_children_seconds_total cpu_user_seconds_total
    db_avg_ttl_seconds db_keys db_keys_expiring defrag_hits defrag_misses evicted_keys_total
    expired_keys_total expired_stale_percentage expired_time_cap_reached_total instance_info
    key_size key_value keys_count keyspace_hits_total keyspace_misses_total
    last_slow_execution_duration_seconds latency_spike_duration_seconds latency_spike_last
    latency_percentiles_usec latest_fork_seconds lazyfree_pending_objects loading_dump_file
    master_repl_offset mem_clients_normal mem_clients_slaves mem_fragmentation_bytes
    mem_fragmentation_ratio mem_not_counted_for_eviction_bytes memory_max_bytes memory_used_bytes
    memory_used_dataset_bytes memory_used_overhead_bytes memory_used_peak_bytes
    memory_used_rss_bytes memory_used_startup_bytes migrate_cached_sockets_total
    module_fork_in_progress module_fork_last_cow_size net_input_bytes_total net_output_bytes_total
    process_id pubsub_channels pubsub_patterns rdb_bgsave_in_progress rdb_changes_since_last_save
    rdb_current_bgsave_duration_sec rdb_last_bgsave_duration_sec rdb_last_bgsave_status
    rdb_last_cow_size_bytes rdb_last_save_timestamp_seconds rejected_connections_total
    repl_backlog_first_byte_offset repl_backlog_history_bytes repl_backlog_is_active
    replica_partial_resync_accepted replica_partial_resync_denied replica_resyncs_full
    replication_backlog_bytes second_repl_offset slave_expires_tracked_keys slowlog_last_id
    slowlog_length start_time_seconds total_error_replies total_system_memory_bytes
    tracking_clients unexpected_error_replies up uptime_in_seconds
""".split()


class Exporter:
    """One exporter of one server; scrape() is a dictionary: a figure with its labels -> its value."""

    def __init__(self, server, *options):
        self.port = harness.free_port()
        self.log_path = server.root / "exporter.log"
        with open(self.log_path, "wb") as log:
            self.process = harness.spawn(
                ["prometheus-redis-exporter", "-redis.addr", f"redis://127.0.0.1:{server.port}",
                 "-web.listen-address", f"127.0.0.1:{self.port}", "-include-config-metrics",
                 "-include-system-metrics", "-export-client-list", "-export-client-port",
                 "-ping-on-connect", *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def scrape(self):
        deadline = time.monotonic() + harness.patience(10)
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics",
                                            timeout=harness.patience(10)) as page:
                    text = page.read().decode()
                break
            except OSError:
                assert self.process.poll() is None and time.monotonic() < deadline, self.log()
                time.sleep(0.05)
        lines = (line for line in text.splitlines() if line.startswith("redis_"))
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}

    def log(self):
        return self.log_path.read_text()


def names(figures):
    return {name.split("{")[0].removeprefix("redis_") for name in figures}


class Scrape(harness.ServerTestCase):
    kvs_options = redis_options = ("--enable-debug-command", "local")
    keys_options = ("-check-keys", "db0=number:*", "-check-single-keys", "db0=word", "-count-keys",
                    "db0=number:*,db3=*")

    def prepare(self, server):
        """Something of everything that has figures; returns a connection that stays open."""
        connection = server.connect()
        for words in [("CLIENT", "SETNAME", "watched"), ("SET", "word", "text"),
                      ("SET", "brief", "x", "EX", "1000"), ("GET", "word"), ("GET", "missing"),
                      ("SELECT", "3"), ("SET", "other", "1"), ("SELECT", "0"),
                      ("CONFIG", "SET", "slowlog-log-slower-than", "1000"),
                      ("CONFIG", "SET", "latency-monitor-threshold", "1"), ("DEBUG", "SLEEP", "0.01")]:
            connection(*words)
        for number in range(100):
            connection("SET", f"number:{number}", number)
        for words in [("INCR", "word"), ("GET",)]:
            with self.assertRaises(harness.ReplyError):
                connection(*words)
        return connection

    def test_every_figure_is_found_and_no_error_is_met(self):
        with self.prepare(self.server), Exporter(self.server, *self.keys_options) as exporter:
            exporter.scrape()
            figures = exporter.scrape()
            log = exporter.log()
        self.assertNotRegex(log, r"level=(error|warn|fatal)")
        self.assertEqual(set(), set(EXPECTED) - names(figures))
        self.assertEqual(1, figures["redis_up"])
        self.assertEqual(0, figures["redis_target_scrape_request_errors_total"])
        self.assertEqual(0, figures['redis_exporter_last_scrape_error{err=""}'])

    def test_the_figures_are_right(self):
        with self.prepare(self.server) as connection:
            with Exporter(self.server, *self.keys_options) as exporter:
                figures = exporter.scrape()
                info = connection.info()
                for number in range(50):
                    connection("GET", f"number:{number}")
                later = exporter.scrape()
        self.assertEqual(102, figures['redis_db_keys{db="db0"}'])
        self.assertEqual(1, figures['redis_db_keys_expiring{db="db0"}'])
        self.assertEqual(1, figures['redis_db_keys{db="db3"}'])
        self.assertEqual(0, figures['redis_db_keys{db="db7"}'])
        self.assertEqual(100, figures['redis_keys_count{db="db0",key="number:*"}'])
        self.assertEqual(1, figures['redis_keys_count{db="db3",key="*"}'])
        self.assertEqual(42, figures['redis_key_value{db="db0",key="number:42"}'])
        self.assertEqual(2, figures['redis_key_size{db="db0",key="number:42"}'])
        self.assertEqual(4, figures['redis_key_size{db="db0",key="word"}'])
        self.assertEqual(10000, figures["redis_config_maxclients"])
        self.assertEqual(10000, figures['redis_config_value{key="maxclients"}'])
        self.assertEqual(1, figures['redis_config_key_value{key="appendonly",value="yes"}'])
        self.assertEqual(self.server.process.pid, figures["redis_process_id"])
        self.assertEqual(int(info["total_system_memory"]), figures["redis_total_system_memory_bytes"])
        self.assertGreaterEqual(figures["redis_slowlog_length"], 1)
        self.assertGreaterEqual(figures["redis_last_slow_execution_duration_seconds"], 0.01)
        self.assertGreaterEqual(figures['redis_commands_total{cmd="set"}'], 103)
        self.assertGreaterEqual(figures['redis_commands_failed_calls_total{cmd="incr"}'], 1)
        self.assertGreaterEqual(figures['redis_commands_rejected_calls_total{cmd="get"}'], 1)
        self.assertEqual(1, sum(1 for name in figures if name.startswith("redis_connected_clients_details")
                                and 'name="watched"' in name))
        self.assertEqual(1, sum(1 for name in figures if name.startswith("redis_instance_info")
                                and re.search(r'maxmemory_policy="noeviction".*redis_mode="standalone"'
                                              r'.*role="master"', name)))
        self.assertGreaterEqual(later['redis_commands_total{cmd="get"}']
                                - figures['redis_commands_total{cmd="get"}'], 50)
        self.assertGreaterEqual(later["redis_keyspace_hits_total"]
                                - figures["redis_keyspace_hits_total"], 50)
        for counter in ("commands_processed_total", "net_input_bytes_total", "net_output_bytes_total",
                        "total_reads_processed", "total_writes_processed"):
            self.assertGreater(later[f"redis_{counter}"], figures[f"redis_{counter}"], counter)

    def test_nothing_is_missing_that_redis_has(self):
        if not shutil.which("redis-server"):
            self.skipTest("redis-server is not installed")
        with harness.Server(path="/usr/bin/redis-server", redis_options=self.redis_options) as redis:
            found = []
            for server in (redis, self.server):
                with self.prepare(server), Exporter(server, *self.keys_options) as exporter:
                    exporter.scrape()
                    found.append(names(exporter.scrape()))
        self.assertEqual(set(), found[0] - found[1])


if __name__ == "__main__":
    harness.need_programs("prometheus-redis-exporter")
    harness.main(seconds=60)
