// main.cc - kvs-server: reads the configuration, wires the parts, serves until a signal, and takes
// them down in reverse.

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <malloc.h>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/ranges.h>
#include <uv.h>

#include "daemon/acl/accounts.h"
#include "daemon/acl/user_list.h"
#include "daemon/activation.h"
#include "daemon/backups.h"
#include "daemon/client_registry.h"
#include "daemon/command_table.h"
#include "daemon/config.h"
#include "daemon/context.h"
#include "daemon/durability.h"
#include "daemon/expired_keys.h"
#include "daemon/limits.h"
#include "daemon/listener.h"
#include "daemon/load_status.h"
#include "daemon/loading.h"
#include "daemon/log.h"
#include "daemon/maintenance.h"
#include "daemon/maintenance_commands.h"
#include "daemon/metrics.h"
#include "daemon/notify.h"
#include "daemon/operations.h"
#include "daemon/server.h"
#include "daemon/settings.h"
#include "daemon/unix_socket.h"
#include "daemon/watches.h"
#include "protocol/file_reads/file_reads.h"
#include "protocol/uv/handle.h"
#include "protocol/uv/loop.h"
#include "storage/options.h"

namespace kvs::daemon {
namespace {

// Descriptors beside those of clients: log files, loops, the pool's.
constexpr rlim_t other_descriptors = 256;

unsigned worker_count(const Config& config) {
  // One core is left to the pool, which does the work of whatever is written.
  return config.threads != 0 ? config.threads
                             : std::max(2U, std::thread::hardware_concurrency()) - 1;
}

void raise_descriptor_limit(const Config& config) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = config.maxclients + other_descriptors;
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = std::min(wanted, limit.rlim_max);
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted) {
    log_warning("the limit of open files is {}: not enough for maxclients {}", limit.rlim_cur,
                config.maxclients);
  }
}

EngineOptions engine_options(const Config& config) {
  EngineOptions options;
  options.directory = config.dir;
  options.segment_bytes = config.segment_size;
  options.cache_bytes = config.cache_size;
  options.space_amplification_percent = config.space_amplification;
  options.compact_dead_percent = config.compact_dead_percent;
  options.recovery_threads = config.recovery_threads;
  options.scrub_bytes_per_second = config.scrub_rate;
  options.compact_rate_limit_bytes = config.compact_rate_limit;
  options.log = [](EngineOptions::Severity severity, std::string_view text) {
    switch (severity) {
      case EngineOptions::Severity::info:
        return log_line(LogLevel::info, text);
      case EngineOptions::Severity::warning:
        return log_line(LogLevel::warning, text);
      case EngineOptions::Severity::error:
        return log_line(LogLevel::error, text);
    }
  };
  return options;
}

// Large buffers (values of megabytes on their way) go back to the system when they are freed. Left
// to itself glibc raises this threshold after the first of them and then keeps them, per thread.
void return_large_buffers() {
  constexpr int threshold_bytes = 4 << 20;
  mallopt(M_MMAP_THRESHOLD, threshold_bytes);
}

int fail_start(const Error& error) {
  log_error("{}", error.message());
  return EXIT_FAILURE;
}

// How many of the pool's threads cold reads may occupy, so that nothing else waits for them; none
// with io_uring. Says so when that cannot be had.
unsigned cold_read_threads(const Config& config) {
  const unsigned threads = worker_count(config) * limits::cold_read_jobs_max;
  if (config.cold_reads == ColdReadMethod::pool) return threads;
  const auto ring = uv::try_io_uring();
  if (ring) return 0;
  if (config.cold_reads == ColdReadMethod::io_uring) {
    log_warning("cold reads use the pool: {}", ring.error().message());
  } else {
    log_info("cold reads use the pool: {}", ring.error().message());
  }
  return threads;
}

// Calls `act` on each signal `number`.
class Signal {
 public:
  Signal(uv::Loop& loop, int number, std::function<void()> act)
      : act_(std::move(act)), handle_(uv::make_handle<uv_signal_t>([&](uv_signal_t* handle) {
          uv_signal_init(loop.raw(), handle);
        })) {
    handle_->data = this;
    uv_signal_start(
        handle_.get(), [](uv_signal_t* handle, int) { static_cast<Signal*>(handle->data)->act_(); },
        number);
  }

 private:
  const std::function<void()> act_;
  const uv::HandlePtr<uv_signal_t> handle_;
};

// What has been listening for less than this waits for its data rather than say that it is loading:
// connections queue in the kernel meanwhile, and small directories are never seen loading.
constexpr std::chrono::milliseconds unseen_load_time{200};

// Serves until a signal, also on the sockets that were `passed`. `status`, `stop_loading` and
// `expired_keys` are those that `engine` was prepared with.
int serve(const Config& config, const std::vector<PassedSocket>& passed, Engine& engine,
          LoadStatus& status, std::stop_source& stop_loading, ExpiredKeys& expired_keys) {
  const unsigned workers = worker_count(config);
  const CommandTable commands(
      {string_commands(),        counter_commands(),     generic_commands(),     expiry_commands(),
       scan_commands(),          connection_commands(),  client_commands(),      server_commands(),
       introspection_commands(), transaction_commands(), pubsub_commands(),      bitmap_commands(),
       conditional_commands(),   subsequence_commands(), hyperloglog_commands(), dump_commands(),
       script_commands(),        backup_commands(),      kvs_commands(),         slowlog_commands(),
       latency_commands(),       memory_commands(),      operating_commands(),   acl_commands()});
  Settings settings(config);
  if (auto read = settings.tls.reload(); !read) return fail_start(read.error());
  ClientRegistry clients;
  Metrics metrics(workers);
  Watches watches;
  SyncTurn turn(engine);
  PubSub pubsub(settings);
  Operations operations(settings);
  acl::Accounts accounts(commands, config.requirepass);
  if (auto ready = acl::load_users_at_start(config, accounts); !ready) {
    return fail_start(ready.error());
  }
  Services services{config,  commands, engine, settings,   clients,  metrics,
                    watches, turn,     pubsub, operations, accounts, status};

  turn.observe([&](std::chrono::nanoseconds took) { operations.latency.note("sync", took); });
  expired_keys.listen(services);

  Backups backups(services, config.backup_dir);
  services.backups = &backups;

  uv::Loop loop;
  Loading loading(loop, engine, status);
  Maintenance maintenance(loop, services, turn);
  Server server(services, turn, workers);
  std::vector<std::string> addresses;
  for (const PassedSocket& socket : passed) {
    const bool encrypted = socket.name == "tls";
    if (encrypted && config.tls_port == 0) {
      return fail_start({Code::invalid,
                         "the service manager has passed a socket named 'tls', but "
                         "there is no tls-port"});
    }
    server.listen(socket.fd, encrypted ? Server::Encryption::tls : Server::Encryption::none);
    addresses.push_back(socket.address + (encrypted ? " (TLS, passed)" : " (passed)"));
  }
  // What is passed takes the place of the options' ports.
  const bool own_ports = passed.empty();
  if (own_ports && has_plain_port(config)) {
    const auto port = server.listen(config.addr, Server::Encryption::none);
    if (!port) return fail_start(port.error());
    addresses.push_back(with_port(config.addr, *port));
  }
  if (own_ports && config.tls_port != 0) {
    const auto port = server.listen(tls_address(config), Server::Encryption::tls);
    if (!port) return fail_start(port.error());
    addresses.push_back(with_port(config.addr, *port) + " (TLS)");
  }
  std::optional<UnixSocket> path;  // until everything has ended
  if (!config.unixsocket.empty()) {
    auto opened = UnixSocket::open(config.unixsocket, config.unixsocketperm, config.tcp_backlog);
    if (!opened) return fail_start(opened.error());
    path.emplace(std::move(*opened));
    server.listen(path->fd(), Server::Encryption::none);
    addresses.push_back(config.unixsocket.string());
  }

  // Clients can connect from here on; whoever is answered finds this line in the log.
  log_info("kvs-server {} with engine {} listening on {}", KVS_VERSION, engine.stats().engine,
           fmt::join(addresses, ", "));

  int exit_code = EXIT_SUCCESS;
  bool stopping = false;
  bool workers_run = false;
  bool workers_ended = false;
  // Ends the loop when neither the workers nor the loading need it any more.
  const auto end_if_idle = [&] {
    if (!stopping || !workers_ended || loading.running()) return;
    maintenance.stop([&] { loop.stop(); });
  };
  const auto stop = [&] {
    if (std::exchange(stopping, true)) return;
    stop_loading.request_stop();
    tell_systemd("STOPPING=1");
    server.stop([&] {
      loop.post([&] {
        workers_ended = true;
        end_if_idle();
      });
    });
  };
  operations.shut_down = [&] {
    loop.post([&] {
      log_info("SHUTDOWN: finishing what has been begun");
      stop();
    });
  };
  const auto stop_on = [&](const char* name) {
    if (stopping) return;
    log_info("received {}: finishing what has been begun", name);
    stop();
  };
  const Signal terminate(loop, SIGTERM, [&] { stop_on("SIGTERM"); });
  const Signal interrupt(loop, SIGINT, [&] { stop_on("SIGINT"); });
  std::optional<Signal> hang_up;  // without TLS it ends the server, as it does any program
  if (config.tls_port != 0) {
    hang_up.emplace(loop, SIGHUP, [&] {
      if (const auto read = settings.tls.reload(); !read) {
        log_error("received SIGHUP: the old certificates stay: {}", read.error().message());
      } else {
        log_info("received SIGHUP: new connections get the certificates that are there now");
      }
    });
  }
  loading.start(unseen_load_time, [&](const Result<void>& loaded) {
    if (!loaded && !(stopping && loaded.error().code() == Code::cancelled)) {
      exit_code = fail_start(loaded.error());
      if (workers_run) stop();
    } else if (loaded && !stopping) {
      maintenance.start();
      tell_systemd("READY=1\nSTATUS=Ready to accept connections");
    }
    end_if_idle();
  });
  if (exit_code != EXIT_SUCCESS) return exit_code;

  workers_run = true;
  server.start();
  loop.run();
  server.join();
  backups.stop();
  return exit_code;
}

Result<void> check_addresses_free(const Config& config, const std::vector<PassedSocket>& passed) {
  if (passed.empty() && config.addr.port != 0) {
    if (auto free = Listener::probe(config.addr); !free) return free;
  }
  if (passed.empty() && config.tls_port != 0) {
    if (auto free = Listener::probe(tls_address(config)); !free) return free;
  }
  return config.unixsocket.empty() ? Result<void>() : UnixSocket::probe(config.unixsocket);
}

int run(int argc, char** argv) {
  const ParseOutcome parsed = parse_config(argc, argv);
  if (!parsed.config) return parsed.exit_code;
  const Config& config = *parsed.config;
  if (const auto level = parse_log_level(config.loglevel)) set_log_level(*level);

  if (config.one_shot.kind != OneShot::Kind::none) {
    return run_one_shot(config, engine_options(config));
  }
  if (auto usable = check_usable(config); !usable) return fail_start(usable.error());
  // libuv reads this when its pool starts, which is at the first job.
  const unsigned enough = worker_count(config) + 4 + cold_read_threads(config);
  const unsigned io_threads = config.io_threads != 0 ? config.io_threads : enough;
  setenv("UV_THREADPOOL_SIZE", std::to_string(io_threads).c_str(), 1);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a file at its limit (ulimit -f) is a full disk
  return_large_buffers();
  raise_descriptor_limit(config);

  // Before the directory is touched: a second server must find out without side effects.
  const auto passed = passed_sockets();
  if (!passed) return fail_start(passed.error());
  if (auto free = check_addresses_free(config, *passed); !free) return fail_start(free.error());
  LoadStatus status;
  std::stop_source stop_loading;
  EngineOptions options = engine_options(config);
  options.on_load_progress = [&status](const LoadProgress& progress) { status.update(progress); };
  ExpiredKeys expired_keys;
  options.on_expired = [&expired_keys](Key key) { expired_keys.tell(key); };
  options.stop_loading = stop_loading.get_token();
  auto engine = prepare_engine(config.engine, std::move(options));
  if (!engine) return fail_start(engine.error());
  const int exit_code = serve(config, *passed, **engine, status, stop_loading, expired_keys);
  if (status.loading()) {
    // Nothing has been changed, so there is nothing to close.
    if (exit_code == EXIT_SUCCESS) log_info("stopped before the data was read; bye");
    return exit_code;
  }
  if (auto closed = (*engine)->close(); !closed) return fail_start(closed.error());
  if (exit_code == EXIT_SUCCESS) log_info("all acknowledged writes are safe; bye");
  return exit_code;
}

}  // namespace
}  // namespace kvs::daemon

int main(int argc, char** argv) {
  kvs::daemon::start_log();
  return kvs::daemon::run(argc, argv);
}
