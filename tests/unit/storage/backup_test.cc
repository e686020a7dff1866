// backup_test.cc - backups are one commit's state, cost what is new, and come back whole.
#include "storage/log/backup.h"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <thread>

#include "storage/log/restore.h"
#include "tests/support/seed.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/storage/damage_util.h"

using namespace kvs;
using namespace kvs::test;

namespace {

const std::filesystem::path root = "/backups";

std::shared_ptr<SimFs> sim_with_root() {
  const auto fs = std::make_shared<SimFs>();
  REQUIRE(fs->create_directory(root));
  return fs;
}

Result<BackupSummary> back_up(Engine& engine, const std::string& name) {
  return engine.backup({.root = root, .name = name, .cancelled = {}});
}

EngineOptions restored_options(const std::shared_ptr<SimFs>& fs, const std::string& path) {
  EngineOptions options = sim_options(fs);
  options.directory = path;
  return options;
}

State restored(const std::shared_ptr<SimFs>& fs, const std::string& name, const std::string& path) {
  auto done = log::restore(*fs, root / name, path);
  REQUIRE_MESSAGE(done, done.error().message());
  auto engine = must_open(restored_options(fs, path));
  CHECK(engine->committed() == done->position);
  return contents(*engine);
}

std::string& backed_up_segment(SimFs& fs, const std::string& name) {
  for (auto& [file, inode] : fs.files()) {
    if (file.starts_with("backups/" + name + "/") && file.ends_with(".log")) return inode->now;
  }
  FAIL("no segment in " << name);
  return fs.files().begin()->second->now;
}

}  // namespace

TEST_CASE("a backup is restored as it was, whatever has happened since") {
  const auto fs = sim_with_root();
  auto engine = must_open(sim_options(fs));
  for (int i = 0; i < 30; ++i)
    REQUIRE(set(*engine, "k" + std::to_string(i % 7), std::to_string(i)));
  REQUIRE(set(*engine, "d", "deadline", UnixMs{4'000'000'000'000}, 3));
  REQUIRE(remove(*engine, "k0"));
  REQUIRE(set(*engine, "x", "1", never, 5));
  REQUIRE(clear(*engine, 5));
  const State before = contents(*engine);
  const Position position = engine->committed();
  const auto summary = back_up(*engine, "monday");
  REQUIRE_MESSAGE(summary, summary.error().message());
  CHECK(summary->position == position);
  CHECK(summary->new_files == summary->files);
  CHECK(summary->copied_bytes == 0);
  CHECK(contents(*engine) == before);
  for (int i = 0; i < 30; ++i) REQUIRE(set(*engine, "k" + std::to_string(i % 7), "later"));
  compact(*engine);
  engine.reset();
  CHECK(restored(fs, "monday", "/new") == before);
}

TEST_CASE("an empty database has a backup too") {
  const auto fs = sim_with_root();
  auto engine = must_open(sim_options(fs));
  const auto summary = back_up(*engine, "nothing");
  REQUIRE(summary);
  CHECK(summary->files == 0);
  CHECK(restored(fs, "nothing", "/new").empty());
}

TEST_CASE("a second backup costs only what is new") {
  const auto fs = sim_with_root();
  auto engine = must_open(sim_options(fs, 4096));
  for (int i = 0; i < 200; ++i)
    REQUIRE(set(*engine, "k" + std::to_string(i), std::string(50, 'v')));
  const auto first = back_up(*engine, "one");
  REQUIRE(first);
  CHECK(first->new_files == first->files);
  CHECK(first->files > 2);
  REQUIRE(set(*engine, "more", "1"));
  const State state = contents(*engine);
  const auto second = back_up(*engine, "two");
  REQUIRE(second);
  CHECK(second->files == first->files + 1);
  CHECK(second->new_files == 1);
  CHECK(second->new_bytes < 300);
  const auto third = back_up(*engine, "three");
  REQUIRE(third);
  CHECK(third->new_files == 0);
  CHECK(third->position == second->position);
  CHECK(restored(fs, "two", "/two") == state);
  CHECK(restored(fs, "three", "/three") == state);
}

TEST_CASE("names that could lead anywhere else are refused") {
  const auto fs = sim_with_root();
  auto engine = must_open(sim_options(fs));
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".."), std::string("../x"), std::string("a/b"),
        std::string("/etc"), std::string(".hidden"), std::string("a\0b", 3), std::string("a b"),
        std::string(101, 'a'), std::string("ä")}) {
    CAPTURE(name);
    const auto refused = back_up(*engine, name);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code() == Code::invalid);
    CHECK_FALSE(valid_backup_name(name));
  }
  CHECK(valid_backup_name("2024-05-01_12.30"));
  REQUIRE(back_up(*engine, "taken"));
  const auto again = back_up(*engine, "taken");
  REQUIRE_FALSE(again);
  CHECK(again.error().code() == Code::busy);
}

TEST_CASE("what is damaged is not backed up, and the backup's name stays free") {
  const auto fs = sim_with_root();
  auto engine = must_open(sim_options(fs));
  for (int i = 0; i < 20; ++i) REQUIRE(set(*engine, "k" + std::to_string(i), "value"));
  std::string& bytes = fs->files().at("0000000000000001.log")->now;
  bytes[bytes.find("value")] ^= 1;
  const auto refused = back_up(*engine, "bad");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == Code::corrupt);
  for (auto& [file, inode] : fs->files()) CHECK_FALSE(file.starts_with("backups/bad/"));
}

TEST_CASE("a damaged backup is refused, and the target stays untouched") {
  const auto fs = sim_with_root();
  auto engine = must_open(sim_options(fs));
  for (int i = 0; i < 20; ++i) REQUIRE(set(*engine, "k" + std::to_string(i), "value"));
  REQUIRE(back_up(*engine, "b"));
  engine.reset();
  const auto check_refused = [&](const std::shared_ptr<SimFs>& damaged) {
    const auto refused = log::restore(*damaged, root / "b", "/new");
    REQUIRE_FALSE(refused);
    CHECK((refused.error().code() == Code::corrupt || refused.error().code() == Code::not_found));
    CHECK_FALSE(damaged->open_directory("/new"));
  };
  SUBCASE("every byte of a segment counts") {
    const std::size_t size = backed_up_segment(*fs, "b").size();
    for (std::size_t at = 0; at < size; ++at) {
      const auto damaged = fs->fork();
      backed_up_segment(*damaged, "b")[at] ^= 4;
      check_refused(damaged);
    }
  }
  SUBCASE("every bit of BACKUP counts") {
    const std::size_t size = fs->files().at("backups/b/BACKUP")->now.size();
    for (std::size_t bit = 0; bit < size * 8; ++bit) {
      const auto damaged = fs->fork();
      damaged->files().at("backups/b/BACKUP")->now[bit / 8] ^= static_cast<char>(1 << bit % 8);
      check_refused(damaged);
    }
  }
  SUBCASE("a file is missing, cut or too long") {
    auto damaged = fs->fork();
    backed_up_segment(*damaged, "b").pop_back();
    check_refused(damaged);
    damaged = fs->fork();
    backed_up_segment(*damaged, "b").push_back('\0');
    check_refused(damaged);
    damaged = fs->fork();
    damaged->files().erase("backups/b/BACKUP");
    check_refused(damaged);
  }
}

TEST_CASE("a backup is not restored over anything") {
  const auto fs = sim_with_root();
  auto engine = must_open(sim_options(fs));
  REQUIRE(set(*engine, "a", "1"));
  REQUIRE(back_up(*engine, "b"));
  engine.reset();
  const auto before = snapshot(*fs);
  auto refused = log::restore(*fs, root / "b", "/sim");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == Code::invalid);
  CHECK(snapshot(*fs) == before);
}

TEST_CASE("a backup is one commit's state, under sessions and compaction on other threads") {
  const std::uint64_t seed = test_seed("backup under load");
  CAPTURE(seed);
  const TempDir dir;
  EngineOptions options = directory_options(dir.path() / "data");
  options.segment_bytes = 16 << 10;
  options.compact_dead_percent = 50;  // compaction happens all the time
  options.cache_bytes = 0;
  std::filesystem::create_directory(dir.path() / "backups");
  auto engine = must_open(options);
  constexpr int keys = 50;
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> round = 0;
  // Each session sets all keys to its own number: a state in which they differ is no commit's.
  std::thread writer([&] {
    for (std::uint64_t number = 1; !stop; ++number) {
      auto session = engine->begin();
      if (!session) return;
      for (int i = 0; i < keys; ++i) {
        (*session)->put({0, "k" + std::to_string(i)}, std::to_string(number), never);
      }
      (*session)->put({1, "position"}, std::to_string((*session)->pending_bytes()), never);
      if (!(*session)->commit()) return;
      round = number;
    }
  });
  std::thread maintenance([&] {
    while (!stop) {
      engine->request_compaction();
      (void)engine->maintain(std::chrono::milliseconds(1));
      (void)engine->sync();
    }
  });
  for (int i = 0; i < 8; ++i) {
    const std::uint64_t at_least = round;
    const std::string name = "b" + std::to_string(i);
    const auto summary =
        engine->backup({.root = dir.path() / "backups", .name = name, .cancelled = {}});
    const std::uint64_t at_most = round + 1;
    REQUIRE_MESSAGE(summary, summary.error().message());
    EngineOptions copy = options;
    copy.directory = dir.path() / ("restored" + std::to_string(i));
    const auto done = log::restore(*real_fs(), dir.path() / "backups" / name, copy.directory);
    REQUIRE_MESSAGE(done, done.error().message());
    auto reopened = must_open(copy);
    const std::string number = get(*reopened, "k0");
    for (int k = 1; k < keys; ++k) {
      REQUIRE(get(*reopened, "k" + std::to_string(k)) == number);
    }
    if (number != "(absent)") {
      CHECK(std::stoull(number) >= at_least);
      CHECK(std::stoull(number) <= at_most);
    }
  }
  stop = true;
  writer.join();
  maintenance.join();
  CHECK(round > 8);
}

TEST_CASE("what a backup links is not changed by anything that happens to the original") {
  const TempDir dir;
  EngineOptions options = directory_options(dir.path() / "data");
  options.segment_bytes = 400;
  options.compact_dead_percent = 50;  // compaction happens all the time
  options.cache_bytes = 0;
  std::filesystem::create_directory(dir.path() / "backups");
  State before;
  {
    auto engine = must_open(options);
    for (int i = 0; i < 40; ++i)
      REQUIRE(set(*engine, "k" + std::to_string(i), std::string(40, 'v')));
    before = contents(*engine);
    REQUIRE(engine->backup({.root = dir.path() / "backups", .name = "b", .cancelled = {}}));
    for (int lap = 0; lap < 10; ++lap) {
      for (int i = 0; i < 40; ++i) {
        REQUIRE(set(*engine, "k" + std::to_string(i), std::string(40, 'w')));
      }
      compact(*engine);
    }
    CHECK(engine->stats().compactions > 0);
    REQUIRE(engine->close());
  }
  EngineOptions copy = options;
  copy.directory = dir.path() / "restored";
  const auto done = log::restore(*real_fs(), dir.path() / "backups" / "b", copy.directory);
  REQUIRE_MESSAGE(done, done.error().message());
  auto engine = must_open(copy);
  CHECK(contents(*engine) == before);
}

TEST_CASE("power cut at any call of a backup: a whole one or none, and the log is as it was") {
  const std::uint64_t seed = test_seed("backup cut off");
  CAPTURE(seed);
  const auto base = sim_with_root();
  State state;
  {
    auto engine = must_open(sim_options(base));
    for (int i = 0; i < 12; ++i)
      REQUIRE(set(*engine, "k" + std::to_string(i), std::string(30, 'v')));
    state = contents(*engine);
    REQUIRE(engine->close());
  }
  base->power_cut(SimFs::Keep::everything, 0);
  int whole = 0;
  int none = 0;
  bool done = false;
  for (std::uint64_t at = 1; !done; ++at) {
    REQUIRE(at < 300);
    CAPTURE(at);
    for (std::uint64_t cut = 0; cut < 4; ++cut) {
      const auto fs = base->fork();
      {
        auto engine = must_open(sim_options(fs));
        fs->power_off_at = fs->calls() + at;
        done = back_up(*engine, "b").has_value();
      }
      const auto after = fs->fork();
      const auto keep = cut == 0   ? SimFs::Keep::nothing
                        : cut == 1 ? SimFs::Keep::everything
                                   : SimFs::Keep::some;
      after->power_cut(keep, seed + at * 10 + cut);
      auto restoring = log::restore(*after, root / "b", "/new");
      if (restoring) {
        ++whole;
        auto engine = must_open(restored_options(after, "/new"));
        CHECK(contents(*engine) == state);
      } else {
        ++none;
        CHECK_FALSE(done);
        CHECK(restoring.error().code() == Code::not_found);
        // The next attempt under the same name succeeds.
        auto engine = must_open(sim_options(after));
        REQUIRE(back_up(*engine, "b"));
        CHECK(restored(after, "b", "/new") == state);
      }
      CHECK(contents(*must_open(sim_options(after))) == state);
    }
  }
  CHECK(whole > 0);
  CHECK(none > 0);
}

TEST_CASE("power cut at any call of a restore: it opens whole or not at all, and may be repeated") {
  const std::uint64_t seed = test_seed("restore cut off");
  CAPTURE(seed);
  const auto base = sim_with_root();
  State state;
  {
    auto engine = must_open(sim_options(base));
    for (int i = 0; i < 12; ++i)
      REQUIRE(set(*engine, "k" + std::to_string(i), std::string(30, 'v')));
    state = contents(*engine);
    REQUIRE(back_up(*engine, "b"));
  }
  base->power_cut(SimFs::Keep::everything, 0);
  bool done = false;
  for (std::uint64_t at = 1; !done; ++at) {
    REQUIRE(at < 300);
    CAPTURE(at);
    for (std::uint64_t cut = 0; cut < 4; ++cut) {
      CAPTURE(cut);
      const auto fs = base->fork();
      fs->power_off_at = at;
      done = log::restore(*fs, root / "b", "/new").has_value();
      const auto after = fs->fork();
      const auto keep = cut == 0   ? SimFs::Keep::nothing
                        : cut == 1 ? SimFs::Keep::everything
                                   : SimFs::Keep::some;
      after->power_cut(keep, seed + at * 10 + cut);
      if (after->files().contains("new/MANIFEST")) {
        auto engine = must_open(restored_options(after, "/new"));
        CHECK(contents(*engine) == state);
      } else {
        CHECK_FALSE(done);
        const auto again = log::restore(*after, root / "b", "/new");
        REQUIRE_MESSAGE(again, again.error().message());
        CHECK(contents(*must_open(restored_options(after, "/new"))) == state);
      }
    }
  }
}

TEST_CASE("the form of BACKUP is frozen") {
  log::BackupManifest manifest{.created = 1700000000000, .position = 17, .clock = 1700000000001};
  manifest.hash_key.bytes[15] = 0x0f;
  manifest.files.push_back({.segment = {.id = 2,
                                        .kind = log::SegmentKind::log,
                                        .sealed = true,
                                        .bytes = 400,
                                        .records = 5,
                                        .min_lsn = 13,
                                        .max_lsn = 17},
                            .crc = 0xa1b2c3d4});
  const std::string text = log::encode_backup_manifest(manifest);
  CHECK(text ==
        "kvs-backup 1\n"
        "created 1700000000000\n"
        "position 17\n"
        "clock 1700000000001\n"
        "hash-key 0000000000000000000000000000000f\n"
        "segment 0000000000000002 log 400 5 13 17 a1b2c3d4\n" +
            text.substr(text.find("crc32c ")));
  const auto parsed = log::parse_backup_manifest(text);
  REQUIRE(parsed);
  CHECK(parsed->files == manifest.files);
  CHECK(parsed->position == 17);
}
