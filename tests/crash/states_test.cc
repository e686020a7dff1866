// states_test.cc - figure 1: as many crash states as there is time for (C9-C13, C24).
//
// An engine lives a random life on a simulated disk; before each call that changes the disk, the
// power is cut on several copies of it, each in another of the states that the rules allow, and
// each copy is opened and compared with the model. The life itself goes on: one life of a few
// hundred calls costs no more than its copies do.
//
// In every third engine's life one call fails, so that what a failure leaves is cut off, too (C15).
//
//   KVS_CRASH_STATES=10000000 build/release/bin/test_crash_states    the long run
//   KVS_SEED=<seed> KVS_CRASH_STATES=1 ...                           one life again
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <random>
#include <set>
#include <string>

#include <doctest/doctest.h>

#include "tests/crash/survivor.h"
#include "tests/support/seed.h"
#include "tests/support/sim_fs.h"
#include "tests/support/storage_model.h"

using namespace kvs;
using namespace kvs::test;

namespace {

std::uint64_t states_wanted(std::uint64_t otherwise) {
  const char* given = std::getenv("KVS_CRASH_STATES");
  return given == nullptr ? otherwise : std::strtoull(given, nullptr, 10);
}

class CrashLife {
 public:
  CrashLife(std::uint64_t seed, CrashCounts& counts)
      : random_(seed), counts_(counts), workload_(seed, shape_for(random_)) {
    constexpr std::uint64_t segment_sizes[] = {400, 400, 400, 700, 1500};
    segment_bytes_ = segment_sizes[random_() % 5];
    constexpr std::size_t sector_sizes[] = {32, 32, 32, 64, 512, 4096};
    fs_->sector_bytes = sector_sizes[random_() % 6];
  }

  // Lives, closes, is killed, is opened again. Returns what was wrong, or an empty text.
  std::string run() {
    constexpr int lives = 4;
    for (int life = 0; life < lives && problem_.empty(); ++life) {
      fault_at_ = random_() % 3 == 0 ? 1 + random_() % 150 : 0;
      fault_ = random_() % 2 == 0 ? EIO : ENOSPC;
      std::string problem = live();
      fs_->hook = nullptr;
      if (problem_.empty()) problem_ = std::move(problem);
    }
    return problem_;
  }

 private:
  static WorkloadOptions shape_for(std::mt19937_64& random) {
    WorkloadOptions shape;
    constexpr unsigned keys[] = {2, 4, 6, 12};
    constexpr std::size_t values[] = {10, 60, 60, 200, 600};
    shape.keys = keys[random() % 4];
    shape.databases = 1 + random() % 3;
    shape.value_bytes_max = values[random() % 5];
    shape.deadlines = random() % 4 != 0;
    shape.clears = random() % 4 != 0;
    return shape;
  }

  // One engine from its open to its end. One call may fail: what fails because of it is no problem,
  // and the disk is looked at afterwards all the same.
  std::string live() {
    calls_ = 0;
    fs_->hook = [this](SimCall, const std::string&, std::uint64_t) {
      // Longer lives find more than ones that are looked at everywhere.
      if (random_() % 3 == 0) look();
      if (!problem_.empty()) return EIO;
      return ++calls_ == fault_at_ ? fault_ : 0;
    };
    const auto failed = [this](std::string text) {
      return problem_.empty() && (fault_at_ == 0 || calls_ < fault_at_) ? std::move(text)
                                                                        : std::string();
    };
    auto engine = open_engine("", crash_options(fs_, workload_, segment_bytes_));
    if (!engine) return failed("open: " + engine.error().message());
    workload_.adopt(workload_.newest());
    const std::string right = to_text(visible(workload_.newest(), workload_.now()));
    const std::string found = to_text(contents(**engine));
    if (found != right) return "opened with " + found + "instead of " + right;
    const std::uint64_t steps = 10 + random_() % 60;
    for (std::uint64_t i = 0; i < steps && problem_.empty(); ++i) {
      if (!workload_.step(**engine) && !failed("a step").empty()) return "a step failed";
    }
    if (problem_.empty() && random_() % 2 == 0) {
      if (auto closed = (*engine)->close(); closed) {
        workload_.adopt(workload_.newest());
      } else if (!failed("close").empty()) {
        return "close: " + closed.error().message();
      }
    }
    look();
    return {};
  }

  // Cuts the power on copies of the disk as it is before the next call.
  void look() {
    if (!problem_.empty()) return;
    constexpr int cuts = 7;
    ++looks_;
    std::set<std::uint64_t> seen;
    for (int cut = 0; cut < cuts && problem_.empty(); ++cut) {
      using Keep = SimFs::Keep;
      const auto disk = fs_->fork();
      const std::uint64_t seed = random_();
      disk->power_cut(cut == 0 ? Keep::nothing : cut == 1 ? Keep::everything : Keep::some, seed);
      if (!seen.insert(disk->digest()).second) continue;
      const Depth depth = seed % 64 == 0   ? Depth::cut_and_live_on
                          : seed % 16 == 1 ? Depth::cut_recovery
                                           : Depth::compare;
      problem_ = check_survivor(disk, workload_, segment_bytes_, depth, seed, counts_);
      if (!problem_.empty()) {
        problem_ = "power cut before call " + std::to_string(looks_) + ", disk " +
                   std::to_string(cut) + ": " + problem_;
      }
    }
  }

  std::mt19937_64 random_;
  CrashCounts& counts_;
  Workload workload_;
  std::uint64_t segment_bytes_ = 400;
  const std::shared_ptr<SimFs> fs_ = std::make_shared<SimFs>();
  std::uint64_t looks_ = 0;
  std::uint64_t calls_ = 0;     // of this engine
  std::uint64_t fault_at_ = 0;  // the one of them that fails; 0: none
  int fault_ = 0;
  std::string problem_;
};

}  // namespace

TEST_CASE(
    "whatever a power cut leaves of a life of sessions, syncs, compactions, expiries and restarts "
    "opens as a state that was committed, none older than the last synced one") {
  const std::uint64_t wanted = states_wanted(20'000 * effort);
  const std::uint64_t seed = test_seed("crash states");
  const auto began = std::chrono::steady_clock::now();
  CrashCounts counts;
  std::uint64_t lives = 0;
  for (; counts.states < wanted; ++lives) {
    const std::string problem = CrashLife(seed + lives, counts).run();
    REQUIRE_MESSAGE(problem.empty(), problem, "\nagain: KVS_SEED=", seed + lives,
                    " KVS_CRASH_STATES=1 $KVS_TEST_BIN/test_crash_states");
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  MESSAGE("crash states: ", counts.states, " opened and compared, ", counts.nested,
          " of them cut again during recovery, ", counts.lives, " lived on; ", lives,
          " random lives from seed ", seed, ", ", took.count(), " s, ",
          static_cast<std::uint64_t>(static_cast<double>(counts.states) / took.count()),
          " states/s, 0 violations");
}

TEST_CASE(
    "a first start that failed at any call, was repeated and cut off, can be repeated again") {
  for (std::uint64_t fails = 1;; ++fails) {
    CAPTURE(fails);
    const auto failed = std::make_shared<SimFs>();
    const Workload workload(1, {});
    failed->hook = [&](SimCall, const std::string&, std::uint64_t number) {
      return number == fails ? EIO : 0;
    };
    const bool met = !open_engine("", crash_options(failed, workload));
    failed->hook = nullptr;
    CrashCounts counts;
    std::string problem;
    failed->hook = [&](SimCall, const std::string&, std::uint64_t) {
      for (std::uint64_t seed = 0; seed < 50 && problem.empty(); ++seed) {
        const auto disk = failed->fork();
        disk->power_cut(SimFs::Keep::some, seed);
        problem = check_survivor(disk, workload, 400, Depth::compare, seed, counts);
      }
      return 0;
    };
    const auto repeated = open_engine("", crash_options(failed, workload));
    failed->hook = nullptr;
    REQUIRE_MESSAGE(problem.empty(), problem);
    REQUIRE(repeated);
    if (!met) break;
  }
}
