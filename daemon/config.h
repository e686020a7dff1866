// config.h - everything that the command line, the config file and KVS_* can say.
//
// One struct, filled once by parse_config and constant afterwards. What CONFIG SET may change at
// run time lives in Settings (settings.h), which starts as a copy of these values.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/async/result.h"
#include "protocol/tls/context.h"

namespace kvs::daemon {

// When is a write acknowledged?
enum class SyncPolicy : std::uint8_t {
  always,    // after fdatasync
  everysec,  // after write(2); fdatasync once a second
  no,        // after write(2); fdatasync only when a segment is sealed
};

// Who may use DEBUG.
enum class DebugCommand : std::uint8_t { no, local, yes };
// How values that are not in memory are read.
enum class ColdReadMethod : std::uint8_t {
  automatic,  // io_uring where the kernel has it, else the pool
  io_uring,   // the same, but with a warning if it cannot be
  pool,
};

// An IPv4 or IPv6 socket address, already parsed; text is what --addr said.
struct SocketAddress {
  std::string text = "127.0.0.1:4000";
  std::string host = "127.0.0.1";  // numeric, without brackets
  std::uint16_t port = 4000;
  bool ipv6 = false;
};

// What to do instead of serving, if anything (maintenance_commands.h).
struct OneShot {
  enum class Kind : std::uint8_t { none, check, salvage, restore };
  Kind kind = Kind::none;
  std::filesystem::path path;  // the data directory, or the backup to restore
  bool json = false;           // of check: one line of JSON
};

struct Config {
  SocketAddress addr;                // port 0: with tls_port or unixsocket none, else any free one
  std::filesystem::path unixsocket;  // empty: none
  unsigned unixsocketperm = 0;       // its permissions; 0: what the umask leaves
  unsigned tls_port = 0;             // of the same host; 0: no TLS
  tls::ServerOptions tls;
  std::string engine;  // empty: the one that wrote the directory, else "kvs"
  std::filesystem::path dir = ".";
  SyncPolicy sync = SyncPolicy::everysec;
  std::string durability_prefix;  // PrefixRules, as it shows them
  unsigned threads = 0;           // worker loops; 0: one per core but one
  unsigned io_threads = 0;        // libuv's pool; 0: threads + 4

  std::string requirepass;         // empty: none
  std::filesystem::path aclfile;   // users; empty: none
  std::vector<std::string> users;  // `user` lines of the config file, without the word
  bool protected_mode = true;
  unsigned maxclients = 10000;
  unsigned tcp_backlog = 511;
  std::chrono::seconds tcp_keepalive{300};   // 0: off
  std::chrono::seconds timeout{3600};        // idle connections; 0: never
  std::chrono::seconds request_timeout{60};  // a request begun but not complete; 0: never
  std::uint64_t proto_max_bulk_len = 536870912;
  std::uint64_t client_query_buffer_limit = std::uint64_t{1} << 30;
  std::uint64_t client_output_buffer_hard = std::uint64_t{1} << 30;
  std::uint64_t client_output_buffer_soft = std::uint64_t{64} << 20;
  std::chrono::seconds client_output_buffer_soft_seconds{60};
  std::uint64_t maxmemory_clients = 0;  // all connections' buffers together; 0: a quarter of RAM

  std::uint64_t maxmemory = 0;  // of index, copies of values and buffers; 0: no limit

  std::string notify_keyspace_events;  // letters as Redis has them; empty: none

  std::int64_t slowlog_log_slower_than = 10000;     // microseconds; negative: nothing
  std::uint64_t slowlog_max_len = 128;              // entries
  std::uint64_t latency_monitor_threshold = 0;      // milliseconds; 0: off
  bool latency_tracking = true;                     // percentiles in INFO
  std::uint64_t tracking_table_max_keys = 1000000;  // 0: no limit
  DebugCommand enable_debug_command = DebugCommand::no;

  std::uint64_t cache_size = std::uint64_t{256} << 20;
  ColdReadMethod cold_reads = ColdReadMethod::automatic;
  std::uint64_t segment_size = std::uint64_t{64} << 20;
  unsigned space_amplification = 200;  // percent of the live data
  unsigned compact_dead_percent = 90;
  std::uint64_t compact_rate_limit = 0;               // bytes per second; 0: none
  unsigned recovery_threads = 0;                      // 0: one per core
  std::uint64_t scrub_rate = std::uint64_t{8} << 20;  // bytes per second; 0: off
  std::filesystem::path backup_dir;                   // empty: no backups from the wire

  std::string loglevel = "info";  // debug, info, notice (= info), warning, error
  std::filesystem::path config_file;
  bool check_config = false;
  OneShot one_shot;
};

// What parse_config decided: go on with a config, or end with this exit code (help, version, error:
// the text has been printed already).
struct ParseOutcome {
  std::optional<Config> config;
  int exit_code = 0;
};

// Precedence: command line, then KVS_*, then the config file, then the defaults.
ParseOutcome parse_config(int argc, const char* const* argv);

// Whether what the options say can be had together, and of the files that they name: --check-config
// asks this too. Errors: invalid.
Result<void> check_usable(const Config& config);

// Parses "IP:PORT" or "[IPv6]:PORT"; nullopt for anything else, host names included.
std::optional<SocketAddress> parse_socket_address(std::string_view text);

// Is there a port without TLS? Port 0 is one only if there would be nothing else to listen on.
inline bool has_plain_port(const Config& config) {
  return config.addr.port != 0 || (config.tls_port == 0 && config.unixsocket.empty());
}
// The text of an address with another port.
std::string with_port(const SocketAddress& address, std::uint16_t port);
// The address with TLS; only if there is one.
SocketAddress tls_address(const Config& config);

// "always", "everysec", "no".
std::string_view to_string(SyncPolicy policy);
// "no", "local", "yes".
std::string_view to_string(DebugCommand who);
// "no", "optional", "yes".
std::string_view to_string(tls::ServerOptions::Clients clients);
// "auto", "io_uring", "pool".
std::string_view to_string(ColdReadMethod method);

}  // namespace kvs::daemon
