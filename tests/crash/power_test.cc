// power_test.cc - figure 4: the power of a real file system is cut under a loaded server (C10, C11,
// C15), and what was acknowledged before is looked for after the journal's replay.
//
// What is acknowledged after the cut is not counted: the machine lives on here, and both file
// systems may let an fdatasync that was under way succeed although the journal has just been given
// up (the conversion of a preallocated extent fails behind its back). No reply leaves a machine
// without power.
//
//   KVS_POWER_CUTS=5000 build/release/bin/test_crash_power    so many on each file system
#include <chrono>
#include <cstdio>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "tests/crash/load.h"
#include "tests/support/loop_disk.h"
#include "tests/support/seed.h"

using namespace kvs::test;

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int cuts_default = 8;
#else
constexpr int cuts_default = 100;
#endif

// How the clients of a test ask for more than the policy of their server.
struct Wish {
  AckedWriter::Asks asks = AckedWriter::Asks::nothing;
  std::vector<std::string> arguments = {};  // more of the server
};

// Servers that sync always lose nothing, and neither do clients that ask for a sync; the others
// keep the order of each connection. Beside those that ask there are always some that do not.
void cut_again_and_again(DiskKind kind, const std::string& sync, AckedWriter::Owed owed, int cuts,
                         const Wish& wish = {}) {
  if (const std::string obstacle = loop_disk_obstacle(kind); !obstacle.empty()) {
    MESSAGE("SKIPPED: no power cuts here: ", obstacle);
    std::printf("SKIPPED: no power cuts here: %s\n", obstacle.c_str());
    return;
  }
  const std::uint64_t seed = test_seed("power cuts");
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const auto began = std::chrono::steady_clock::now();
  LoopDisk disk(kind);
  // Small segments: rotation and compaction within the few milliseconds that a cycle has.
  std::vector<std::string> arguments = {"--sync", sync, "--segment-size", "16kb", "--threads", "2"};
  arguments.insert(arguments.end(), wish.arguments.begin(), wish.arguments.end());
  ServerProcess server({.arguments = arguments, .dir = disk.path() / "data"});
  Load load(4, seed, wish.asks);
  Load undemanding(sync == "always" ? 0 : 2, seed, AckedWriter::Asks::nothing, 10);
  for (int cut = 0; cut < cuts; ++cut) {
    CAPTURE(cut);
    load.start(server);
    undemanding.start(server);
    std::this_thread::sleep_for(std::chrono::microseconds(5'000 + random() % 60'000));
    load.cut();
    undemanding.cut();
    disk.cut_power(random() % 3 == 0 ? LoopDisk::Journal::flushed : LoopDisk::Journal::lost);
    // Some are seen failing, others not even that.
    if (random() % 2 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    server.kill();
    load.join();
    undemanding.join();
    disk.remount();
    server.restart();
    const std::string wrong =
        load.check(server, owed) + undemanding.check(server, AckedWriter::Owed::order);
    REQUIRE_MESSAGE(wrong.empty(), wrong, "\nagain: KVS_SEED=", seed);
  }
  CHECK(load.acknowledged() > static_cast<std::uint64_t>(cuts));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  MESSAGE("power cuts on ", std::string(kind == DiskKind::ext4 ? "ext4" : "xfs"), " under --sync ",
          sync, ": ", cuts, " cuts, ", load.acknowledged(), " operations acknowledged, 0 lost, ",
          took.count(), " s");
}

int cuts_wanted() {
  return repetitions("KVS_POWER_CUTS", cuts_default);
}

}  // namespace

TEST_CASE("a power cut on ext4 loses nothing acknowledged under --sync always") {
  cut_again_and_again(DiskKind::ext4, "always", AckedWriter::Owed::acknowledged, cuts_wanted());
}

TEST_CASE("a power cut on xfs loses nothing acknowledged under --sync always") {
  cut_again_and_again(DiskKind::xfs, "always", AckedWriter::Owed::acknowledged, cuts_wanted());
}

TEST_CASE("a power cut under --sync everysec leaves a state that each client has seen") {
  cut_again_and_again(DiskKind::ext4, "everysec", AckedWriter::Owed::order, cuts_wanted() / 10 + 3);
}

TEST_CASE("a power cut under --sync no leaves a state that each client has seen") {
  cut_again_and_again(DiskKind::xfs, "no", AckedWriter::Owed::order, cuts_wanted() / 10 + 3);
}

TEST_CASE("a power cut under --sync no loses nothing acknowledged to a sync connection") {
  cut_again_and_again(DiskKind::ext4, "no", AckedWriter::Owed::acknowledged, cuts_wanted() / 5 + 3,
                      {.asks = AckedWriter::Asks::once});
}

TEST_CASE("a power cut under --sync everysec loses no SET that asked for a sync") {
  cut_again_and_again(DiskKind::xfs, "everysec", AckedWriter::Owed::acknowledged,
                      cuts_wanted() / 5 + 3, {.asks = AckedWriter::Asks::by_each_set});
}

TEST_CASE("a power cut under --sync no loses no key whose prefix asks for a sync") {
  // The writers that are owed everything have numbers of one digit.
  cut_again_and_again(
      DiskKind::ext4, "no", AckedWriter::Owed::acknowledged, cuts_wanted() / 5 + 3,
      {.arguments = {"--durability-prefix", "writer sync writer1 kernel writer1: sync"}});
}
