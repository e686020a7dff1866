// damage_test.cc - figure 7: every bit of every file of a reference directory, flipped (C4, C8).
//
// The references are small and hold everything that the format has: log and compacted segments,
// values with and without deadlines, tombstones, a clear, several databases. A flipped bit must be
// detected, by the open or by the read, or be harmless: a wrong value is never one of the outcomes.
// Files are taken as they come, so that new kinds of file are covered without a change here.
#include <chrono>
#include <memory>
#include <string>

#include <doctest/doctest.h>

#include "tests/crash/survivor.h"
#include "tests/support/seed.h"
#include "tests/support/sim_fs.h"
#include "tests/support/storage_model.h"

using namespace kvs;
using namespace kvs::test;

namespace {

struct Outcomes {
  std::uint64_t flips = 0;
  std::uint64_t refused = 0;  // by the open
  std::uint64_t errors = 0;   // of reads that name the corruption
  std::uint64_t harmless = 0;
};

enum class Stop : std::uint8_t { clean, killed };

// A directory with everything in it. The workload knows what it holds.
std::shared_ptr<SimFs> reference(Workload& workload, Stop stop, std::uint64_t segment_bytes) {
  const auto fs = std::make_shared<SimFs>();
  auto engine = open_engine("", crash_options(fs, workload, segment_bytes));
  REQUIRE(engine);
  for (int i = 0; i < 40; ++i) REQUIRE(workload.step(**engine));
  (*engine)->request_compaction();
  REQUIRE(workload.maintain(**engine));
  for (int i = 0; i < 12; ++i) REQUIRE(workload.step(**engine));
  REQUIRE(workload.sync(**engine));
  if (stop == Stop::clean) {
    REQUIRE((*engine)->close());
  } else {
    using Kind = ModelOperation::Kind;
    for (int i = 0; i < 3; ++i) {
      REQUIRE(workload.commit(**engine,
                              {{.kind = Kind::put,
                                .key = {0, "late" + std::to_string(i)},
                                .value = {workload.fresh_value(20), never}}},
                              Appear::one_by_one));
    }
  }
  engine->reset();
  // Nothing is pending: what is damaged here has been on the disk.
  const auto image = fs->fork();
  image->power_cut(SimFs::Keep::everything, 0);
  return image;
}

// Is every key as in `expected`, or an error that names corruption? Adds to `errors` in this case.
bool right_or_error(const State& found, const State& expected, std::uint64_t& errors) {
  bool any_error = false;
  for (const auto& [key, value] : found) {
    if (value.value.starts_with("error: corrupt")) {
      any_error = true;
      if (!expected.contains(key)) return false;
      continue;
    }
    const auto right = expected.find(key);
    if (right == expected.end() || right->second != value) return false;
  }
  if (found.size() != expected.size()) return false;
  if (any_error) ++errors;
  return true;
}

void flip(SimFs& fs, const std::string& name, std::size_t bit) {
  SimFs::Inode& inode = *fs.files().at(name);
  inode.now[bit / 8] = static_cast<char>(inode.now[bit / 8] ^ (1 << (bit % 8)));
  inode.durable = inode.now;
}

void flip_before_open(std::uint64_t seed, Stop stop, std::uint64_t segment_bytes,
                      Outcomes& outcomes) {
  CAPTURE(seed);
  Workload workload(seed, {});
  const auto image = reference(workload, stop, segment_bytes);
  for (const auto& [name, inode] : image->files()) {
    if (name == "RESERVE") continue;  // holds nothing
    CAPTURE(name);
    for (std::size_t bit = 0; bit < inode->now.size() * 8; ++bit) {
      CAPTURE(bit);
      const auto damaged = image->fork();
      flip(*damaged, name, bit);
      const std::uint64_t before = damaged->digest();
      ++outcomes.flips;
      auto engine = open_engine("", crash_options(damaged, workload, segment_bytes));
      if (!engine) {
        const Code code = engine.error().code();
        REQUIRE_MESSAGE((code == Code::corrupt || code == Code::wrong_engine),
                        engine.error().message());
        REQUIRE(damaged->digest() == before);  // an open that refuses changes nothing
        ++outcomes.refused;
        continue;
      }
      const State found = contents(**engine);
      if (workload.allows(found)) {
        ++outcomes.harmless;
        continue;
      }
      const State newest = visible(workload.newest(), workload.now());
      std::uint64_t errors = 0;
      const bool right = right_or_error(found, newest, errors);
      REQUIRE_MESSAGE(right, "found ", to_text(found), "instead of ", to_text(newest));
      ++outcomes.errors;
    }
  }
}

void flip_while_open(std::uint64_t seed, Outcomes& outcomes) {
  CAPTURE(seed);
  Workload workload(seed, {});
  const auto fs = reference(workload, Stop::killed, 1500);
  auto engine = open_engine("", crash_options(fs, workload, 1500));
  REQUIRE(engine);
  const State expected = visible(workload.newest(), workload.now());
  REQUIRE(contents(**engine) == expected);
  for (auto& [name, inode] : fs->files()) {
    CAPTURE(name);
    for (std::size_t bit = 0; bit < inode->now.size() * 8; ++bit) {
      CAPTURE(bit);
      flip(*fs, name, bit);
      ++outcomes.flips;
      std::uint64_t errors = 0;
      const State found = contents(**engine);
      const bool right = right_or_error(found, expected, errors);
      REQUIRE_MESSAGE(right, "found ", to_text(found), "instead of ", to_text(expected));
      if (errors != 0) {
        ++outcomes.errors;
      } else {
        ++outcomes.harmless;
      }
      flip(*fs, name, bit);
    }
  }
  CHECK((*engine)->stats().corrupt_reads > 0);
}

}  // namespace

TEST_CASE("any one bit of any file may flip: detected or harmless, and never a wrong value") {
  const std::uint64_t seed = test_seed("bit flips");
  Outcomes clean;
  Outcomes killed;
  Outcomes open;
  for (std::uint64_t round = 0; round < (effort + 1) / 2; ++round) {
    flip_before_open(seed + round, Stop::clean, 400, clean);
    flip_before_open(seed + round, Stop::killed, 400, killed);
    // So long that what was synced and what was not lie in one segment.
    flip_before_open(seed + round, Stop::killed, 4000, killed);
    flip_while_open(seed + round, open);
  }
  const auto tell = [](const char* what, const Outcomes& outcomes) {
    MESSAGE("bit flips ", std::string(what), ": ", outcomes.flips, " flipped, ", outcomes.refused,
            " refused by the open, ", outcomes.errors, " answered by an error, ", outcomes.harmless,
            " harmless, 0 wrong values");
  };
  tell("after a clean stop", clean);
  tell("after a kill", killed);
  tell("while open", open);
  // What hints let a start pass is found when it is read.
  CHECK(clean.refused + clean.errors > clean.flips / 3);
  CHECK(open.errors > 0);
}
