// main.cc - kvs-client: one command over one connection, then the end.
//
// Values go to stdout, everything else to stderr; the exit codes are those of the help's last
// lines.

#include <csignal>
#include <cstdio>
#include <string>
#include <string_view>

#include "cli/options.h"
#include "protocol/client/sync_client.h"

namespace kvs::cli {
namespace {

constexpr int done = 0;
constexpr int failed = 1;

int report(const Error& error) {
  std::fprintf(stderr, "%s\n", error.message().c_str());
  return failed;
}

int print_line(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fputc('\n', stdout);
  if (std::fflush(stdout) == 0) return done;
  return report(Error(Code::io, "cannot write to stdout"));
}

int run_set(client::SyncClient& client, const Options& options) {
  const Result<bool> stored = client.set(options.key, options.value);
  return stored ? done : report(stored.error());
}

int run_get(client::SyncClient& client, const Options& options) {
  const Result<std::optional<std::string>> value = client.get(options.key);
  if (!value) return report(value.error());
  return print_line(value->has_value() ? std::string_view(**value) : "Key not found");
}

int run_rm(client::SyncClient& client, const Options& options) {
  const Result<void> removed = client.remove(options.key);
  return removed ? done : report(removed.error());
}

int run(const Options& options) {
  Result<client::SyncClient> client = client::SyncClient::connect(options.address);
  if (!client) return report(client.error());
  switch (options.command) {
    case Options::Command::set:
      return run_set(*client, options);
    case Options::Command::get:
      return run_get(*client, options);
    case Options::Command::rm:
      return run_rm(*client, options);
  }
  return failed;
}

}  // namespace
}  // namespace kvs::cli

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a reader or server that went away is an error with a text
  const kvs::cli::ParseOutcome parsed = kvs::cli::parse_options(argc, argv);
  if (!parsed.options) return parsed.exit_code;
  return kvs::cli::run(*parsed.options);
}
