// full_disk_test.cc - the contract of a full disk (C16): a clear error to who would grow, reads and
// removals go on, compaction has its reserve, and service resumes by itself.
#include <cerrno>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <memory>
#include <sched.h>
#include <string>
#include <sys/mount.h>
#include <sys/resource.h>
#include <thread>

#include "tests/support/seed.h"
#include "tests/support/storage_model.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/storage/storage_test_util.h"

using namespace kvs;
using namespace kvs::test;
using namespace std::chrono_literals;

namespace {

const std::string value(100, 'v');

std::string key(int number) {
  return "key" + std::to_string(number);
}

// Sets new keys until one is refused; returns how many were taken.
int fill(Engine& engine, int first = 0) {
  for (int i = first; i < 1'000'000; ++i) {
    const auto written = set(engine, key(i), value);
    if (written) continue;
    CHECK(written.error().code() == Code::no_space);
    CHECK(written.error().message().find("the disk is full") != std::string::npos);
    return i;
  }
  FAIL("the disk never filled up");
  return 0;
}

// Maintenance as the daemon does it, until `reached`; at most five seconds.
template <class Condition>
bool maintain_until(Engine& engine, Condition reached) {
  for (const auto end = std::chrono::steady_clock::now() + 5s;
       std::chrono::steady_clock::now() < end;) {
    if (reached()) return true;
    if (!engine.maintain(1ms)) std::this_thread::sleep_for(2ms);
  }
  return false;
}

// A disk full of live data: what is refused, what goes on, and how removals bring it back.
void live_data_until_full(EngineOptions options) {
  auto engine = must_open(options);
  const int kept = fill(*engine);
  REQUIRE(kept > 10);
  CHECK(engine->disk_full());
  CHECK(engine->stats().disk_full);
  for (int i = 0; i < kept; i += 7) CHECK(get(*engine, key(i)) == value);
  for (int i = 0; i < 5; ++i) CHECK_FALSE(set(*engine, "more", value));
  CHECK(get(*engine, "more") == "(absent)");
  // Nothing is dead yet: maintenance changes nothing, and says no room where there is none.
  for (int i = 0; i < 20; ++i) engine->maintain(1ms);

  int removed = 0;
  for (int i = 0; i < kept; i += 2) {
    REQUIRE_MESSAGE(remove(*engine, key(i)), "removal " << i << " of " << kept);
    ++removed;
    engine->maintain(1ms);
  }
  REQUIRE(maintain_until(*engine, [&] { return !engine->disk_full(); }));
  REQUIRE(set(*engine, "more", value));
  CHECK(get(*engine, "more") == value);
  CHECK(engine->stats().reserve_bytes > 0);
  for (int i = 1; i < kept; i += 2) CHECK(get(*engine, key(i)) == value);
  const auto before = contents(*engine);
  engine.reset();
  engine = must_open(options);
  CHECK(contents(*engine) == before);
  CHECK(engine->database_stats(0).keys == static_cast<std::uint64_t>(kept - removed) + 1);
}

// A disk full of garbage: compaction gives it back out of its reserve.
void garbage_until_full(EngineOptions options) {
  auto engine = must_open(options);
  engine->pause_compaction();
  Result<Position> last = Position{0};
  int written = 0;
  for (; written < 1'000'000 && last; ++written) last = set(*engine, key(written % 15), value);
  REQUIRE_FALSE(last);
  REQUIRE(last.error().code() == Code::no_space);
  CHECK(engine->disk_full());
  engine->resume_compaction();
  REQUIRE(maintain_until(*engine, [&] { return !engine->disk_full(); }));
  REQUIRE(maintain_until(*engine, [&] { return set(*engine, "more", value).has_value(); }));
  for (int i = 0; i < 15; ++i) CHECK(get(*engine, key(i)) == value);
  CHECK(engine->stats().compactions > 0);
  CHECK_FALSE(engine->stats().read_only);
}

}  // namespace

TEST_CASE("on a full disk reads and removals go on, and writes when those made room") {
  for (const std::uint64_t capacity : {30'000, 31'234, 60'000}) {
    CAPTURE(capacity);
    const auto fs = std::make_shared<SimFs>();
    fs->capacity_bytes = capacity;
    live_data_until_full(sim_options(fs, 4000));
  }
}

TEST_CASE("a disk full of garbage is emptied by compaction without anybody's help") {
  for (const std::uint64_t capacity : {9000, 12'000, 20'000}) {
    CAPTURE(capacity);
    const auto fs = std::make_shared<SimFs>();
    fs->capacity_bytes = capacity;
    garbage_until_full(sim_options(fs, 1000));
  }
}

TEST_CASE("under load compaction works ahead of the end of the disk, so that it never fills up") {
  const auto fs = std::make_shared<SimFs>();
  fs->capacity_bytes = 40'000;
  auto options = sim_options(fs, 1000);
  options.space_amplification_percent = 1000;  // the disk is smaller than what it would allow
  options.compact_dead_percent = 100;
  auto engine = must_open(options);
  for (int i = 0; i < 5000; ++i) {
    REQUIRE(set(*engine, key(i % 150), value));
    for (int n = 0; n < 4; ++n) engine->maintain(0us);
  }
  CHECK_FALSE(engine->disk_full());
  CHECK(engine->stats().compactions > 10);
}

TEST_CASE("a random life on a disk that is too small loses nothing and shows nothing that failed") {
  const std::uint64_t seed = test_seed("small disk");
  CAPTURE(seed);
  for (std::uint64_t capacity = 1200; capacity < 1200 + 150 * 12 * effort; capacity += 150) {
    CAPTURE(capacity);
    const auto fs = std::make_shared<SimFs>();
    Workload workload(seed + capacity, {.keys = 30});
    auto options = sim_options(fs);
    options.clock = [clock = workload.clock()] { return *clock; };
    auto engine = must_open(options);
    fs->capacity_bytes = capacity;
    int refused = 0;
    for (int i = 0; i < 150; ++i) {
      if (!workload.step(*engine)) ++refused;
      REQUIRE_FALSE(engine->stats().read_only);
      if (i % 15 != 0) continue;
      REQUIRE(contents(*engine) == visible(workload.newest(), workload.now()));
    }
    engine.reset();
    auto reopened = open_engine("", options);
    if (!reopened) {
      // Full to the last byte, the reserve included: there is no room for another MANIFEST.
      REQUIRE(reopened.error().code() == Code::no_space);
      fs->capacity_bytes = UINT64_MAX;
      reopened = open_engine("", options);
    }
    REQUIRE_MESSAGE(reopened, reopened.error().message());
    REQUIRE(contents(**reopened) == visible(workload.newest(), workload.now()));
    fs->capacity_bytes = UINT64_MAX;
    for (int i = 0; i < 20; ++i) REQUIRE(workload.step(**reopened));
    REQUIRE(contents(**reopened) == visible(workload.newest(), workload.now()));
  }
}

TEST_CASE("the reserve is taken before the log grows, and given back after the disk was full") {
  const auto fs = std::make_shared<SimFs>();
  auto engine = must_open(sim_options(fs, 1000));
  REQUIRE(set(*engine, "a", "1"));
  CHECK(fs->files().count("RESERVE") == 0);  // one segment needs none
  for (int i = 0; i < 20; ++i) REQUIRE(set(*engine, key(i), value));
  REQUIRE(fs->files().count("RESERVE") == 1);
  CHECK(fs->files().at("RESERVE")->now.size() == 1500);
  CHECK(engine->stats().reserve_bytes == 1500);
  engine.reset();
  engine = must_open(sim_options(fs, 1000));
  CHECK(engine->stats().reserve_bytes == 1500);
}

// In a mount namespace of this process: nobody else sees it, and it is gone with the process.
TEST_CASE("a real file system that is full behaves like the simulated one") {
  if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    MESSAGE("SKIPPED: no mount namespace of its own (" << errno << ")");
    return;
  }
  const TempDir directory;
  if (mount("tmpfs", directory.path().c_str(), "tmpfs", 0, "size=4m") != 0) {
    MESSAGE("SKIPPED: cannot mount a tmpfs (" << errno << ")");
    return;
  }
  auto options = directory_options(directory.path() / "live");
  options.segment_bytes = 256 << 10;
  live_data_until_full(options);
  std::filesystem::remove_all(options.directory);
  options.directory = directory.path() / "garbage";
  garbage_until_full(options);
  umount2(directory.path().c_str(), MNT_DETACH);
}

TEST_CASE("a limit on the size of files is a full disk") {
  const TempDir directory;
  auto options = directory_options(directory.path());
  options.segment_bytes = 1 << 20;
  auto engine = must_open(options);
  REQUIRE(set(*engine, "before", value));
  rlimit old{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &old) == 0);
  const auto old_action = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{.rlim_cur = 300'000, .rlim_max = old.rlim_max};
  REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  const int kept = fill(*engine);
  CHECK(get(*engine, "before") == value);
  CHECK(get(*engine, key(kept - 1)) == value);
  CHECK(setrlimit(RLIMIT_FSIZE, &old) == 0);
  std::signal(SIGXFSZ, old_action);
  CHECK_FALSE(engine->stats().read_only);
  REQUIRE(set(*engine, "after", value));
  const auto before = contents(*engine);
  engine.reset();
  engine = must_open(options);
  CHECK(contents(*engine) == before);
}
