// config_test.cc - what the command line, KVS_* and a config file make of a Config together.
#include "daemon/config.h"

#include <algorithm>
#include <sstream>

#include <doctest/doctest.h>

#include "daemon/config_options.h"
#include "tests/unit/config/parsing.h"

namespace kvs::daemon {
namespace {

using testing::Folder;
using testing::parse;
using testing::Parsed;
using testing::Variable;

// For each option a value that is not its default, as a user writes it, and as `show` returns it.
struct Sample {
  std::string_view name;
  std::string value;
  std::string shown;
};
const std::vector<Sample>& samples() {
  static const std::vector<Sample> all{
      {"addr", "[::1]:4001", "[::1]:4001"},
      {"unixsocket", "/run/kvs/kvs sock", "/run/kvs/kvs sock"},
      {"unixsocketperm", "0660", "660"},
      {"tcp-backlog", "128", "128"},
      {"tcp-keepalive", "0", "0"},
      {"tls-port", "6380", "6380"},
      {"tls-cert-file", "/srv/kvs.crt", "/srv/kvs.crt"},
      {"tls-key-file", "/srv/kvs key", "/srv/kvs key"},
      {"tls-key-file-pass", "[a secret]", "[a secret]"},
      {"tls-ca-cert-file", "/srv/ca.crt", "/srv/ca.crt"},
      {"tls-ca-cert-dir", "/srv/ca", "/srv/ca"},
      {"tls-auth-clients", "optional", "optional"},
      {"tls-protocols", "TLSv1.2 TLSv1.3", "TLSv1.2 TLSv1.3"},
      {"tls-ciphers", "HIGH:!aNULL", "HIGH:!aNULL"},
      {"tls-ciphersuites", "TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"},
      {"tls-prefer-server-ciphers", "yes", "yes"},
      {"tls-session-caching", "no", "no"},
      {"tls-session-cache-size", "0", "0"},
      {"tls-session-cache-timeout", "60", "60"},
      {"dir", "/srv/kvs data", "/srv/kvs data"},
      {"engine", "kvs", "kvs"},
      {"sync", "always", "always"},
      {"durability-prefix", "b: sync a: kernel", "a: kernel b: sync"},
      {"cache-size", "0", "0"},
      {"cold-reads", "pool", "pool"},
      {"segment-size", "1000kb", "1000kb"},
      {"compact-dead-percent", "25", "25"},
      {"recovery-threads", "2", "2"},
      {"scrub-rate", "16mb", "16mb"},
      {"backup-dir", "/srv/kvs backups", "/srv/kvs backups"},
      {"compact-rate-limit", "10mb", "10mb"},
      {"space-amplification", "200", "200"},
      {"requirepass", "[a secret]", "[a secret]"},
      {"aclfile", "/srv/users.acl", "/srv/users.acl"},
      {"protected-mode", "no", "no"},
      {"maxclients", "77", "77"},
      {"timeout", "0", "0"},
      {"request-timeout", "5", "5"},
      {"proto-max-bulk-len", "1mb", "1mb"},
      {"client-query-buffer-limit", "64MB", "64mb"},
      {"client-output-buffer-limit", "normal 256mb 32m 10", "normal 256mb 31250kb 10"},
      {"maxmemory-clients", "3gb", "3gb"},
      {"maxmemory", "8gb", "8gb"},
      {"threads", "3", "3"},
      {"io-threads", "9", "9"},
      {"notify-keyspace-events", "KEA", "KEA"},
      {"enable-debug-command", "local", "local"},
      {"slowlog-log-slower-than", "-1", "-1"},
      {"slowlog-max-len", "7", "7"},
      {"latency-monitor-threshold", "25", "25"},
      {"latency-tracking", "no", "no"},
      {"tracking-table-max-keys", "1000", "1000"},
      {"loglevel", "verbose", "debug"},
  };
  return all;
}

std::string quoted(const std::string& value) {
  return '"' + value + '"';
}

void check_shown(const Parsed& parsed, const Sample& sample) {
  REQUIRE_MESSAGE(parsed.config, parsed.err);
  for (const ConfigOption& option : config_options()) {
    // The one is changed, all others are left alone.
    const std::string expected = option.name == sample.name ? sample.shown : option.show(Config());
    CHECK_MESSAGE(option.show(*parsed.config) == expected, option.name);
  }
}

void check_fails(const Parsed& parsed, std::string_view message) {
  CHECK(!parsed.config);
  CHECK(parsed.exit_code != 0);
  CHECK(parsed.out.empty());
  CHECK(parsed.err == "kvs-server: " + std::string(message) + "\n");
}

TEST_CASE("without arguments everything has its default") {
  const Parsed parsed = parse({});
  REQUIRE(parsed.config);
  CHECK(parsed.config->addr.text == "127.0.0.1:4000");
  CHECK(parsed.config->engine.empty());
  CHECK(parsed.config->dir == ".");
  CHECK(parsed.config->sync == SyncPolicy::everysec);
  CHECK(parsed.out.empty());
  CHECK(parsed.err.empty());
}

TEST_CASE("every option works on the command line, in the environment and in a file") {
  REQUIRE(samples().size() == config_options().size());
  Folder folder;
  for (const Sample& sample : samples()) {
    CAPTURE(sample.name);
    const ConfigOption* option = find_config_option(sample.name);
    REQUIRE(option != nullptr);
    const std::string flag = "--" + std::string(sample.name);

    check_shown(parse({flag, sample.value}), sample);
    check_shown(parse({flag + "=" + sample.value}), sample);
    {
      Variable variable(environment_name(*option), sample.value);
      check_shown(parse({}), sample);
    }
    const auto file =
        folder.write("kvs.conf", std::string(sample.name) + " " + quoted(sample.value) + "\n");
    check_shown(parse({"--config", file}), sample);
  }
}

TEST_CASE("the command line wins over the environment, and that over the file") {
  Folder folder;
  std::string lines;
  for (const Sample& sample : samples()) {
    lines += std::string(sample.name) + " " + quoted(sample.value) + "\n";
  }
  const std::string file = folder.write("kvs.conf", lines);
  for (const Sample& sample : samples()) {
    CAPTURE(sample.name);
    const ConfigOption& option = *find_config_option(sample.name);
    const std::string other = option.show(Config());
    if (other.empty()) continue;  // an empty variable counts as not set

    Variable variable(environment_name(option), other);
    const Parsed from_environment = parse({"--config", file});
    REQUIRE_MESSAGE(from_environment.config, from_environment.err);
    CHECK(option.show(*from_environment.config) == other);
    const Parsed from_arguments =
        parse({"--config", file, "--" + std::string(sample.name), sample.value});
    REQUIRE_MESSAGE(from_arguments.config, from_arguments.err);
    CHECK(option.show(*from_arguments.config) == sample.shown);
  }
}

TEST_CASE("an option that is given twice has the value given last") {
  CHECK(parse({"--sync", "always", "--sync", "no"}).config->sync == SyncPolicy::no);
  const Parsed limits = parse({"--client-output-buffer-limit", "normal", "1", "2", "3",
                               "--client-output-buffer-limit", "normal 4 5 6", "--threads", "2"});
  REQUIRE_MESSAGE(limits.config, limits.err);
  CHECK(limits.config->client_output_buffer_hard == 4);
  CHECK(limits.config->client_output_buffer_soft == 5);
  CHECK(limits.config->client_output_buffer_soft_seconds == std::chrono::seconds(6));
  CHECK(limits.config->threads == 2);

  Folder folder;
  const auto file = folder.write("kvs.conf", "sync always\nappendfsync no\n");
  CHECK(parse({"--config", file}).config->sync == SyncPolicy::no);
}

TEST_CASE("rules for prefixes add up, in each of the three places") {
  Folder folder;
  const auto file = folder.write(
      "kvs.conf", "durability-prefix b: sync\ndurability-prefix \"two words\" kernel a: sync\n");
  const Parsed from_file = parse({"--config", file});
  REQUIRE_MESSAGE(from_file.config, from_file.err);
  CHECK(from_file.config->durability_prefix == "a: sync b: sync \"two words\" kernel");
  Variable variable("KVS_DURABILITY_PREFIX", "c: kernel \"d d\" sync");
  CHECK(parse({"--config", file}).config->durability_prefix == "c: kernel \"d d\" sync");
  const Parsed given =
      parse({"--config", file, "--durability-prefix", "e:", "sync", "--durability-prefix",
             "f: kernel", "--threads", "2", "--durability-prefix", "\"\" sync"});
  REQUIRE_MESSAGE(given.config, given.err);
  CHECK(given.config->durability_prefix == "\"\" sync e: sync f: kernel");
  check_fails(parse({"--durability-prefix", "e:"}),
              "--durability-prefix: expected prefixes, each followed by kernel or sync, got 'e:'");
  const auto wrong = folder.write("wrong.conf", "threads 1\ndurability-prefix e: always\n");
  Variable unset("KVS_DURABILITY_PREFIX", "");
  check_fails(parse({"--config", wrong}),
              wrong +
                  ":2: durability-prefix: expected prefixes, each followed by kernel or sync, "
                  "got 'e: always'");
}

TEST_CASE("an empty password means none, also over one of the file") {
  Folder folder;
  const auto file = folder.write("kvs.conf", "requirepass secret\n");
  CHECK(parse({"--config", file}).config->requirepass == "secret");
  CHECK(parse({"--config", file, "--requirepass", ""}).config->requirepass.empty());
  CHECK(parse({"--config", folder.write("empty.conf", "requirepass \"\"\n")}).config);
}

TEST_CASE("a mistake on the command line is one line on stderr and a failure") {
  check_fails(parse({"--addr", "localhost:4000"}),
              "--addr: expected IP:PORT or [IPv6]:PORT, got 'localhost:4000'");
  check_fails(parse({"--addr=127.0.0.1"}),
              "--addr: expected IP:PORT or [IPv6]:PORT, got '127.0.0.1'");
  check_fails(parse({"--sync", "sometimes"}),
              "--sync: expected always, everysec or no, got 'sometimes'");
  check_fails(parse({"--sync"}), "--sync: needs a value (see --help)");
  check_fails(parse({"--sync", "--threads"}),
              "--sync: expected always, everysec or no, got '--threads'");
  check_fails(parse({"--nonsense"}), "unexpected argument '--nonsense' (see --help)");
  check_fails(parse({"serve"}), "unexpected argument 'serve' (see --help)");
  check_fails(parse({"--threads", "-1"}), "--threads: expected a number from 0 to 1024, got '-1'");
  check_fails(parse({"--cache-size", "1tb"}),
              "--cache-size: expected a size such as 65536, 64kb, 100mb or 1gb, got '1tb'");
  check_fails(parse({"--proto-max-bulk-len", "1gb"}),
              "--proto-max-bulk-len: expected a size from 1mb to 512mb, got '1gb'");
  check_fails(parse({"--client-output-buffer-limit", "pubsub 1 1 1"}),
              "--client-output-buffer-limit: expected the client class 'normal', got 'pubsub'");
  check_fails(parse({"--config", "/nonexistent/kvs.conf"}),
              "cannot read '/nonexistent/kvs.conf': No such file or directory");
  check_fails(parse({"--config", "/tmp"}), "cannot read '/tmp': Is a directory");
  const Parsed engine = parse({"--engine", "sled"});
  CHECK(!engine.config);
  CHECK(engine.exit_code != 0);
  CHECK(engine.err.starts_with("kvs-server: --engine: unknown engine 'sled', known are: "));
}

TEST_CASE("control characters of an argument do not reach the terminal") {
  check_fails(parse({"--sync", "a\nb\x1b[31m"}),
              "--sync: expected always, everysec or no, got 'a\\nb\\x1b[31m'");
  check_fails(parse({"--a\nb"}), "unexpected argument '--a\\nb' (see --help)");
}

TEST_CASE("a mistake in the environment names the variable") {
  Variable variable("KVS_IO_THREADS", "many");
  check_fails(parse({}), "KVS_IO_THREADS: expected a number from 0 to 1024, got 'many'");
  CHECK(parse({"--io-threads", "4"}).config);
}

TEST_CASE("a mistake in a file names file and line, with and without --check-config") {
  Folder folder;
  struct Row {
    std::string text;
    unsigned line;
    std::string message;
  };
  const std::vector<Row> rows{
      {"# comment\n\nfoo 1\n", 3, "unknown directive 'foo'"},
      {"sync always\nsync never\n", 2, "sync: expected always, everysec or no, got 'never'"},
      {"SYNC\n", 1, "sync needs a value"},
      {"maxclients 10 # ten\n", 1, "maxclients takes one value"},
      {"dir \"/tmp\n", 1, "unbalanced quotes"},
      {"dir \"/tmp\"x\n", 1, "a closing quote must be followed by a blank"},
      {"port 70000\n", 1, "expected a port number, got '70000'"},
      {"bind 127.0.0.1 -::1\n", 1, "expected one numeric address, got '127.0.0.1 -::1'"},
      {"\n\naddr example.org:1\n", 3, "expected IP:PORT or [IPv6]:PORT, got 'example.org:1'"},
      {"config other.conf\n", 1, "unknown directive 'config'"},
      {"check-config yes\n", 1, "unknown directive 'check-config'"},
      {"include\n", 1, "include takes one file name"},
      {"a\\b\x01 1\n", 1, "unknown directive 'a\\\\b\\x01'"},
  };
  for (const Row& row : rows) {
    const std::string file = folder.write("kvs.conf", row.text);
    const std::string message = file + ":" + std::to_string(row.line) + ": " + row.message;
    check_fails(parse({"--config", file}), message);
    check_fails(parse({"--config", file, "--check-config"}), message);
    Variable variable("KVS_CONFIG", file);
    check_fails(parse({}), message);
  }
}

TEST_CASE("a mistake in a file counts even where the environment or an argument wins") {
  Folder folder;
  const std::string file = folder.write("kvs.conf", "sync never\n");
  const std::string message = file + ":1: sync: expected always, everysec or no, got 'never'";
  check_fails(parse({"--config", file, "--sync", "no"}), message);
  Variable variable("KVS_SYNC", "always");
  check_fails(parse({"--config", file}), message);
}

TEST_CASE("--check-config says so when the configuration is right, and ends") {
  Folder folder;
  const std::string file = folder.write("kvs.conf", "sync always\n");
  const Parsed parsed = parse({"--config", file, "--check-config"});
  CHECK(!parsed.config);
  CHECK(parsed.exit_code == 0);
  CHECK(parsed.out == file + ": configuration is valid\n");
  CHECK(parsed.err.empty());
  CHECK(parse({"--check-config"}).out == "configuration is valid\n");
  CHECK(parse({"--check-config", "--sync", "x"}).exit_code != 0);
}

TEST_CASE("port and bind are the two halves of addr") {
  Folder folder;
  const auto address = [&](const std::string& text) {
    const Parsed parsed = parse({"--config", folder.write("kvs.conf", text)});
    return parsed.config ? parsed.config->addr.text : parsed.err;
  };
  CHECK(address("port 6379\n") == "127.0.0.1:6379");
  CHECK(address("bind 0.0.0.0\n") == "0.0.0.0:4000");
  CHECK(address("bind ::1\nport 6379\n") == "[::1]:6379");
  CHECK(address("port 6379\nbind ::\n") == "[::]:6379");
  CHECK(address("addr 10.0.0.1:1\nport 2\n") == "10.0.0.1:2");
  CHECK(address("port 2\naddr 10.0.0.1:1\n") == "10.0.0.1:1");
  Variable variable("KVS_ADDR", "10.9.8.7:6");
  CHECK(address("port 2\n") == "10.9.8.7:6");
}

TEST_CASE("--version and --help win over a broken config file") {
  Folder folder;
  const std::string file = folder.write("kvs.conf", "foo\n");
  for (const char* flag : {"-V", "--version"}) {
    const Parsed version = parse({"--config", file, flag});
    CHECK(!version.config);
    CHECK(version.exit_code == 0);
    CHECK(version.out == "kvs-server " KVS_VERSION "\n");
    CHECK(version.err.empty());
  }
  for (const char* flag : {"-h", "--help"}) {
    const Parsed help = parse({flag, "--config", file});
    CHECK(!help.config);
    CHECK(help.exit_code == 0);
    CHECK(help.out.starts_with("kvs-server"));
    CHECK(help.err.empty());
  }
}

TEST_CASE("--help names every option with its default and fits 100 columns") {
  const std::string help = parse({"--help"}).out;
  for (const ConfigOption& option : config_options()) {
    CAPTURE(option.name);
    const std::string shown = option.show(Config());
    std::string row = "\n  --" + std::string(option.name) + " " + std::string(option.argument);
    if (!shown.empty()) row += "   [" + shown + "]";
    CHECK(help.find(row + "\n") != help.npos);
  }
  for (const char* flag : {"--config FILE", "--check-config", "-h, --help", "-V, --version"}) {
    CHECK_MESSAGE(help.find(flag) != help.npos, flag);
  }
  std::istringstream lines(help);
  for (std::string line; std::getline(lines, line);) CHECK_MESSAGE(line.size() <= 100, line);
}

TEST_CASE("parsing leaves nothing behind for the next time") {
  REQUIRE(parse({"--sync", "no", "--threads", "7"}).config);
  CHECK(!parse({"--bad"}).config);
  const Parsed again = parse({});
  REQUIRE(again.config);
  CHECK(again.config->sync == SyncPolicy::everysec);
  CHECK(again.config->threads == 0);
}

}  // namespace
}  // namespace kvs::daemon
