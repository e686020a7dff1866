// many_records.cc - loads very many small records, changes some, compacts, is killed, and verifies
// every one of them: the 100,000,000-record run, and the same in small as a test.
//
//   many_records DIRECTORY COUNT        DIRECTORY must not exist; it is left for a look
//
// A child process does the writing and is killed with SIGKILL while it goes on writing; this
// process then opens the directory. What a record should hold follows from its number, so nothing
// has to be remembered: every fourth was overwritten, every twentieth removed. Records that the
// child was still adding when it died must be there up to the last one that it reported.
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "storage/options.h"

using namespace kvs;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::uint64_t session_records = 1000;

[[noreturn]] void give_up(const std::string& what) {
  std::fprintf(stderr, "many_records: %s\n", what.c_str());
  std::exit(1);
}

std::string key_of(std::uint64_t i) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "key:%012llu", static_cast<unsigned long long>(i));
  return text.data();
}

std::string value_of(std::uint64_t i, int version) {
  return std::to_string(i * 2654435761U % 100'000'007) + "." + std::to_string(version);
}

bool overwritten(std::uint64_t i) {
  return i % 4 == 1;
}
bool removed(std::uint64_t i) {
  return i % 20 == 7;
}

EngineOptions options_for(const std::filesystem::path& directory) {
  EngineOptions options;
  options.directory = directory;
  options.cache_bytes = std::uint64_t{64} << 20;
  return options;
}

std::unique_ptr<Engine> must_open(const std::filesystem::path& directory) {
  auto engine = open_engine("", options_for(directory));
  if (!engine) give_up(engine.error().message());
  return std::move(*engine);
}

double seconds_since(Clock::time_point began) {
  return std::chrono::duration<double>(Clock::now() - began).count();
}

// The most memory this process has had.
double peak_gib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / (1024 * 1024);
}

// Sessions of writes to all numbers below `count` that `chosen` names.
template <class Chosen, class Write>
void write_all(Engine& engine, std::uint64_t count, Chosen chosen, Write write) {
  for (std::uint64_t i = 0; i < count;) {
    auto session = engine.begin();
    if (!session) give_up(session.error().message());
    for (std::uint64_t n = 0; n < session_records && i < count; ++i) {
      if (!chosen(i)) continue;
      write(**session, i);
      ++n;
    }
    if (auto committed = (*session)->commit(); !committed) give_up(committed.error().message());
  }
}

// What the daemon's maintenance does: a sync a second, and slices of background work.
class Maintenance {
 public:
  explicit Maintenance(Engine& engine) : engine_(engine), thread_([this] { run(); }) {}
  ~Maintenance() {
    stop_ = true;
    thread_.join();
  }
  Maintenance(const Maintenance&) = delete;
  Maintenance& operator=(const Maintenance&) = delete;

 private:
  void run() {
    auto synced = Clock::now();
    while (!stop_) {
      const bool more = engine_.maintain(std::chrono::milliseconds(20));
      if (seconds_since(synced) > 1) {
        if (auto done = engine_.sync(); !done) give_up(done.error().message());
        synced = Clock::now();
      }
      if (!more) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }

  Engine& engine_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

void report(const char* what, Clock::time_point began, std::uint64_t records,
            const Engine& engine) {
  const EngineStats stats = engine.stats();
  const double took = seconds_since(began);
  std::printf("%-10s %8.1f s  %9.0f records/s  %7.2f GiB on disk  %6.2f GiB index  %6.2f GiB RSS\n",
              what, took, static_cast<double>(records) / took,
              static_cast<double>(stats.disk_bytes) / (1 << 30),
              static_cast<double>(stats.index_bytes) / (1 << 30), peak_gib());
  std::fflush(stdout);
}

// Never returns: writes to `progress` how many further records are acknowledged, until it is
// killed.
void child(const std::filesystem::path& directory, std::uint64_t count, int progress) {
  const auto engine = must_open(directory);
  {
    const Maintenance maintenance(*engine);
    auto began = Clock::now();
    write_all(
        *engine, count, [](std::uint64_t) { return true; },
        [](WriteSession& session, std::uint64_t i) {
          session.put({0, key_of(i)}, value_of(i, 1), never);
        });
    report("load", began, count, *engine);
    began = Clock::now();
    write_all(
        *engine, count, [](std::uint64_t i) { return overwritten(i) || removed(i); },
        [](WriteSession& session, std::uint64_t i) {
          if (removed(i)) {
            session.remove({0, key_of(i)});
          } else {
            session.put({0, key_of(i)}, value_of(i, 2), never);
          }
        });
    report("change", began, count * 3 / 10, *engine);
  }
  const auto began = Clock::now();
  engine->request_compaction();
  // A failed run rests before it is tried again, so an idle answer is asked for twice.
  for (int idle = 0; idle < 2;) {
    idle = engine->maintain(std::chrono::milliseconds(100)) ? 0 : idle + 1;
  }
  report("compact", began, count, *engine);
  const Maintenance maintenance(*engine);
  for (std::uint64_t i = count;; ++i) {
    auto session = engine->begin();
    if (!session) give_up(session.error().message());
    (*session)->put({0, key_of(i)}, value_of(i, 1), never);
    if (!(*session)->commit()) give_up("commit");
    const std::uint64_t acknowledged = i + 1;
    if (write(progress, &acknowledged, sizeof acknowledged) != sizeof acknowledged) std::abort();
  }
}

// Returns how many records below `count` are not what they should be.
std::uint64_t wrong_records(Engine& engine, std::uint64_t count, std::uint64_t acknowledged) {
  std::atomic<std::uint64_t> wrong{0};
  std::atomic<std::uint64_t> next{0};
  const auto verify = [&] {
    constexpr std::uint64_t piece = 10'000;
    std::string value;
    for (std::uint64_t from = next.fetch_add(piece); from < acknowledged;
         from = next.fetch_add(piece)) {
      for (std::uint64_t i = from; i < std::min(from + piece, acknowledged); ++i) {
        auto read = engine.get({0, key_of(i)}, Access::may_block, value);
        const bool present = i >= count || !removed(i);
        const int version = i < count && overwritten(i) && !removed(i) ? 2 : 1;
        const bool right =
            read && read->has_value() == present && (!present || value == value_of(i, version));
        if (!right) ++wrong;
      }
    }
  };
  std::thread other(verify);
  verify();
  other.join();
  return wrong;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) give_up("usage: many_records DIRECTORY COUNT");
  const std::filesystem::path directory = argv[1];
  const std::uint64_t count = std::strtoull(argv[2], nullptr, 10);
  if (count < 1000) give_up("COUNT must be 1000 or more");
  if (std::filesystem::exists(directory)) give_up(directory.string() + " exists");

  int ends[2];
  if (pipe(ends) != 0) give_up("pipe");
  const pid_t pid = fork();
  if (pid < 0) give_up("fork");
  if (pid == 0) {
    close(ends[0]);
    child(directory, count, ends[1]);
  }
  close(ends[1]);
  // Some thousands of further records, then the end in the middle of one.
  std::uint64_t acknowledged = 0;
  std::uint64_t heard = 0;
  while (read(ends[0], &acknowledged, sizeof acknowledged) == sizeof acknowledged) {
    if (++heard == 5000) kill(pid, SIGKILL);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  if (!WIFSIGNALED(status) || heard < 5000) give_up("the writer ended by itself");

  auto began = Clock::now();
  auto engine = must_open(directory);
  report("restart", began, count, *engine);
  began = Clock::now();
  const std::uint64_t wrong = wrong_records(*engine, count, acknowledged);
  report("verify", began, acknowledged, *engine);

  std::uint64_t expected = acknowledged;
  for (std::uint64_t i = 0; i < count; ++i) expected -= removed(i) ? 1 : 0;
  const std::uint64_t keys = engine->database_stats(0).keys;
  // The record that was being written may have been committed, and nobody was told.
  const bool right_count = keys == expected || keys == expected + 1;
  std::printf("%llu records of %llu keys verified after a kill: %llu wrong\n",
              static_cast<unsigned long long>(acknowledged), static_cast<unsigned long long>(keys),
              static_cast<unsigned long long>(wrong));
  if (auto closed = engine->close(); !closed) give_up(closed.error().message());
  if (!right_count) give_up("expected " + std::to_string(expected) + " keys");
  return wrong == 0 ? 0 : 1;
}
