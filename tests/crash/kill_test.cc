// kill_test.cc - figure 5: SIGKILL again and again under load, at random times and at chosen system
// calls; nothing acknowledged is lost under any policy, and a transaction is there whole or not.
//
//   KVS_KILLS=5000 build/release/bin/test_crash_kill    so many at random times
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "tests/crash/load.h"
#include "tests/support/seed.h"

using namespace kvs::test;

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kills_default = 12;
#else
constexpr int kills_default = 150;
#endif

constexpr const char* strace = "/usr/bin/strace";

std::vector<std::string> arguments_for(std::uint64_t choice) {
  constexpr const char* policies[] = {"always", "everysec", "no"};
  constexpr const char* segments[] = {"16kb", "64kb", "64mb"};
  return {"--sync", policies[choice % 3], "--segment-size", segments[choice / 3 % 3]};
}

}  // namespace

TEST_CASE("SIGKILL at any time loses nothing acknowledged, under any policy, again and again") {
  const std::uint64_t seed = test_seed("kills");
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const int kills = repetitions("KVS_KILLS", kills_default);
  const auto began = std::chrono::steady_clock::now();
  std::uint64_t acknowledged = 0;
  constexpr int kills_per_server = 25;
  for (int kill = 0; kill < kills;) {
    const std::vector<std::string> arguments = arguments_for(random());
    CAPTURE(arguments[1]);
    CAPTURE(arguments[3]);
    ServerProcess server({.arguments = arguments});
    Load load(4, seed + static_cast<std::uint64_t>(kill));
    for (int i = 0; i < kills_per_server && kill < kills; ++i, ++kill) {
      CAPTURE(kill);
      load.start(server);
      std::this_thread::sleep_for(std::chrono::microseconds(2'000 + random() % 80'000));
      server.kill();
      load.join();
      CHECK(load.refusals().empty());
      server.restart();
      const std::string wrong = load.check(server, AckedWriter::Owed::acknowledged);
      REQUIRE_MESSAGE(wrong.empty(), wrong, "\nagain: KVS_SEED=", seed);
    }
    acknowledged += load.acknowledged();
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  MESSAGE("kills at random times: ", kills, ", ", acknowledged,
          " operations acknowledged, 0 lost, ", took.count(), " s");
}

TEST_CASE("SIGKILL at chosen system calls loses nothing acknowledged") {
  if (!std::filesystem::exists(strace)) {
    MESSAGE("SKIPPED: strace is not installed");
    return;
  }
  const std::uint64_t seed = test_seed("kills at calls");
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const int kills = repetitions("KVS_KILLS", kills_default) / 3;
  constexpr const char* calls[] = {"pwrite64",  "pwrite64", "fdatasync", "fsync",
                                   "ftruncate", "renameat", "unlinkat",  "fallocate"};
  std::uint64_t acknowledged = 0;
  int met = 0;
  for (int kill = 0; kill < kills; ++kill) {
    const std::string call = calls[random() % std::size(calls)];
    // Writes are many, and each thread counts its own.
    const std::uint64_t often = call == "pwrite64" ? 100 : call == "fdatasync" ? 10 : 3;
    const std::string when = std::to_string(1 + random() % often);
    CAPTURE(kill);
    CAPTURE(call);
    CAPTURE(when);
    const std::vector<std::string> arguments = arguments_for(random() % 6);
    Load load(3, seed + static_cast<std::uint64_t>(kill));
    const kvs::test::TempDir dir;
    {
      // A first life, so that the killed one begins with a recovery.
      ServerProcess server({.arguments = arguments, .dir = dir.path()});
      load.start(server);
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      server.kill();
      load.join();
      server.restart();
      const std::string wrong = load.check(server, AckedWriter::Owed::acknowledged);
      REQUIRE_MESSAGE(wrong.empty(), wrong);
      server.kill();
    }
    try {
      // The leak checker cannot work in a process that is traced.
      ServerProcess server(
          {.arguments = arguments,
           .environment = {"ASAN_OPTIONS=detect_leaks=0"},
           .dir = dir.path(),
           .launcher = {strace, "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + call, "-e",
                        "inject=" + call + ":signal=KILL:when=" + when}});
      load.start(server);
      if (server.wait_for_exit(std::chrono::milliseconds(400))) {
        ++met;
      } else {
        server.kill();
      }
      load.join();
    } catch (const std::runtime_error&) {
      ++met;  // killed while it started
    }
    acknowledged += load.acknowledged();
    ServerProcess server({.arguments = arguments, .dir = dir.path()});
    const std::string wrong = load.check(server, AckedWriter::Owed::acknowledged);
    REQUIRE_MESSAGE(wrong.empty(), wrong, "\nagain: KVS_SEED=", seed);
  }
  CHECK(met > kills / 4);
  MESSAGE("kills at system calls: ", kills, " runs, ", met, " killed by the call, ", acknowledged,
          " operations acknowledged, 0 lost");
}
