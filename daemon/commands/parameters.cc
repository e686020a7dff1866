// parameters.cc - CONFIG GET and CONFIG SET.
//
// Four kinds of parameters: those that Settings can change while the server runs, and those of TLS
// among them; those fixed at the start; and those of Redis that have one meaningful value here,
// which may be "set" to exactly that (tools do, before they begin).
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <expected>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <climits>
#include <fmt/format.h>

#include "daemon/acl/accounts.h"
#include "daemon/commands/arguments.h"
#include "daemon/commands/server_handlers.h"
#include "daemon/config.h"
#include "daemon/config_options.h"
#include "daemon/glob.h"
#include "daemon/log.h"
#include "daemon/notifications.h"
#include "daemon/operations.h"
#include "daemon/settings.h"
#include "storage/limits.h"

namespace kvs::daemon {

namespace {

using resp::ReplyWriter;

// A value that was found good and waits for the other pairs of the same CONFIG SET; or what is
// wrong with it.
using Change = std::function<void(Settings&)>;
using Parsed = std::expected<Change, std::string>;

struct Parameter {
  std::string_view name;
  std::string (*get)(const Services& services);
  Parsed (*parse)(std::string_view value) = nullptr;  // null: fixed at the start
};

struct Constant {
  std::string_view name;
  std::string_view value;
  enum class Set : std::uint8_t { to_this, never } set = Set::to_this;
};

constexpr auto constants = std::to_array<Constant>({
    {"appendonly", "yes"},
    {"auto-aof-rewrite-min-size", "0"},
    {"cluster-enabled", "no", Constant::Set::never},
    {"daemonize", "no", Constant::Set::never},
    {"databases", "16", Constant::Set::never},
    {"hz", "10"},
    {"logfile", "", Constant::Set::never},
    {"maxmemory-policy", "noeviction"},
    {"no-appendfsync-on-rewrite", "no"},
    {"pidfile", "", Constant::Set::never},
    {"save", ""},
    {"tls-cluster", "no"},
    {"tls-replication", "no"},
});

std::unexpected<std::string> wrong(std::string why) {
  return std::unexpected<std::string>(std::move(why));
}

std::string out_of_range(std::int64_t least, std::int64_t most) {
  return "argument must be between " + std::to_string(least) + " and " + std::to_string(most) +
         " inclusive";
}

std::expected<std::int64_t, std::string> integer_between(std::string_view value, std::int64_t least,
                                                         std::int64_t most) {
  const auto number = parse_integer(value);
  if (!number) return wrong("argument couldn't be parsed into an integer");
  if (*number < least || *number > most) return wrong(out_of_range(least, most));
  return *number;
}

// "100", "64kb", "1G": powers of 1024 with a b, of 1000 without.
std::optional<std::int64_t> parse_memory(std::string_view text) {
  struct Unit {
    std::string_view name;
    std::int64_t bytes;
  };
  constexpr std::array<Unit, 8> units = {{{"", 1},
                                          {"B", 1},
                                          {"K", 1000},
                                          {"KB", 1024},
                                          {"M", 1'000'000},
                                          {"MB", 1 << 20},
                                          {"G", 1'000'000'000},
                                          {"GB", 1 << 30}}};
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  if (digits == 0) return std::nullopt;
  std::int64_t number = 0;
  for (const char digit : text.substr(0, digits)) {
    if (__builtin_mul_overflow(number, 10, &number)) return std::nullopt;
    if (__builtin_add_overflow(number, digit - '0', &number)) return std::nullopt;
  }
  const auto unit = std::find_if(units.begin(), units.end(), [&](const Unit& u) {
    return is_word(text.substr(digits), u.name);
  });
  if (unit == units.end()) return std::nullopt;
  if (__builtin_mul_overflow(number, unit->bytes, &number)) return std::nullopt;
  return number;
}

std::expected<std::int64_t, std::string> memory_between(std::string_view value, std::int64_t least,
                                                        std::int64_t most) {
  const auto bytes = parse_memory(value);
  if (!bytes) return wrong("argument must be a memory value");
  if (*bytes < least || *bytes > most) return wrong(out_of_range(least, most));
  return *bytes;
}

// --- the parameters that can be changed ---

Parsed parse_maxclients(std::string_view value) {
  const auto number = integer_between(value, 1, std::numeric_limits<unsigned>::max());
  if (!number) return wrong(number.error());
  return [n = *number](Settings& s) { s.maxclients = static_cast<unsigned>(n); };
}

Parsed parse_timeout(std::string_view value) {
  const auto number = integer_between(value, 0, INT_MAX);
  if (!number) return wrong(number.error());
  return [n = *number](Settings& s) { s.timeout_seconds = n; };
}

Parsed parse_request_timeout(std::string_view value) {
  const auto number = integer_between(value, 0, INT_MAX);
  if (!number) return wrong(number.error());
  return [n = *number](Settings& s) { s.request_timeout_seconds = n; };
}

Parsed parse_sync(std::string_view value) {
  for (const SyncPolicy policy : {SyncPolicy::everysec, SyncPolicy::always, SyncPolicy::no}) {
    if (lower_case(value) == to_string(policy)) return [policy](Settings& s) { s.sync = policy; };
  }
  return wrong("argument(s) must be one of the following: everysec, always, no");
}

Parsed parse_protected_mode(std::string_view value) {
  const bool yes = is_word(value, "YES");
  if (!yes && !is_word(value, "NO")) return wrong("argument must be 'yes' or 'no'");
  return [yes](Settings& s) { s.protected_mode = yes; };
}

constexpr std::int64_t buffer_bytes_min = 1 << 20;

Parsed parse_proto_max_bulk_len(std::string_view value) {
  // More than Redis' default would be more than a value may have.
  const auto bytes =
      memory_between(value, buffer_bytes_min, static_cast<std::int64_t>(limits::value_bytes_max));
  if (!bytes) return wrong(bytes.error());
  return [n = *bytes](Settings& s) { s.proto_max_bulk_len = static_cast<std::uint64_t>(n); };
}

Parsed parse_client_query_buffer_limit(std::string_view value) {
  const auto bytes =
      memory_between(value, buffer_bytes_min, std::numeric_limits<std::int64_t>::max());
  if (!bytes) return wrong(bytes.error());
  return [n = *bytes](Settings& s) { s.client_query_buffer_limit = static_cast<std::uint64_t>(n); };
}

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  for (std::size_t at = text.find_first_not_of(' '); at < text.size();
       at = text.find_first_not_of(' ', at)) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    words.push_back(text.substr(at, end - at));
    at = end;
  }
  return words;
}

// "normal <hard> <soft> <soft seconds>". The other classes of Redis have no clients here: they may
// be named with zeros, as CONFIG GET does.
Parsed parse_client_output_buffer_limit(std::string_view value) {
  const auto words = words_of(value);
  if (words.size() % 4 != 0) {
    return wrong("Wrong number of arguments in buffer limit configuration.");
  }
  Change change = [](Settings&) {};
  for (std::size_t i = 0; i < words.size(); i += 4) {
    const auto hard = parse_memory(words[i + 1]);
    const auto soft = parse_memory(words[i + 2]);
    const auto seconds = parse_integer(words[i + 3]);
    const bool is_normal = is_word(words[i], "NORMAL");
    if (!is_normal && !is_word(words[i], "SLAVE") && !is_word(words[i], "REPLICA") &&
        !is_word(words[i], "PUBSUB")) {
      return wrong("Invalid client class specified in buffer limit configuration.");
    }
    if (!hard || !soft || !seconds || *seconds < 0) {
      return wrong("Error in hard, soft or soft_seconds setting in buffer limit configuration.");
    }
    if (!is_normal && (*hard != 0 || *soft != 0 || *seconds != 0)) {
      return wrong("this server has no clients of class '" + std::string(words[i]) + "'");
    }
    if (is_normal) {
      change = [hard = *hard, soft = *soft, seconds = *seconds](Settings& s) {
        s.client_output_buffer_hard = static_cast<std::uint64_t>(hard);
        s.client_output_buffer_soft = static_cast<std::uint64_t>(soft);
        s.client_output_buffer_soft_seconds = seconds;
      };
    }
  }
  return change;
}

// Bytes, a percentage of the machine's memory, or 0 for a quarter of it.
Parsed parse_maxmemory_clients(std::string_view value) {
  std::optional<std::int64_t> bytes;
  const auto share_of_memory = [](std::int64_t percent) {
    return static_cast<std::int64_t>(physical_memory_bytes() / 100) * percent;
  };
  if (value.ends_with('%')) {
    const auto percent = parse_integer(value.substr(0, value.size() - 1));
    if (percent && *percent > 100) return wrong("percentage argument must be less or equal to 100");
    if (percent && *percent >= 0) bytes = share_of_memory(*percent);
  } else {
    bytes = parse_memory(value);
  }
  if (!bytes) return wrong("argument must be a memory or percent value");
  const std::int64_t resolved = *bytes != 0 ? *bytes : share_of_memory(25);
  return [resolved](Settings& s) { s.maxmemory_clients = static_cast<std::uint64_t>(resolved); };
}

Parsed parse_maxmemory(std::string_view value) {
  const auto bytes = memory_between(value, 0, std::numeric_limits<std::int64_t>::max());
  if (!bytes) return wrong(bytes.error());
  return [n = *bytes](Settings& s) { s.maxmemory = static_cast<std::uint64_t>(n); };
}

Parsed parse_compact_rate_limit(std::string_view value) {
  const auto bytes = memory_between(value, 0, std::numeric_limits<std::int64_t>::max());
  if (!bytes) return wrong(bytes.error());
  return [n = *bytes](Settings& s) { s.compact_rate_limit = static_cast<std::uint64_t>(n); };
}

Parsed parse_slowlog_log_slower_than(std::string_view value) {
  const auto number = integer_between(value, -1, std::numeric_limits<std::int64_t>::max());
  if (!number) return wrong(number.error());
  return [n = *number](Settings& s) { s.slowlog_log_slower_than_us = n; };
}

template <auto member>
Parsed parse_count(std::string_view value) {
  const auto number = integer_between(value, 0, std::numeric_limits<std::int64_t>::max());
  if (!number) return wrong(number.error());
  return [n = *number](Settings& s) { (s.*member) = static_cast<std::uint64_t>(n); };
}

Parsed parse_latency_tracking(std::string_view value) {
  const bool yes = is_word(value, "YES");
  if (!yes && !is_word(value, "NO")) return wrong("argument must be 'yes' or 'no'");
  return [yes](Settings& s) { s.latency_tracking = yes; };
}

Parsed parse_requirepass(std::string_view value) {
  return [password = std::string(value)](Settings& s) { s.set_password(password); };
}

Parsed parse_notify_keyspace_events(std::string_view value) {
  if (!parse_notify_flags(value)) {
    return wrong("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
  }
  return [letters = std::string(value)](Settings& s) { s.set_notify_letters(letters); };
}

Parsed parse_durability_prefix(std::string_view value) {
  const auto rules = PrefixRules::parse(value);
  if (!rules) return wrong(rules.error().message());
  return [r = *rules](Settings& s) { s.set_prefix_rules(r); };
}

std::string get_sync(const Services& services) {
  return std::string(to_string(services.settings.sync.load()));
}

std::string get_output_limits(const Services& services) {
  const Settings& s = services.settings;
  return "normal " + std::to_string(s.client_output_buffer_hard.load()) + " " +
         std::to_string(s.client_output_buffer_soft.load()) + " " +
         std::to_string(s.client_output_buffer_soft_seconds.load()) + " slave 0 0 0 pubsub 0 0 0";
}

template <auto member>
std::string get_setting(const Services& services) {
  return std::to_string((services.settings.*member).load());
}

template <auto member>
std::string get_config(const Services& services) {
  return std::to_string(services.config.*member);
}

constexpr auto parameters = std::to_array<Parameter>({
    {"aclfile", [](const Services& s) { return s.config.aclfile.string(); }},
    {"appendfsync", get_sync, parse_sync},
    {"bind", [](const Services& s) { return s.config.addr.host; }},
    {"cache-size", get_config<&Config::cache_size>},
    {"client-output-buffer-limit", get_output_limits, parse_client_output_buffer_limit},
    {"client-query-buffer-limit", get_setting<&Settings::client_query_buffer_limit>,
     parse_client_query_buffer_limit},
    {"cold-reads", [](const Services& s) { return std::string(to_string(s.config.cold_reads)); }},
    {"compact-dead-percent", get_config<&Config::compact_dead_percent>},
    {"compact-rate-limit", get_setting<&Settings::compact_rate_limit>, parse_compact_rate_limit},
    {"dir", [](const Services& s) { return std::filesystem::absolute(s.config.dir).string(); }},
    {"durability-prefix", [](const Services& s) { return s.settings.prefix_rules_text(); },
     parse_durability_prefix},
    {"engine", [](const Services& s) { return s.engine.stats().engine; }},
    {"io-threads", get_config<&Config::io_threads>},
    {"enable-debug-command",
     [](const Services& s) { return std::string(to_string(s.config.enable_debug_command)); }},
    {"latency-monitor-threshold", get_setting<&Settings::latency_monitor_threshold_ms>,
     parse_count<&Settings::latency_monitor_threshold_ms>},
    {"latency-tracking",
     [](const Services& s) { return std::string(s.settings.latency_tracking ? "yes" : "no"); },
     parse_latency_tracking},
    {"loglevel", [](const Services& s) { return s.config.loglevel; }},
    {"maxclients", get_setting<&Settings::maxclients>, parse_maxclients},
    {"maxmemory", get_setting<&Settings::maxmemory>, parse_maxmemory},
    {"maxmemory-clients", get_setting<&Settings::maxmemory_clients>, parse_maxmemory_clients},
    {"notify-keyspace-events", [](const Services& s) { return s.settings.notify_letters(); },
     parse_notify_keyspace_events},
    {"port", [](const Services& s) { return std::to_string(s.config.addr.port); }},
    {"proto-max-bulk-len", get_setting<&Settings::proto_max_bulk_len>, parse_proto_max_bulk_len},
    {"protected-mode",
     [](const Services& s) { return std::string(s.settings.protected_mode ? "yes" : "no"); },
     parse_protected_mode},
    {"recovery-threads", get_config<&Config::recovery_threads>},
    {"request-timeout", get_setting<&Settings::request_timeout_seconds>, parse_request_timeout},
    {"requirepass", [](const Services& s) { return s.settings.password(); }, parse_requirepass},
    {"segment-size", get_config<&Config::segment_size>},
    {"slowlog-log-slower-than", get_setting<&Settings::slowlog_log_slower_than_us>,
     parse_slowlog_log_slower_than},
    {"slowlog-max-len", get_setting<&Settings::slowlog_max_len>,
     parse_count<&Settings::slowlog_max_len>},
    {"space-amplification", get_config<&Config::space_amplification>},
    {"sync", get_sync, parse_sync},
    {"tcp-backlog", get_config<&Config::tcp_backlog>},
    {"tcp-keepalive",
     [](const Services& s) { return std::to_string(s.config.tcp_keepalive.count()); }},
    {"threads", get_config<&Config::threads>},
    {"tls-port", get_config<&Config::tls_port>},
    {"tracking-table-max-keys", get_setting<&Settings::tracking_table_max_keys>,
     parse_count<&Settings::tracking_table_max_keys>},
    {"timeout", get_setting<&Settings::timeout_seconds>, parse_timeout},
    {"unixsocket", [](const Services& s) { return s.config.unixsocket.string(); }},
    {"unixsocketperm",
     [](const Services& s) { return fmt::format("{:o}", s.config.unixsocketperm); }},
});

// The rules and certificates of TLS: options as the command line has them, which take effect for
// new connections. The files are read when all is known, since they must fit together. No name of
// a file comes from the wire: the one that is in force may be set again, which reads the file anew.
struct TlsParameter {
  std::string_view name;
  std::string_view wrong;  // what is said of a value that cannot be
};
constexpr std::string_view tls_unusable = "Unable to update TLS configuration. Check server logs.";
constexpr std::string_view not_yes_or_no = "argument must be 'yes' or 'no'";
constexpr std::string_view no_integer = "argument couldn't be parsed into an integer";

constexpr auto tls_parameters = std::to_array<TlsParameter>({
    {"tls-auth-clients", "argument(s) must be one of the following: no, yes, optional"},
    {"tls-ca-cert-dir", tls_unusable},
    {"tls-ca-cert-file", tls_unusable},
    {"tls-cert-file", tls_unusable},
    {"tls-ciphers", tls_unusable},
    {"tls-ciphersuites", tls_unusable},
    {"tls-key-file", tls_unusable},
    {"tls-key-file-pass", tls_unusable},
    {"tls-prefer-server-ciphers", not_yes_or_no},
    {"tls-protocols", tls_unusable},
    {"tls-session-cache-size", no_integer},
    {"tls-session-cache-timeout", no_integer},
    {"tls-session-caching", not_yes_or_no},
});

template <class Rows>
auto find_row(const Rows& rows, std::string_view name) -> decltype(rows.data()) {
  const auto row =
      std::find_if(rows.begin(), rows.end(), [&](const auto& r) { return r.name == name; });
  return row == rows.end() ? nullptr : &*row;
}

void reply_set_failed(ReplyWriter& reply, std::string_view name, std::string_view why) {
  std::string text = "ERR CONFIG SET failed (possibly related to argument '";
  reply.error(text.append(name).append("') - ").append(why));
}

}  // namespace

// CONFIG GET pattern [pattern ...]: a map of names and values.
void config_get(Context& context, Args args, ReplyWriter& reply) {
  const Args patterns = args.subspan(2);
  const auto asked = [patterns](std::string_view name) {
    return std::any_of(patterns.begin(), patterns.end(), [name](std::string_view pattern) {
      return glob_matches(pattern, name, Case::ignored);
    });
  };
  std::vector<std::pair<std::string_view, std::string>> found;
  for (const Parameter& parameter : parameters) {
    if (asked(parameter.name)) found.emplace_back(parameter.name, parameter.get(context.services));
  }
  Config tls_now;
  tls_now.tls = context.services.settings.tls.options();
  for (const TlsParameter& parameter : tls_parameters) {
    if (!asked(parameter.name)) continue;
    found.emplace_back(parameter.name, find_config_option(parameter.name)->show(tls_now));
  }
  for (const Constant& constant : constants) {
    if (asked(constant.name)) found.emplace_back(constant.name, constant.value);
  }
  reply.map(found.size());
  for (const auto& [name, value] : found) {
    reply.bulk(name);
    reply.bulk(value);
  }
}

// CONFIG SET parameter value [parameter value ...]: all pairs take effect, or none.
void config_set(Context& context, Args args, ReplyWriter& reply) {
  if (args.size() % 2 != 0) return reply.error(texts::syntax_error);
  std::vector<std::string> names;
  for (std::size_t i = 2; i < args.size(); i += 2) {
    std::string name = lower_case(args[i]);
    const Parameter* const parameter = find_row(parameters, name);
    const Constant* const constant = find_row(constants, name);
    const bool of_tls = find_row(tls_parameters, name) != nullptr;
    if (parameter == nullptr && constant == nullptr && !of_tls) {
      std::string text = "ERR Unknown option or number of arguments for CONFIG SET - '";
      return reply.error(text.append(as_printed(args[i])).append("'"));
    }
    if ((parameter != nullptr && parameter->parse == nullptr) ||
        (constant != nullptr && constant->set == Constant::Set::never)) {
      return reply_set_failed(reply, name, "can't set immutable config");
    }
    if (std::find(names.begin(), names.end(), name) != names.end()) {
      return reply_set_failed(reply, name, "duplicate parameter");
    }
    names.push_back(std::move(name));
  }

  std::vector<Change> changes;
  Config scratch;
  scratch.tls = context.services.settings.tls.options();
  std::string_view last_of_tls;
  for (std::size_t i = 2; i < args.size(); i += 2) {
    const std::string& name = names[i / 2 - 1];
    if (const Constant* const constant = find_row(constants, name)) {
      if (args[i + 1] == constant->value) continue;
      return reply_set_failed(
          reply, name, "this server knows no value but '" + std::string(constant->value) + "'");
    }
    if (const TlsParameter* const parameter = find_row(tls_parameters, name)) {
      const bool is_text = parameter->wrong == tls_unusable;  // else a word, in any case
      const std::string value = is_text ? std::string(args[i + 1]) : lower_case(args[i + 1]);
      const bool is_path = name.ends_with("-file") || name.ends_with("-dir");
      if (is_path && value != find_config_option(name)->show(scratch)) {
        return reply_set_failed(reply, name, "can't set immutable config");
      }
      if (find_config_option(name)->set(scratch, value)) {
        return reply_set_failed(reply, name, parameter->wrong);
      }
      last_of_tls = parameter->name;
      continue;
    }
    Parsed parsed = find_row(parameters, name)->parse(args[i + 1]);
    if (!parsed) return reply_set_failed(reply, name, parsed.error());
    changes.push_back(std::move(*parsed));
  }
  if (!last_of_tls.empty()) {
    if (const auto used = context.services.settings.tls.change(scratch.tls); !used) {
      log_warning("CONFIG SET: {}", used.error().message());
      return reply_set_failed(reply, last_of_tls, tls_unusable);
    }
  }
  for (const Change& change : changes) change(context.services.settings);
  if (std::find(names.begin(), names.end(), "requirepass") != names.end()) {
    context.services.accounts.set_default_password(context.services.settings.password());
  }
  context.services.operations.slow_log.shrink(context.services.settings.slowlog_max_len.load());
  context.services.engine.limit_compaction(context.services.settings.compact_rate_limit.load());
  reply.ok();
}

}  // namespace kvs::daemon
