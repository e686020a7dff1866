// differential_test.cc - kvs-server and redis-server 7.0.15 are sent the same requests and answer
// the same, but for what meant.cc lists.
//
//   KVS_DIFFERENTIAL_COMMANDS=10000000 build/release/bin/test_differential
//   KVS_SEED=<seed> KVS_DIFFERENTIAL_COMMANDS=1 build/release/bin/test_differential     # one epoch
//
// The requests come in epochs, each of which begins with empty servers and new connections, ends
// with a comparison of everything that is stored, and has a seed of its own. What fails is played
// again in ever smaller parts, and the smallest that still fails is printed.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/differential/grammar.h"
#include "tests/differential/meant.h"
#include "tests/differential/pair.h"
#include "tests/differential/shrink.h"
#include "tests/support/seed.h"
#include "tests/support/server_process.h"
#include "tests/unit/client/redis_server.h"

using namespace kvs::test;

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t commands_default = 10'000;
#else
constexpr std::size_t commands_default = 100'000;
#endif
constexpr int shrink_seconds = 60;
constexpr std::size_t epoch_commands = 5000;
constexpr std::size_t epochs_per_restart = 5;
// From so many commands on an entry of the list that has met nothing is one too many.
constexpr std::size_t commands_that_meet_all = 10'000'000;

std::size_t commands_wanted() {
  const char* const given = std::getenv("KVS_DIFFERENTIAL_COMMANDS");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : commands_default;
}

// From shortly before where they begin to differ.
std::string told(const Mismatch& mismatch) {
  const auto [differs, unused] = std::mismatch(mismatch.redis.begin(), mismatch.redis.end(),
                                               mismatch.kvs.begin(), mismatch.kvs.end());
  const auto equal = static_cast<std::size_t>(differs - mismatch.redis.begin());
  const std::size_t from = equal < 200 ? 0 : equal - 100;
  return mismatch.what + "\n    redis: " + shown_word(mismatch.redis.substr(from, 1000)) +
         "\n    kvs:   " + shown_word(mismatch.kvs.substr(from, 1000)) + "\n";
}

// `play` gives what a script comes to on fresh servers.
template <class Play>
std::string report(const Script& script, Play play, const Mismatch& first, std::uint64_t seed) {
  // What fails in another way is another failure.
  const auto fails = [&](const Script& part) {
    const auto mismatch = play(part);
    return mismatch && mismatch->subject == first.subject;
  };
  std::string text = "the servers differ: " + told(first);
  if (!fails(script)) {
    text += "  (not again when played again)\n";
  } else {
    const Script least = shrink(script, fails, std::chrono::seconds(shrink_seconds));
    text += "the smallest script that differs:\n";
    for (const Step& step : least)
      text += "    " + shown(step) + (step.ends_run ? "" : " ...") + "\n";
    if (const auto again = play(least)) text += "which gives: " + told(*again);
  }
  return text + "  again: KVS_SEED=" + std::to_string(seed) +
         " KVS_DIFFERENTIAL_COMMANDS=1 test_differential\n";
}

}  // namespace

TEST_CASE("kvs-server answers a random stream of every shared command as redis-server does") {
  if (!RedisServer::available()) {
    std::puts("SKIPPED WHOLE PROGRAM: there is no redis-server");
    return;
  }
  const RedisServer redis;
  ServerProcess kvs({.arguments = {"--segment-size", "4mb", "--timeout", "0"}});
  ServerPair pair(redis.address().port, kvs.port());

  const CommandNames& kvs_commands = pair.kvs_commands();
  std::string missing;
  for (const std::string& name : commands_of_grammar()) {
    if (!kvs_commands.contains(name)) missing += " " + name;
  }
  if (!missing.empty()) MESSAGE("left out, since kvs does not have them:", missing);
  // Names that neither has stay in: what they are answered is compared as well.
  const auto known = [&](std::string_view name) {
    return kvs_commands.contains(name) || name == "nosuch" || name == "getx";
  };
  const auto play = [&](const Script& script) -> std::optional<Mismatch> {
    try {
      pair.reset();
      if (auto mismatch = pair.play(script)) return mismatch;
      return pair.compare_contents();
    } catch (const SocketError& error) {
      pair.disconnect();
      return Mismatch{"(silence)", "a server does not answer", "", error.what()};
    }
  };

  const std::size_t wanted = commands_wanted();
  const std::uint64_t seed = test_seed("differential");
  std::size_t failures = 0;
  std::size_t commands = 0;
  std::size_t epochs = 0;
  std::size_t restarts = 0;
  const char* const tolerated = std::getenv("KVS_DIFFERENTIAL_FAILURES");
  const std::size_t failures_max = tolerated != nullptr ? std::strtoull(tolerated, nullptr, 10) : 3;
  for (; commands < wanted && failures < failures_max; ++epochs) {
    const std::uint64_t epoch_seed = seed + epochs;
    const Script script = random_script(epoch_seed, epoch_commands, known);
    commands += script.size();
    std::optional<Mismatch> mismatch = play(script);
    if (!mismatch && (epochs + 1) % epochs_per_restart == 0) {
      pair.disconnect();
      kvs.terminate();
      kvs.restart();
      ++restarts;
      mismatch = pair.compare_contents();
      if (mismatch) mismatch->what += " (after a restart of kvs)";
    }
    if (mismatch) {
      ++failures;
      const std::string text = report(script, play, *mismatch, epoch_seed);
      MESSAGE(text);
    }
    if (epochs % 100 == 99) {
      std::fprintf(stderr, "differential: %zu commands, %zu failures\n", commands, failures);
    }
  }
  std::string stale;
  for (const MeantDifference* meant : stale_differences()) {
    stale += "\n    " + std::string(meant->command) + ": " + std::string(meant->reason);
  }
  if (!stale.empty()) {
    const std::string text = "differences that are meant and were not met:" + stale;
    MESSAGE(text);
    CHECK(commands < commands_that_meet_all);
  }
  std::fprintf(stderr, "differential: %zu commands in %zu epochs, %zu restarts, %zu differences\n",
               commands, epochs, restarts, failures);
  CHECK(failures == 0);
}
