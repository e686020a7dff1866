// fault_test.cc - calls of the file system that fail while the engine runs (C14, C16, C17, C20).
#include <cerrno>
#include <chrono>
#include <memory>
#include <string>

#include <doctest/doctest.h>

#include "storage/options.h"
#include "tests/support/seed.h"
#include "tests/support/sim_fs.h"
#include "tests/support/storage_model.h"

using namespace kvs;
using namespace kvs::test;

namespace {

EngineOptions options_for(const std::shared_ptr<SimFs>& fs, const Workload& workload) {
  EngineOptions options;
  options.directory = "/sim";
  options.segment_bytes = 400;
  options.compact_dead_percent = 50;  // compaction happens all the time
  options.lasting_value_bytes = 24;   // frames with and without a value of their own
  options.cache_bytes = 0;
  options.fs = fs;
  options.clock = [clock = workload.clock()] { return *clock; };
  return options;
}

Result<Position> set(Engine& engine, std::string_view key, std::string_view value) {
  auto session = engine.begin();
  if (!session) return std::unexpected(session.error());
  (*session)->put({0, key}, value, never);
  return (*session)->commit();
}

std::string get(Engine& engine, std::string_view key) {
  std::string value;
  auto info = engine.get({0, key}, Access::may_block, value);
  if (!info) return "error: " + info.error().message();
  return *info ? value : "absent";
}

// Makes the Nth call fail, N = 1, 2, ..., until a whole run passes without the fault being met.
// After each run: what was acknowledged is there, at once and after reopening.
void fail_each_call(std::uint64_t seed, int reason, bool stays) {
  static std::uint64_t faults_met = 0;
  for (std::uint64_t at = 1;; ++at) {
    REQUIRE(at < 5000);
    CAPTURE(at);
    const auto fs = std::make_shared<SimFs>();
    bool met = false;
    fs->hook = [&](SimCall, const std::string&, std::uint64_t number) {
      const bool now = stays ? number >= at && number < at + 7 : number == at;
      met = met || now;
      return now ? reason : 0;
    };
    Workload workload(seed, {});
    auto engine = open_engine("kvs", options_for(fs, workload));
    if (engine) {
      for (int i = 0; i < 50; ++i) {
        workload.step(**engine);
        if (workload.attempted() != nullptr) {
          // The failed session must have left no trace.
          const State expected = visible(workload.newest(), workload.now());
          REQUIRE(contents(**engine) == expected);
          if ((*engine)->stats().read_only) break;
        }
      }
      REQUIRE(contents(**engine) == visible(workload.newest(), workload.now()));
      engine->reset();
    } else {
      CHECK(engine.error().code() == (reason == ENOSPC ? Code::no_space : Code::io));
    }
    fs->hook = nullptr;
    auto reopened = open_engine("kvs", options_for(fs, workload));
    REQUIRE_MESSAGE(reopened, reopened.error().message());
    const State found = contents(**reopened);
    const bool right = found == visible(workload.newest(), workload.now());
    // A frame that could be neither written nor cut off may count when it turns out to be whole;
    // it never is here, since a failing write writes half.
    REQUIRE_MESSAGE(right, "found " << to_text(found) << " instead of "
                                    << to_text(visible(workload.newest(), workload.now())));
    for (int i = 0; i < 10; ++i) REQUIRE(workload.step(**reopened));
    REQUIRE(contents(**reopened) == visible(workload.newest(), workload.now()));
    if (!met) break;
    ++faults_met;
  }
  MESSAGE("faults on the simulated disk so far: ", faults_met, ", 0 violations");
}

}  // namespace

TEST_CASE("any one call may fail with EIO: nothing acknowledged is lost, nothing failed is seen") {
  const std::uint64_t seed = test_seed("EIO at each call");
  CAPTURE(seed);
  for (std::uint64_t round = 0; round < effort; ++round) fail_each_call(seed + round, EIO, false);
}

TEST_CASE(
    "any one call may fail with ENOSPC: nothing acknowledged is lost, nothing failed is seen") {
  const std::uint64_t seed = test_seed("ENOSPC at each call");
  CAPTURE(seed);
  for (std::uint64_t round = 0; round < effort; ++round)
    fail_each_call(seed + round, ENOSPC, false);
}

TEST_CASE("several calls in a row may fail with ENOSPC") {
  const std::uint64_t seed = test_seed("ENOSPC at seven calls");
  CAPTURE(seed);
  for (std::uint64_t round = 0; round < effort; ++round) fail_each_call(seed + round, ENOSPC, true);
}

TEST_CASE("several calls in a row may fail with EIO") {
  const std::uint64_t seed = test_seed("EIO at seven calls");
  CAPTURE(seed);
  for (std::uint64_t round = 0; round < effort; ++round) fail_each_call(seed + round, EIO, true);
}

TEST_CASE("a failed fdatasync refuses writes for good, and reads go on") {
  const auto fs = std::make_shared<SimFs>();
  Workload workload(1, {});
  auto engine = open_engine("kvs", options_for(fs, workload));
  REQUIRE(engine);
  REQUIRE(set(**engine, "a", "1"));
  REQUIRE((*engine)->sync());
  REQUIRE(set(**engine, "b", "2"));
  const Position synced = (*engine)->synced();

  fs->hook = [](SimCall call, const std::string&, std::uint64_t) {
    return call == SimCall::sync_data ? EIO : 0;
  };
  auto failed = (*engine)->sync();
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code() == Code::io);
  CHECK((*engine)->synced() == synced);

  // The disk is well again, which proves nothing about what it lost.
  fs->hook = nullptr;
  auto retried = (*engine)->sync();
  REQUIRE_FALSE(retried);
  CHECK(retried.error().code() == Code::read_only);
  auto begun = (*engine)->begin();
  REQUIRE_FALSE(begun);
  CHECK(begun.error().code() == Code::read_only);
  CHECK(begun.error().message().find("sync") != std::string::npos);
  CHECK((*engine)->synced() == synced);
  CHECK(get(**engine, "a") == "1");
  CHECK(get(**engine, "b") == "2");
  const EngineStats stats = (*engine)->stats();
  CHECK(stats.read_only);
  CHECK(stats.sync_failures == 1);
  CHECK(stats.read_only_reason.find("sync") != std::string::npos);
  (*engine)->maintain(std::chrono::milliseconds(10));

  // A restart decides from checksums, and is writable.
  engine->reset();
  engine = open_engine("kvs", options_for(fs, workload));
  REQUIRE(engine);
  CHECK(get(**engine, "a") == "1");
  CHECK(set(**engine, "c", "3"));
  CHECK((*engine)->sync());
}

TEST_CASE("what a failed sync may have lost is written again by the next open") {
  // After the failure the kernel takes the pages for clean: reading shows them, syncing again does
  // nothing, and only a power cut shows that they are not on the disk.
  const auto fs = std::make_shared<SimFs>();
  Workload workload(1, {});
  {
    auto engine = open_engine("kvs", options_for(fs, workload));
    REQUIRE(engine);
    REQUIRE(set(**engine, "a", "1"));
    fs->hook = [](SimCall call, const std::string&, std::uint64_t) {
      return call == SimCall::sync_data ? EIO : 0;
    };
    REQUIRE_FALSE((*engine)->sync());
    fs->hook = nullptr;
  }
  const std::uint64_t before = fs->calls();
  std::uint64_t rewritten = 0;
  fs->hook = [&](SimCall call, const std::string& name, std::uint64_t) {
    if (call == SimCall::write && name.ends_with(".log")) ++rewritten;
    return 0;
  };
  auto engine = open_engine("kvs", options_for(fs, workload));
  REQUIRE(engine);
  CHECK(fs->calls() > before);
  CHECK(rewritten == 1);
  CHECK(get(**engine, "a") == "1");
}

TEST_CASE("a full disk refuses writes until there is room again, without a restart") {
  const auto fs = std::make_shared<SimFs>();
  Workload workload(1, {});
  auto engine = open_engine("kvs", options_for(fs, workload));
  REQUIRE(engine);
  fs->capacity_bytes = 3000;
  int written = 0;
  Result<Position> last = Position{0};
  for (; written < 1000; ++written) {
    last = set(**engine, "key" + std::to_string(written), std::string(50, 'v'));
    if (!last) break;
  }
  REQUIRE_FALSE(last);
  CHECK(last.error().code() == Code::no_space);
  CHECK(written > 3);
  for (int i = 0; i < 20; ++i) CHECK_FALSE(set(**engine, "more", std::string(50, 'v')));
  CHECK(get(**engine, "more") == "absent");
  for (int i = 0; i < written; ++i) {
    CHECK(get(**engine, "key" + std::to_string(i)) == std::string(50, 'v'));
  }
  CHECK_FALSE((*engine)->stats().read_only);

  fs->capacity_bytes = UINT64_MAX;
  REQUIRE(set(**engine, "more", "now"));
  CHECK(get(**engine, "more") == "now");
  engine->reset();
  engine = open_engine("kvs", options_for(fs, workload));
  REQUIRE(engine);
  CHECK(get(**engine, "more") == "now");
  CHECK((*engine)->database_stats(0).keys == static_cast<std::uint64_t>(written) + 1);
}

TEST_CASE("a frame that can be neither written nor cut off refuses writes for good") {
  const auto fs = std::make_shared<SimFs>();
  Workload workload(1, {});
  auto engine = open_engine("kvs", options_for(fs, workload));
  REQUIRE(engine);
  REQUIRE(set(**engine, "a", "1"));
  fs->hook = [](SimCall call, const std::string& name, std::uint64_t) {
    const bool log = name.ends_with(".log");
    return log && (call == SimCall::write || call == SimCall::truncate) ? EIO : 0;
  };
  CHECK_FALSE(set(**engine, "b", "2"));
  fs->hook = nullptr;
  auto refused = set(**engine, "c", "3");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == Code::read_only);
  CHECK(get(**engine, "a") == "1");
  CHECK(get(**engine, "b") == "absent");
  engine->reset();
  engine = open_engine("kvs", options_for(fs, workload));
  REQUIRE(engine);
  CHECK(get(**engine, "a") == "1");
  CHECK(get(**engine, "b") == "absent");
  CHECK((*engine)->stats().torn_bytes_cut > 0);
}

TEST_CASE("a read that fails is an error of that read, never an absent key, and passes") {
  const auto fs = std::make_shared<SimFs>();
  Workload workload(1, {});
  auto engine = open_engine("kvs", options_for(fs, workload));
  REQUIRE(engine);
  for (int i = 0; i < 20; ++i) REQUIRE(set(**engine, "k" + std::to_string(i), "v"));
  fs->read_hook = [](const std::string&) { return EIO; };
  std::string value;
  auto failed = (*engine)->get({0, "k3"}, Access::may_block, value);
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code() == Code::io);
  CHECK(failed.error().message().find(".log") != std::string::npos);
  REQUIRE(set(**engine, "k3", "new"));
  (*engine)->request_compaction();
  for (int i = 0; i < 100 && (*engine)->maintain(std::chrono::milliseconds(20)); ++i) {
  }
  fs->read_hook = nullptr;
  CHECK(get(**engine, "k3") == "new");
  for (int i = 4; i < 20; ++i) CHECK(get(**engine, "k" + std::to_string(i)) == "v");
  // A file that somebody has cut is noticed too.
  for (auto& [name, inode] : fs->files()) {
    if (name == "0000000000000001.log") inode->now.resize(80);
  }
  auto cut = (*engine)->get({0, "k1"}, Access::may_block, value);
  REQUIRE_FALSE(cut);
  CHECK(cut.error().code() == Code::corrupt);
  CHECK(cut.error().message().find("the file is shorter than it was") != std::string::npos);
}

TEST_CASE("an open that cannot read says so, and changes nothing") {
  const auto fs = std::make_shared<SimFs>();
  Workload workload(1, {});
  {
    auto engine = open_engine("kvs", options_for(fs, workload));
    REQUIRE(engine);
    for (int i = 0; i < 20; ++i) REQUIRE(set(**engine, "k" + std::to_string(i), "v"));
  }
  const std::uint64_t before = fs->calls();
  int reads = 0;
  for (int at = 1; at < 200; ++at) {
    reads = 0;
    fs->read_hook = [&](const std::string&) { return ++reads == at ? EIO : 0; };
    auto engine = open_engine("kvs", options_for(fs, workload));
    if (reads < at) {
      CHECK(engine);
      CHECK(at > 5);
      return;
    }
    // Reading the tail again happens when the log has been found to be good.
    if (!engine) CHECK(engine.error().code() == Code::io);
    if (at < 5) CHECK(fs->calls() == before);
  }
  FAIL("the open never passed");
}
