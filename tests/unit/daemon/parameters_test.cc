// parameters_test.cc - CONFIG and INFO as wholes.
#include <fstream>
#include <sstream>
#include <string>

#include <doctest/doctest.h>

#include "tests/unit/daemon/harness.h"

namespace kvs::daemon::test {

TEST_CASE("CONFIG GET answers every parameter that tools ask for") {
  TestServer server;
  TestClient client(server);
  for (const char* name :
       {"save", "appendonly", "appendfsync", "databases", "maxmemory", "maxmemory-policy",
        "maxclients", "timeout", "port", "bind", "dir", "notify-keyspace-events",
        "proto-max-bulk-len", "slowlog-log-slower-than", "slowlog-max-len", "latency-tracking"}) {
    CAPTURE(name);
    const std::string reply = client("CONFIG GET " + std::string(name));
    CHECK(reply.starts_with("*2 $"));
    CHECK(reply.find(" " + std::string(name) + " ") != std::string::npos);
  }
  CHECK(client("CONFIG GET port bind") == "*4 $4 bind $9 127.0.0.1 $4 port $4 4000");
  CHECK(client("CONFIG GET save save sav?") == "*2 $4 save $0 ");
  CHECK(client("CONFIG GET *").find("requirepass") != std::string::npos);
}

TEST_CASE("CONFIG SET reaches the settings, all of them or none") {
  TestServer server;
  TestClient client(server);
  CHECK(client("CONFIG SET maxclients 5 timeout 6 appendfsync always protected-mode no "
               "proto-max-bulk-len 1mb client-query-buffer-limit 2mb request-timeout 9 "
               "maxmemory-clients 3mb") == "+OK");
  CHECK(server.settings.maxclients.load() == 5);
  CHECK(server.settings.timeout_seconds.load() == 6);
  CHECK(server.settings.sync.load() == SyncPolicy::always);
  CHECK_FALSE(server.settings.protected_mode.load());
  CHECK(server.settings.proto_max_bulk_len.load() == 1 << 20);
  CHECK(server.settings.client_query_buffer_limit.load() == 2 << 20);
  CHECK(server.settings.request_timeout_seconds.load() == 9);
  CHECK(server.settings.maxmemory_clients.load() == 3 << 20);
  CHECK(client("CONFIG SET client-output-buffer-limit 'normal 10mb 1mb 7 pubsub 0 0 0'") == "+OK");
  CHECK(server.settings.client_output_buffer_hard.load() == 10 << 20);
  CHECK(server.settings.client_output_buffer_soft.load() == 1 << 20);
  CHECK(server.settings.client_output_buffer_soft_seconds.load() == 7);
  CHECK(client("CONFIG GET client-output-buffer-limit") ==
        "*2 $26 client-output-buffer-limit $50 normal 10485760 1048576 7 slave 0 0 0 pubsub 0 0 0");
  CHECK(client("CONFIG SET client-output-buffer-limit 'pubsub 1 1 1'").starts_with("-ERR CONFIG"));

  CHECK(client("CONFIG SET maxclients 50 timeout x").starts_with("-ERR CONFIG SET failed"));
  CHECK(client("CONFIG SET maxclients 50 nosuch x").starts_with("-ERR Unknown option"));
  CHECK(client("CONFIG SET maxclients 50 dir /").ends_with("- can't set immutable config"));
  CHECK(client("CONFIG SET maxclients 50 maxmemory -1").starts_with("-ERR CONFIG SET failed"));
  CHECK(server.settings.maxclients.load() == 5);

  CHECK(client("CONFIG SET maxmemory-clients 0") == "+OK");
  CHECK(server.settings.maxmemory_clients.load() > 3 << 20);
  CHECK(client("CONFIG SET maxmemory-clients 1%") == "+OK");
  CHECK(server.settings.maxmemory_clients.load() == physical_memory_bytes() / 100);
  CHECK(client("CONFIG SET maxmemory-clients 99999999999999999999gb").starts_with("-ERR CONFIG"));
}

TEST_CASE("CONFIG knows the parameters of TLS, which fit together or change nothing") {
  TestServer server;  // without a tls-port they are only remembered, as in Redis
  TestClient client(server);
  CHECK(client("CONFIG GET tls-auth-clients tls-port tls-cert-file") ==
        "*6 $8 tls-port $1 0 $16 tls-auth-clients $3 yes $13 tls-cert-file $0 ");
  CHECK(client("CONFIG SET tls-auth-clients OPTIONAL tls-cert-file '' tls-protocols 'TLSv1.2 "
               "TLSv1.3' tls-session-cache-size 5 tls-session-caching no maxclients 9") == "+OK");
  const tls::ServerOptions options = server.settings.tls.options();
  CHECK(options.clients == tls::ServerOptions::Clients::optional);
  CHECK(options.protocols == "TLSv1.2 TLSv1.3");
  CHECK(options.session_cache_size == 5);
  CHECK_FALSE(options.session_caching);
  CHECK(server.settings.maxclients.load() == 9);
  CHECK(client("CONFIG GET tls-session-cach*") ==
        "*6 $22 tls-session-cache-size $1 5 $25 tls-session-cache-timeout $3 300 "
        "$19 tls-session-caching $2 no");
  for (const char* name :
       {"tls-cert-file", "tls-key-file", "tls-ca-cert-file", "tls-ca-cert-dir"}) {
    CHECK(client(std::string("CONFIG SET ") + name + " /etc/passwd")
              .ends_with("- can't set immutable config"));
  }
  CHECK(client("CONFIG SET tls-auth-clients maybe") ==
        "-ERR CONFIG SET failed (possibly related to argument 'tls-auth-clients') - argument(s) "
        "must be one of the following: no, yes, optional");
  CHECK(client("CONFIG SET tls-prefer-server-ciphers 1").ends_with("must be 'yes' or 'no'"));
  CHECK(server.settings.tls.options().files.key_file.empty());
  CHECK(client("CONFIG SET tls-port 1").ends_with("- can't set immutable config"));
  CHECK(client("CONFIG SET tls-cluster no") == "+OK");
}

TEST_CASE(
    "CONFIG SET of TLS files that cannot be used is an error, and the rest of it is not done") {
  Config config;
  config.tls_port = 1;
  config.tls.files.certificate_file = "/no/such";
  TestServer server(config);
  TestClient client(server);
  CHECK(client("CONFIG SET maxclients 9 tls-auth-clients no tls-cert-file /no/such") ==
        "-ERR CONFIG SET failed (possibly related to argument 'tls-cert-file') - Unable to update "
        "TLS configuration. Check server logs.");
  CHECK(server.settings.maxclients.load() == config.maxclients);
  CHECK(server.settings.tls.options().clients == tls::ServerOptions::Clients::yes);
}

TEST_CASE("a smaller proto-max-bulk-len bounds what APPEND and SETRANGE make") {
  TestServer server;
  TestClient client(server);
  client("CONFIG SET proto-max-bulk-len 1mb");
  const std::string error = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)";
  CHECK(client("SETRANGE a 1048575 x") == ":1048576");
  CHECK(client("APPEND a x") == error);
  CHECK(client("SETRANGE a 1048576 x") == error);
  CHECK(client("STRLEN a") == ":1048576");
}

TEST_CASE("a password set by CONFIG SET asks new connections and keeps old ones") {
  TestServer server;
  TestClient old(server);
  CHECK(old("CONFIG SET requirepass secret") == "+OK");
  CHECK(old("PING") == "+PONG");
  CHECK(TestClient(server)("PING") == "-NOAUTH Authentication required.");
  CHECK(old("CONFIG GET requirepass") == "*2 $11 requirepass $6 secret");
}

TEST_CASE("CONFIG REWRITE needs a file that it can read") {
  Config config;
  config.config_file = "/nonexistent/kvs.conf";
  TestServer server(config);
  TestClient client(server);
  CHECK(client("CONFIG REWRITE").starts_with("-ERR Rewriting config file: cannot read"));
}

TEST_CASE("CONFIG REWRITE replaces the file") {
  const kvs::test::TempDir folder;
  Config config;
  config.config_file = folder.path() / "kvs.conf";
  std::ofstream(config.config_file) << "# mine\nmaxclients 9\n";
  TestServer server(config);
  TestClient client(server);
  client("CONFIG SET maxclients 12 timeout 77");
  CHECK(client("CONFIG REWRITE") == "+OK");
  std::stringstream text;
  text << std::ifstream(config.config_file).rdbuf();
  CHECK(text.str() == "# mine\nmaxclients 12\n# Generated by CONFIG REWRITE\ntimeout 77\n");
}

TEST_CASE("INFO has what clients and exporters look for") {
  TestServer server;
  TestClient client(server);
  client("MSET a 1 b 2");
  client("EXPIRE a 100");
  client("GET a");
  client("GET nosuch");
  client("NOSUCH");
  const std::string info = client.raw({"INFO"});
  for (const char* field : {"redis_version:7.2.4\r\n",
                            "kvs_version:",
                            "redis_mode:standalone\r\n",
                            "os:Linux ",
                            "tcp_port:4000\r\n",
                            "process_id:",
                            "run_id:",
                            "uptime_in_seconds:",
                            "connected_clients:1\r\n",
                            "blocked_clients:0\r\n",
                            "maxclients:10000\r\n",
                            "pubsub_clients:0\r\n",
                            "watching_clients:0\r\n",
                            "used_memory:",
                            "used_memory_rss:",
                            "used_memory_peak:",
                            "used_memory_overhead:",
                            "used_memory_dataset:",
                            "maxmemory:0\r\n",
                            "maxmemory_policy:noeviction\r\n",
                            "mem_fragmentation_ratio:",
                            "allocator_allocated:",
                            "allocator_active:",
                            "allocator_resident:",
                            "allocator_frag_ratio:1.00\r\n",
                            "allocator_rss_ratio:",
                            "used_memory_lua:0\r\n",
                            "used_memory_scripts:0\r\n",
                            "loading:0\r\n",
                            "async_loading:0\r\n",
                            "rdb_changes_since_last_save:",
                            "rdb_bgsave_in_progress:0\r\n",
                            "rdb_last_save_time:",
                            "rdb_last_bgsave_status:ok\r\n",
                            "rdb_last_cow_size:0\r\n",
                            "aof_last_cow_size:0\r\n",
                            "module_fork_in_progress:0\r\n",
                            "aof_enabled:1\r\n",
                            "aof_rewrite_in_progress:0\r\n",
                            "aof_last_rewrite_time_sec:",
                            "aof_last_bgrewrite_status:ok\r\n",
                            "aof_last_write_status:ok\r\n",
                            "aof_current_size:",
                            "aof_base_size:",
                            "aof_pending_bio_fsync:",
                            "aof_delayed_fsync:",
                            "total_connections_received:",
                            "total_commands_processed:5\r\n",
                            "rejected_connections:0\r\n",
                            "total_net_input_bytes:",
                            "total_net_output_bytes:",
                            "instantaneous_ops_per_sec:",
                            "instantaneous_input_kbps:",
                            "instantaneous_output_kbps:",
                            "active_defrag_hits:0\r\n",
                            "slave_expires_tracked_keys:0\r\n",
                            "expired_keys:",
                            "expire_cycle_cpu_milliseconds:",
                            "evicted_keys:0\r\n",
                            "keyspace_hits:1\r\n",
                            "keyspace_misses:1\r\n",
                            "pubsub_channels:0\r\n",
                            "pubsub_patterns:0\r\n",
                            "latest_fork_usec:0\r\n",
                            "total_error_replies:1\r\n",
                            "unexpected_error_replies:0\r\n",
                            "role:master\r\n",
                            "connected_slaves:0\r\n",
                            "master_repl_offset:0\r\n",
                            "used_cpu_sys:",
                            "used_cpu_user:",
                            "cluster_enabled:0\r\n",
                            "db0:keys=2,expires=1,avg_ttl=0\r\n",
                            "# Server\r\n",
                            "# Keyspace\r\n"}) {
    CAPTURE(field);
    CHECK(info.find(field) != std::string::npos);
  }
  CHECK(info.find("# Commandstats") == std::string::npos);
  for (const char* word : {"all", "everything", "ALL"}) {
    const std::string all = client.raw({"INFO", word});
    CHECK(all.find("# Commandstats\r\n") != std::string::npos);
    CHECK(all.find("# Server\r\n") != std::string::npos);
  }
  const std::string two = client.raw({"INFO", "CPU", "cluster", "nosuch"});
  CHECK(two.find("# CPU\r\n") != std::string::npos);
  CHECK(two.find("\r\n\r\n# Cluster\r\n") != std::string::npos);
  CHECK(two.find("# Server") == std::string::npos);
  client("CONFIG RESETSTAT");
  CHECK(client.raw({"INFO", "stats"}).find("keyspace_hits:0\r\n") != std::string::npos);
  client("HELLO 3");
  CHECK(client.raw({"INFO", "cpu"}).starts_with("="));
}

TEST_CASE("BGREWRITEAOF asks for a compaction") {
  TestServer server;
  TestClient client(server);
  CHECK(client("BGREWRITEAOF") == "+Background append only file rewriting started");
  CHECK(server.engine.compactions_requested() == 1);
}

TEST_CASE("READONLY and READWRITE are accepted, since clients pipeline them unasked") {
  TestServer server;
  TestClient client(server);
  CHECK(client("READONLY") == "+OK");
  CHECK(client("READWRITE") == "+OK");
}

}  // namespace kvs::daemon::test
