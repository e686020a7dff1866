// config_options.cc - the options themselves, and the few kinds of value they have.
#include "daemon/config_options.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <charconv>
#include <type_traits>
#include <vector>

#include <climits>
#include <fmt/format.h>

#include "daemon/config_file.h"
#include "daemon/durability_level.h"
#include "daemon/log.h"
#include "daemon/notifications.h"
#include "storage/limits.h"
#include "storage/options.h"

namespace kvs::daemon {
namespace {

using SetResult = std::optional<std::string>;
constexpr std::uint64_t mebi = 1 << 20;
constexpr std::uint64_t unbounded = INT64_MAX;
constexpr std::uint64_t seconds_max = INT_MAX;
// Redis' own bound; a longer one is a mistake in quoting.
constexpr std::size_t password_bytes_max = 512;

SetResult expected(std::string_view what, std::string_view value) {
  return fmt::format("expected {}, got '{}'", what, escaped(value));
}

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number{};
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

// The kinds of value: each is a `set` and a `show` for one member of Config.

template <auto member, unsigned low, unsigned high>
struct Count {
  static SetResult set(Config& config, std::string_view value) {
    const auto number = parse_number<unsigned>(value);
    if (!number || *number < low || *number > high) {
      return expected(fmt::format("a number from {} to {}", low, high), value);
    }
    config.*member = *number;
    return std::nullopt;
  }
  static std::string show(const Config& config) { return std::to_string(config.*member); }
};

template <auto member>
struct Seconds {
  static SetResult set(Config& config, std::string_view value) {
    const auto number = parse_number<std::uint64_t>(value);
    if (!number || *number > seconds_max) return expected("a number of seconds", value);
    config.*member = std::chrono::seconds(*number);
    return std::nullopt;
  }
  static std::string show(const Config& config) { return std::to_string((config.*member).count()); }
};

template <auto member, std::uint64_t low, std::uint64_t high = unbounded>
struct Size {
  static SetResult set(Config& config, std::string_view value) {
    const auto bytes = parse_size(value);
    if (!bytes) return expected("a size such as 65536, 64kb, 100mb or 1gb", value);
    if (*bytes < low || *bytes > high) {
      return expected(high == unbounded
                          ? fmt::format("at least {}", size_text(low))
                          : fmt::format("a size from {} to {}", size_text(low), size_text(high)),
                      value);
    }
    config.*member = *bytes;
    return std::nullopt;
  }
  static std::string show(const Config& config) { return size_text(config.*member); }
};

template <auto member, std::uint64_t high>
struct Count64 {
  static SetResult set(Config& config, std::string_view value) {
    const auto number = parse_number<std::uint64_t>(value);
    if (!number || *number > high) {
      return expected(fmt::format("a number from 0 to {}", high), value);
    }
    config.*member = *number;
    return std::nullopt;
  }
  static std::string show(const Config& config) { return std::to_string(config.*member); }
};

struct Address {
  static SetResult set(Config& config, std::string_view value) {
    auto address = parse_socket_address(value);
    if (!address) return expected("IP:PORT or [IPv6]:PORT", value);
    config.addr = *std::move(address);
    return std::nullopt;
  }
  static std::string show(const Config& config) { return config.addr.text; }
};

// A name in the file system; empty: none. `what` it should be is for the error.
SetResult set_path(std::filesystem::path& path, std::string_view value, const char* what) {
  if (value.find('\0') != value.npos) return expected(what, value);
  path = value;
  return std::nullopt;
}

struct UnixSocketPath {
  static SetResult set(Config& config, std::string_view value) {
    return set_path(config.unixsocket, value, "a path");
  }
  static std::string show(const Config& config) { return config.unixsocket.string(); }
};

struct FileMode {
  static SetResult set(Config& config, std::string_view value) {
    unsigned mode = 0;
    const auto parsed = std::from_chars(value.data(), value.data() + value.size(), mode, 8);
    if (parsed.ec != std::errc() || parsed.ptr != value.data() + value.size() || mode > 0777) {
      return expected("an octal number up to 777", value);
    }
    config.unixsocketperm = mode;
    return std::nullopt;
  }
  static std::string show(const Config& config) {
    return fmt::format("{:o}", config.unixsocketperm);
  }
};

struct EngineName {
  static SetResult set(Config& config, std::string_view value) {
    // A whole word of the list, whatever separates its words.
    const std::string_view names = engine_names();
    const auto is_letter = [](char character) {
      return (character >= 'a' && character <= 'z') || (character >= '0' && character <= '9');
    };
    bool known = value.empty();
    for (std::size_t at = 0; !known && at < names.size();) {
      const auto end = std::find_if_not(names.begin() + at, names.end(), is_letter);
      const auto length = static_cast<std::size_t>(end - names.begin()) - at;
      known = length > 0 && names.substr(at, length) == value;
      at += length + 1;
    }
    if (!known) {
      return fmt::format("unknown engine '{}', known are: {}", escaped(value), names);
    }
    config.engine = value;
    return std::nullopt;
  }
  static std::string show(const Config& config) { return config.engine; }
};

struct NotifyLetters {
  static SetResult set(Config& config, std::string_view value) {
    if (!parse_notify_flags(value)) return expected("letters of 'Ag$lshzxeKEtmdn'", value);
    config.notify_keyspace_events = value;
    return std::nullopt;
  }
  static std::string show(const Config& config) { return config.notify_keyspace_events; }
};

struct Directory {
  static SetResult set(Config& config, std::string_view value) {
    if (value.empty() || value.find('\0') != value.npos) return expected("a directory", value);
    config.dir = value;
    return std::nullopt;
  }
  static std::string show(const Config& config) { return config.dir.string(); }
};

struct BackupDirectory {
  static SetResult set(Config& config, std::string_view value) {
    return set_path(config.backup_dir, value, "a directory");
  }
  static std::string show(const Config& config) { return config.backup_dir.string(); }
};

struct Sync {
  static SetResult set(Config& config, std::string_view value) {
    for (auto policy : {SyncPolicy::always, SyncPolicy::everysec, SyncPolicy::no}) {
      if (value != to_string(policy)) continue;
      config.sync = policy;
      return std::nullopt;
    }
    return expected("always, everysec or no", value);
  }
  static std::string show(const Config& config) { return std::string(to_string(config.sync)); }
};

struct DurabilityRules {
  static SetResult set(Config& config, std::string_view value) {
    const auto rules = PrefixRules::parse(value);
    if (!rules) return expected("prefixes, each followed by kernel or sync", value);
    config.durability_prefix = rules->text();
    return std::nullopt;
  }
  static std::string show(const Config& config) { return config.durability_prefix; }
};

struct ColdReads {
  static SetResult set(Config& config, std::string_view value) {
    for (auto method :
         {ColdReadMethod::automatic, ColdReadMethod::io_uring, ColdReadMethod::pool}) {
      if (value != to_string(method)) continue;
      config.cold_reads = method;
      return std::nullopt;
    }
    return expected("auto, io_uring or pool", value);
  }
  static std::string show(const Config& config) {
    return std::string(to_string(config.cold_reads));
  }
};

struct Password {
  static SetResult set(Config& config, std::string_view value) {
    // Never repeats the value: messages end in logs.
    if (value.size() > password_bytes_max) {
      return fmt::format("expected at most {} bytes", password_bytes_max);
    }
    config.requirepass = value;
    return std::nullopt;
  }
  static std::string show(const Config& config) { return config.requirepass; }
};

struct AclFile {
  static SetResult set(Config& config, std::string_view value) {
    return set_path(config.aclfile, value, "a file");
  }
  static std::string show(const Config& config) { return config.aclfile.string(); }
};

template <auto member>
struct YesNo {
  static SetResult set(Config& config, std::string_view value) {
    if (value != "yes" && value != "no") return expected("yes or no", value);
    config.*member = value == "yes";
    return std::nullopt;
  }
  static std::string show(const Config& config) { return config.*member ? "yes" : "no"; }
};

// An integer that may be negative.
template <auto member, std::int64_t low>
struct Signed {
  static SetResult set(Config& config, std::string_view value) {
    const auto number = parse_number<std::int64_t>(value);
    if (!number || *number < low) {
      return expected(fmt::format("a number, at least {}", low), value);
    }
    config.*member = *number;
    return std::nullopt;
  }
  static std::string show(const Config& config) { return std::to_string(config.*member); }
};

struct Debug {
  static SetResult set(Config& config, std::string_view value) {
    for (const DebugCommand who : {DebugCommand::no, DebugCommand::local, DebugCommand::yes}) {
      if (value != to_string(who)) continue;
      config.enable_debug_command = who;
      return std::nullopt;
    }
    return expected("no, local or yes", value);
  }
  static std::string show(const Config& config) {
    return std::string(to_string(config.enable_debug_command));
  }
};

// As in Redis: `CLASS HARD SOFT SECONDS`, repeated; the only class here is "normal".
struct OutputLimit {
  static SetResult set(Config& config, std::string_view value) {
    const auto words = split(value);
    if (words.empty() || words.size() % 4 != 0) {
      return expected("normal HARD-SIZE SOFT-SIZE SOFT-SECONDS", value);
    }
    Config changed = config;
    for (std::size_t at = 0; at < words.size(); at += 4) {
      const auto hard = parse_size(words[at + 1]);
      const auto soft = parse_size(words[at + 2]);
      const auto seconds = parse_number<std::uint64_t>(words[at + 3]);
      if (words[at] != "normal") return expected("the client class 'normal'", words[at]);
      if (!hard || !soft || !seconds || *seconds > seconds_max) {
        return expected("normal HARD-SIZE SOFT-SIZE SOFT-SECONDS", value);
      }
      changed.client_output_buffer_hard = *hard;
      changed.client_output_buffer_soft = *soft;
      changed.client_output_buffer_soft_seconds = std::chrono::seconds(*seconds);
    }
    config = std::move(changed);
    return std::nullopt;
  }
  static std::string show(const Config& config) {
    return fmt::format("normal {} {} {}", size_text(config.client_output_buffer_hard),
                       size_text(config.client_output_buffer_soft),
                       config.client_output_buffer_soft_seconds.count());
  }

 private:
  static std::vector<std::string_view> split(std::string_view text) {
    std::vector<std::string_view> words;
    while (!text.empty()) {
      const std::size_t end = std::min(text.find(' '), text.size());
      if (end > 0) words.push_back(text.substr(0, end));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    return words;
  }
};

struct Level {
  static SetResult set(Config& config, std::string_view value) {
    const auto level = parse_log_level(value);
    if (!level) return expected("debug, verbose, info, notice, warning or error", value);
    config.loglevel = to_string(*level);
    return std::nullopt;
  }
  static std::string show(const Config& config) { return config.loglevel; }
};

// Text of which only the server's start, or CONFIG SET, finds out whether it can be used.
template <auto member>
struct TlsText {
  static SetResult set(Config& config, std::string_view value) {
    if (value.find('\0') != value.npos) return expected("text without zero bytes", value);
    of(config) = value;
    return std::nullopt;
  }
  static std::string show(const Config& config) { return of(const_cast<Config&>(config)); }

 private:
  static std::string& of(Config& config) {
    if constexpr (std::is_same_v<decltype(member), std::string tls::Files::*>) {
      return config.tls.files.*member;
    } else {
      return config.tls.*member;
    }
  }
};

template <auto member>
struct TlsYesNo {
  static SetResult set(Config& config, std::string_view value) {
    if (value != "yes" && value != "no") return expected("yes or no", value);
    config.tls.*member = value == "yes";
    return std::nullopt;
  }
  static std::string show(const Config& config) { return config.tls.*member ? "yes" : "no"; }
};

template <auto member>
struct TlsCount {
  static SetResult set(Config& config, std::string_view value) {
    const auto number = parse_number<std::uint64_t>(value);
    if (!number || *number > INT_MAX) {
      return expected(fmt::format("a number from 0 to {}", INT_MAX), value);
    }
    config.tls.*member = *number;
    return std::nullopt;
  }
  static std::string show(const Config& config) { return std::to_string(config.tls.*member); }
};

struct TlsClients {
  static SetResult set(Config& config, std::string_view value) {
    using Clients = tls::ServerOptions::Clients;
    for (const Clients clients : {Clients::no, Clients::optional, Clients::yes}) {
      if (value != to_string(clients)) continue;
      config.tls.clients = clients;
      return std::nullopt;
    }
    return expected("yes, no or optional", value);
  }
  static std::string show(const Config& config) {
    return std::string(to_string(config.tls.clients));
  }
};

template <class Kind>
constexpr ConfigOption row(std::string_view name, std::string_view argument, std::string_view group,
                           std::string_view help, unsigned words_max = 1,
                           Repeated repeated = Repeated::last_wins) {
  return {name, argument, group, help, words_max, Kind::set, Kind::show, repeated};
}

constexpr std::string_view storage_group = "Storage";
constexpr std::string_view network_group = "Network";
constexpr std::string_view tls_group = "TLS";
constexpr std::string_view access_group = "Access";
constexpr std::string_view limits_group = "Limits";
constexpr std::string_view running_group = "Running";

constexpr std::array options{
    row<Address>(
        "addr", "IP:PORT", network_group,
        "Listen on this address; IPv6 as [::1]:4000. Port 0: none if there is a tls-port or a "
        "unixsocket, else any free one, see the log."),
    row<UnixSocketPath>("unixsocket", "PATH", network_group,
                        "Listen on this path, too, for clients of this machine; no TLS."),
    row<FileMode>("unixsocketperm", "MODE", network_group,
                  "Permissions of that path, octal as for chmod; 0: what the umask leaves."),
    row<Count<&Config::tcp_backlog, 1, 65535>>(
        "tcp-backlog", "N", network_group, "Connections that may wait to be accepted, per thread."),
    row<Seconds<&Config::tcp_keepalive>>(
        "tcp-keepalive", "SECONDS", network_group,
        "Probe a silent connection after this time, to find dead peers; 0: never."),

    row<Count<&Config::tls_port, 0, 65535>>(
        "tls-port", "PORT", tls_group,
        "Listen on this port of the same address for TLS; 0: no TLS. With addr's port 0 it is the "
        "only one."),
    row<TlsText<&tls::Files::certificate_file>>("tls-cert-file", "FILE", tls_group,
                                                "The server's certificate with its chain (PEM)."),
    row<TlsText<&tls::Files::key_file>>("tls-key-file", "FILE", tls_group,
                                        "Its key. Not given: it stands in tls-cert-file."),
    row<TlsText<&tls::Files::key_password>>("tls-key-file-pass", "PASSWORD", tls_group,
                                            "What the key is encrypted with, if it is."),
    row<TlsText<&tls::Files::ca_file>>("tls-ca-cert-file", "FILE", tls_group,
                                       "Whose certificates of clients are trusted (PEM)."),
    row<TlsText<&tls::Files::ca_directory>>(
        "tls-ca-cert-dir", "DIRECTORY", tls_group,
        "The same as a directory, with file names as `openssl rehash` makes them."),
    row<TlsClients>("tls-auth-clients", "yes|no|optional", tls_group,
                    "Whether clients must show a certificate, need not, or are asked for one."),
    row<TlsText<&tls::ServerOptions::protocols>>("tls-protocols", "NAMES", tls_group,
                                                 "TLSv1.2, TLSv1.3 or both; not given: both."),
    row<TlsText<&tls::ServerOptions::ciphers>>("tls-ciphers", "LIST", tls_group,
                                               "Ciphers of TLS 1.2, as OpenSSL writes them."),
    row<TlsText<&tls::ServerOptions::ciphersuites>>("tls-ciphersuites", "LIST", tls_group,
                                                    "Ciphersuites of TLS 1.3."),
    row<TlsYesNo<&tls::ServerOptions::prefer_own_ciphers>>(
        "tls-prefer-server-ciphers", "yes|no", tls_group,
        "Choose by the order of these lists, not by the client's."),
    row<TlsYesNo<&tls::ServerOptions::session_caching>>(
        "tls-session-caching", "yes|no", tls_group,
        "Let clients that come back resume their session without a whole handshake."),
    row<TlsCount<&tls::ServerOptions::session_cache_size>>(
        "tls-session-cache-size", "N", tls_group,
        "Sessions that are remembered for clients that cannot keep theirs; 0: no limit."),
    row<TlsCount<&tls::ServerOptions::session_cache_seconds>>(
        "tls-session-cache-timeout", "SECONDS", tls_group, "How long a session can be resumed."),

    row<Directory>("dir", "DIRECTORY", storage_group, "Where the data lives."),
    row<EngineName>("engine", "ENGINE", storage_group,
                    "Storage engine. Not given: the one that wrote the directory, else kvs."),
    row<Sync>(
        "sync", "always|everysec|no", storage_group,
        "When a write is acknowledged: after its fdatasync (always), or once the kernel has it, "
        "which survives SIGKILL but not a power cut, with an fdatasync every second (everysec) or "
        "when the kernel pleases (no)."),
    row<DurabilityRules>(
        "durability-prefix", "PREFIX kernel|sync", storage_group,
        "When a reply about keys with this prefix leaves, whatever --sync says: once the kernel "
        "has "
        "what it depends on (kernel), or after an fdatasync (sync). May be given many times; the "
        "longest prefix decides, and an empty one is every key's.",
        2, Repeated::adds_up),
    row<Size<&Config::cache_size, 0>>(
        "cache-size", "SIZE", storage_group,
        "Memory for values that were read or written lately; 0: none."),
    row<ColdReads>("cold-reads", "auto|io_uring|pool", storage_group,
                   "How values that are not in memory are read: through io_uring, by threads of "
                   "the pool, or as the kernel lets us."),
    row<Size<&Config::segment_size, limits::segment_bytes_min, limits::segment_bytes_max>>(
        "segment-size", "SIZE", storage_group, "Size of one file of the log."),
    row<Count<&Config::space_amplification, 110, 1000>>(
        "space-amplification", "PERCENT", storage_group,
        "Disk space the log may take, as a share of its live data; a few segments are always "
        "allowed. Writers are slowed when compaction cannot keep up."),
    row<Count<&Config::compact_dead_percent, 1, 100>>(
        "compact-dead-percent", "PERCENT", storage_group,
        "Rewrite a file of the log of which this share is overwritten, deleted or expired, before "
        "space-amplification asks for it."),
    row<Size<&Config::compact_rate_limit, 0>>(
        "compact-rate-limit", "SIZE", storage_group,
        "Bytes per second that compaction may write; 0: as many as it needs."),
    row<Count<&Config::recovery_threads, 0, 1024>>(
        "recovery-threads", "N", storage_group,
        "Threads that read the log at start; 0: one per core."),
    row<Size<&Config::scrub_rate, 0>>(
        "scrub-rate", "SIZE", storage_group,
        "Read all data again once a day, at this rate per second, to find what has rotted on the "
        "disk; 0: only when KVS SCRUB NOW asks for it."),
    row<BackupDirectory>(
        "backup-dir", "DIRECTORY", storage_group,
        "Where KVS BACKUP, SAVE and BGSAVE put backups, one directory each. Not given: they are "
        "refused."),

    row<Password>(
        "requirepass", "PASSWORD", access_group,
        "Clients must AUTH with it; empty: no password. Other users of the machine can read a "
        "command line, so prefer the config file."),
    row<AclFile>("aclfile", "FILE", access_group,
                 "Users and their rights, as ACL SAVE writes them; the file must be there. Not "
                 "given: those of `user` lines of the config file, if any."),
    row<YesNo<&Config::protected_mode>>("protected-mode", "yes|no", access_group,
                                        "Without a password, serve only clients of this machine."),
    row<Debug>("enable-debug-command", "no|local|yes", access_group,
               "Who may use DEBUG SLEEP: nobody, clients of this machine, or everybody."),

    row<Count<&Config::maxclients, 1, 1000000>>("maxclients", "N", limits_group,
                                                "Connections at one time."),
    row<Seconds<&Config::timeout>>("timeout", "SECONDS", limits_group,
                                   "Close a connection that was idle for so long; 0: never."),
    row<Seconds<&Config::request_timeout>>(
        "request-timeout", "SECONDS", limits_group,
        "Close a connection that left a request half sent for so long; 0: never."),
    row<Size<&Config::proto_max_bulk_len, mebi, limits::value_bytes_max>>(
        "proto-max-bulk-len", "SIZE", limits_group, "Largest key or value."),
    row<Size<&Config::client_query_buffer_limit, mebi>>(
        "client-query-buffer-limit", "SIZE", limits_group, "Largest request of one connection."),
    row<OutputLimit>(
        "client-output-buffer-limit", "normal HARD SOFT SECONDS", limits_group,
        "Close a connection that leaves more than HARD bytes of replies unread, or more "
        "than SOFT for so many seconds; 0: no limit.",
        4),
    row<Size<&Config::maxmemory_clients, 0>>(
        "maxmemory-clients", "SIZE", limits_group,
        "Memory for the buffers of all connections together; 0: a quarter of the machine's."),
    row<Size<&Config::maxmemory, 0>>(
        "maxmemory", "SIZE", limits_group,
        "Above this much memory for the index, cache-size and buffers, commands that may need more "
        "are refused; reads and removals go on. Choose more than cache-size, which removals do not "
        "give back; 0: no limit."),

    row<Count<&Config::threads, 0, 1024>>("threads", "N", running_group,
                                          "Network threads; 0: one per core but one."),
    row<Count<&Config::io_threads, 0, 1024>>(
        "io-threads", "N", running_group,
        "Threads for storage work; 0: network threads + 4, and 4 more for each when the pool "
        "does the cold reads."),
    row<NotifyLetters>("notify-keyspace-events", "LETTERS", running_group,
                       "Which events of keys are published, in Redis' letters (KEA: all)."),
    row<Signed<&Config::slowlog_log_slower_than, -1>>(
        "slowlog-log-slower-than", "MICROSECONDS", running_group,
        "Commands that take longer are kept for SLOWLOG; 0: all, -1: none."),
    row<Count64<&Config::slowlog_max_len, 1000000>>("slowlog-max-len", "N", running_group,
                                                    "Commands that SLOWLOG keeps."),
    row<Count64<&Config::latency_monitor_threshold, 1000000000>>(
        "latency-monitor-threshold", "MILLISECONDS", running_group,
        "What takes at least so long is kept for LATENCY; 0: nothing."),
    row<YesNo<&Config::latency_tracking>>("latency-tracking", "yes|no", running_group,
                                          "Percentiles of every command's times in INFO."),
    row<Count64<&Config::tracking_table_max_keys, 1000000000>>(
        "tracking-table-max-keys", "N", running_group,
        "Keys that are remembered for clients that cache (CLIENT TRACKING); 0: no limit."),
    row<Level>("loglevel", "LEVEL", running_group,
               "debug, info, warning or error (also Redis' verbose and notice)."),
};

struct Unit {
  std::string_view name;
  std::uint64_t bytes;
};
constexpr std::array units{
    Unit{"", 1},        Unit{"b", 1},        Unit{"k", 1000},       Unit{"kb", 1 << 10},
    Unit{"m", 1000000}, Unit{"mb", 1 << 20}, Unit{"g", 1000000000}, Unit{"gb", 1 << 30},
};

bool equal_but_case(std::string_view text, std::string_view lower) {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(),
                    [](char left, char right) {
                      return (left >= 'A' && left <= 'Z' ? left - 'A' + 'a' : left) == right;
                    });
}

}  // namespace

std::span<const ConfigOption> config_options() {
  return options;
}

const ConfigOption* find_config_option(std::string_view name) {
  if (name == "appendfsync") name = "sync";
  const auto found = std::find_if(options.begin(), options.end(),
                                  [&](const ConfigOption& option) { return option.name == name; });
  return found == options.end() ? nullptr : &*found;
}

std::string option_value(const ConfigOption& option, const std::vector<std::string>& words) {
  if (words.size() == 1 || option.repeated == Repeated::last_wins) {
    return fmt::format("{}", fmt::join(words, " "));
  }
  std::string value;
  for (const std::string& word : words) {
    value.append(value.empty() ? "" : " ").append(config_word(word));
  }
  return value;
}

std::string environment_name(const ConfigOption& option) {
  std::string name = "KVS_";
  for (const char character : option.name) {
    name += character == '-' ? '_' : static_cast<char>(character - 'a' + 'A');
  }
  return name;
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = parse_number<std::uint64_t>(text.substr(0, digits));
  if (!number) return std::nullopt;
  for (const Unit& unit : units) {
    if (!equal_but_case(text.substr(digits), unit.name)) continue;
    if (*number > unbounded / unit.bytes) return std::nullopt;
    return *number * unit.bytes;
  }
  return std::nullopt;
}

std::string size_text(std::uint64_t bytes) {
  for (const Unit& unit : {units[7], units[5], units[3]}) {
    if (bytes >= unit.bytes && bytes % unit.bytes == 0) {
      return fmt::format("{}{}", bytes / unit.bytes, unit.name);
    }
  }
  return std::to_string(bytes);
}

std::optional<SocketAddress> parse_socket_address(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == text.npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const std::string_view port_text = text.substr(colon + 1);
  const bool ipv6 = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (ipv6) host = host.substr(1, host.size() - 2);

  const auto port = parse_number<std::uint16_t>(port_text);
  if (!port || port_text.size() > 5) return std::nullopt;
  SocketAddress address{
      .text = std::string(text), .host = std::string(host), .port = *port, .ipv6 = ipv6};
  std::array<unsigned char, sizeof(in6_addr)> binary{};
  // A NUL inside would end the text early for inet_pton.
  if (host.find('\0') != host.npos) return std::nullopt;
  if (::inet_pton(ipv6 ? AF_INET6 : AF_INET, address.host.c_str(), binary.data()) != 1) {
    return std::nullopt;
  }
  return address;
}

std::string_view to_string(ColdReadMethod method) {
  switch (method) {
    case ColdReadMethod::automatic:
      return "auto";
    case ColdReadMethod::io_uring:
      return "io_uring";
    case ColdReadMethod::pool:
      return "pool";
  }
  return "?";
}

std::string_view to_string(SyncPolicy policy) {
  switch (policy) {
    case SyncPolicy::always:
      return "always";
    case SyncPolicy::everysec:
      return "everysec";
    case SyncPolicy::no:
      return "no";
  }
  return "always";
}

std::string_view to_string(tls::ServerOptions::Clients clients) {
  switch (clients) {
    case tls::ServerOptions::Clients::no:
      return "no";
    case tls::ServerOptions::Clients::optional:
      return "optional";
    case tls::ServerOptions::Clients::yes:
      return "yes";
  }
  return "yes";
}

std::string with_port(const SocketAddress& address, std::uint16_t port) {
  return address.ipv6 ? fmt::format("[{}]:{}", address.host, port)
                      : fmt::format("{}:{}", address.host, port);
}

SocketAddress tls_address(const Config& config) {
  SocketAddress address = config.addr;
  address.port = static_cast<std::uint16_t>(config.tls_port);
  address.text = with_port(address, address.port);
  return address;
}

std::string_view to_string(DebugCommand who) {
  switch (who) {
    case DebugCommand::no:
      return "no";
    case DebugCommand::local:
      return "local";
    case DebugCommand::yes:
      return "yes";
  }
  return "no";
}

}  // namespace kvs::daemon
