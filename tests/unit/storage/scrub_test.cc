// scrub_test.cc - rot is found before it is read, reported once, and neither spread nor dropped by
// compaction (C19).
#include <cerrno>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/storage/damage_util.h"

using namespace kvs;
using namespace kvs::test;

namespace {

// An engine whose log lines are kept.
struct Logged {
  std::shared_ptr<SimFs> fs = std::make_shared<SimFs>();
  std::vector<std::string> lines;
  std::unique_ptr<Engine> engine;

  explicit Logged(std::uint64_t segment_bytes = 400, std::uint64_t rate = std::uint64_t{1} << 30) {
    EngineOptions options = sim_options(fs, segment_bytes);
    options.scrub_bytes_per_second = rate;
    options.log = [this](EngineOptions::Severity, std::string_view text) {
      lines.emplace_back(text);
    };
    engine = must_open(options);
  }
  int mentions(std::string_view text) const {
    int count = 0;
    for (const std::string& line : lines) count += line.find(text) != std::string::npos ? 1 : 0;
    return count;
  }
  std::string& file_with(std::string_view text) {
    for (auto& [file, inode] : fs->files()) {
      if (inode->now.find(text) != std::string::npos) return inode->now;
    }
    FAIL("no file holds " << text);
    return fs->files().begin()->second->now;
  }
  void flip(std::string_view text) {
    std::string& bytes = file_with(text);
    bytes[bytes.find(text)] ^= 1;
  }
};

void scrub(Engine& engine) {
  const std::uint64_t passes = engine.stats().scrub.passes;
  REQUIRE(engine.request_scrub());
  for (int i = 0; i < 10'000 && engine.stats().scrub.passes == passes; ++i) {
    if (!engine.maintain(std::chrono::milliseconds(5)) && engine.stats().scrub.running) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
  REQUIRE(engine.stats().scrub.passes == passes + 1);
}

}  // namespace

TEST_CASE("a scrub of a good log reads all of it and finds nothing") {
  Logged log;
  for (int i = 0; i < 40; ++i) REQUIRE(set(*log.engine, "k" + std::to_string(i), "value"));
  CHECK(log.engine->stats().scrub.passes == 0);
  scrub(*log.engine);
  const ScrubStats stats = log.engine->stats().scrub;
  CHECK(stats.errors == 0);
  CHECK_FALSE(stats.running);
  CHECK(stats.pass_bytes == stats.pass_bytes_total);
  CHECK(stats.pass_bytes > 1000);
  CHECK(stats.last_completed > 0);
  CHECK(stats.damaged_segments.empty());
}

TEST_CASE("a scrub names each damaged place once, however often it passes") {
  Logged log;
  for (int i = 0; i < 40; ++i) {
    REQUIRE(set(*log.engine, "k" + std::to_string(i), "value" + std::to_string(i) + "."));
  }
  log.flip("value3.");
  log.flip("value20.");
  for (int i = 0; i < 3; ++i) scrub(*log.engine);
  const ScrubStats stats = log.engine->stats().scrub;
  CHECK(stats.passes == 3);
  CHECK(stats.errors == 2);
  CHECK(stats.damaged_places == 2);
  CHECK(stats.damaged_segments.find(".log=1") != std::string::npos);
  CHECK(log.mentions("scrub: corrupt segment") == 2);
  CHECK(log.mentions("\"k3\" of database 0") == 1);
  CHECK(log.mentions("\"k20\" of database 0") == 1);
}

TEST_CASE("a scrub finds damaged headers, seals and holes, and what cannot be read") {
  Logged log;
  for (int i = 0; i < 40; ++i) {
    REQUIRE(set(*log.engine, "k" + std::to_string(i), "value" + std::to_string(i) + "."));
  }
  SUBCASE("header") {
    log.file_with("value3.")[20] ^= 1;
  }
  SUBCASE("seal") {
    log.file_with("value3.").back() ^= 1;
  }
  SUBCASE("hole") {
    std::string& bytes = log.file_with("value3.");
    bytes.replace(100, 100, std::string(100, '\0'));
  }
  SUBCASE("unreadable") {
    log.fs->read_hook = [](const std::string& name) {
      return name == "0000000000000001.log" ? EIO : 0;
    };
  }
  scrub(*log.engine);
  const ScrubStats stats = log.engine->stats().scrub;
  CHECK(stats.errors >= 1);
  CHECK(stats.damaged_segments.find("0000000000000001.log=") != std::string::npos);
}

TEST_CASE("the rate is kept") {
  Logged log(4096, 200'000);
  for (int i = 0; i < 1500; ++i) {
    REQUIRE(set(*log.engine, "k" + std::to_string(i), std::string(20, 'v')));
  }
  const auto began = std::chrono::steady_clock::now();
  scrub(*log.engine);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  const auto bytes = static_cast<double>(log.engine->stats().scrub.pass_bytes);
  CHECK(bytes > 60'000);
  // The last frame is paid for after it was read.
  CHECK(took.count() > bytes / 200'000 * 0.8);
}

TEST_CASE("a damaged record answers an error that names place and key, and is counted") {
  Logged log;
  for (int i = 0; i < 20; ++i) REQUIRE(set(*log.engine, "k\n" + std::to_string(i), "value"));
  std::string& bytes = log.fs->files().at("0000000000000001.log")->now;
  bytes[bytes.find("value")] ^= 1;
  const std::string answer = get(*log.engine, "k\n0");
  CHECK_MESSAGE(answer.find("error: corrupt segment") == 0, answer);
  CHECK_MESSAGE(answer.find("key \"k\\x0a0\" of database 0") != std::string::npos, answer);
  CHECK(answer.find('\n') == std::string::npos);
  CHECK(log.engine->stats().corrupt_reads == 1);
  CHECK(get(*log.engine, "k\n1") == "value");
  // Written again it is right again.
  REQUIRE(set(*log.engine, "k\n0", "new"));
  CHECK(get(*log.engine, "k\n0") == "new");
}

TEST_CASE("reads that fail or come up short are errors, counted, and never absence") {
  Logged log;
  for (int i = 0; i < 20; ++i) REQUIRE(set(*log.engine, "k" + std::to_string(i), "value"));
  SUBCASE("EIO") {
    log.fs->read_hook = [](const std::string&) { return EIO; };
    CHECK(get(*log.engine, "k0").find("error: cannot read") == 0);
    CHECK(log.engine->stats().read_errors == 1);
    CHECK(log.mentions("cannot read") == 1);
    log.fs->read_hook = nullptr;
    CHECK(get(*log.engine, "k0") == "value");
  }
  SUBCASE("a file that has become shorter") {
    log.fs->files().at("0000000000000001.log")->now.resize(80);
    CHECK(get(*log.engine, "k0").find("error: corrupt segment") == 0);
    CHECK(get(*log.engine, "k0").find("shorter") != std::string::npos);
    CHECK(log.engine->stats().corrupt_reads == 2);
  }
}

TEST_CASE("compaction neither drops nor launders a damaged record, and says so once") {
  Logged log;
  const std::string filler(40, 'f');
  REQUIRE(set(*log.engine, "k", "precious"));
  for (int i = 0; i < 40; ++i) REQUIRE(set(*log.engine, "c" + std::to_string(i % 3), filler));
  SUBCASE("its checksum does not match") {
    log.flip("precious");
  }
  SUBCASE("its lengths are absurd") {
    std::string& bytes = log.file_with("precious");
    bytes.replace(bytes.find("kprecious") - 8, 4, std::string(4, '\xff'));
  }
  SUBCASE("it cannot be read") {
    log.fs->read_hook = [](const std::string& name) {
      return name == "0000000000000001.log" ? EIO : 0;
    };
  }
  for (int round = 0; round < 5; ++round) {
    compact(*log.engine);
    // It rests for a second after a failure; then it goes on without the damaged segment.
    if (round == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1100));
    CHECK(get(*log.engine, "k").find("error: ") == 0);
    for (int i = 0; i < 20; ++i) REQUIRE(set(*log.engine, "c" + std::to_string(i % 3), filler));
  }
  CHECK(log.mentions("compaction failed") == 1);
  CHECK(log.engine->stats().compactions > 0);
  CHECK(log.fs->files().contains("0000000000000001.log"));
  CHECK(get(*log.engine, "c0") == filler);
  // Nor does a restart: it refuses, unless the disk has thought better of it.
  log.engine.reset();
  auto engine = open_engine("", sim_options(log.fs));
  if (log.fs->read_hook) {
    CHECK_FALSE(engine);
    log.fs->read_hook = nullptr;
    auto again = must_open(sim_options(log.fs));
    CHECK(get(*again, "k") == "precious");
  } else {
    REQUIRE_FALSE(engine);
    CHECK(engine.error().code() == Code::corrupt);
  }
}
