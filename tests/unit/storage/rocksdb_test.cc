// rocksdb_test.cc - what the engine rocksdb does that no other engine does the same way.
#include <atomic>
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include <doctest/doctest.h>

#include "storage/options.h"
#include "tests/support/sim_fs.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/storage/storage_test_util.h"

using namespace kvs;
using namespace kvs::test;

namespace {

std::unique_ptr<Engine> open_rocksdb(EngineOptions options) {
  auto engine = open_engine("rocksdb", std::move(options));
  REQUIRE_MESSAGE(engine, engine.error().message());
  return std::move(*engine);
}

std::string contents_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Every file with its bytes, folders included.
std::map<std::string, std::string> snapshot(const std::filesystem::path& directory) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    files[entry.path()] = entry.is_regular_file() ? contents_of(entry.path()) : "(folder)";
  }
  return files;
}

// A small file system of its own, where this process may have one. It has no name any more once it
// is open, so that nothing is left of it when the test ends, however it ends.
class SmallDisk {
 public:
  explicit SmallDisk(const std::string& size) {
    const TempDir place;
    const char* const path = place.path().c_str();
    if (mount("tmpfs", path, "tmpfs", 0, ("size=" + size).c_str()) != 0) return;
    descriptor_ = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    umount2(path, MNT_DETACH);
  }
  ~SmallDisk() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  bool exists() const { return descriptor_ >= 0; }
  std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_ = -1;
};

// While it lives, no file may grow beyond `bytes`.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit small{.rlim_cur = bytes, .rlim_max = before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

// RocksDB compresses: a disk is only sure to be filled by bytes that cannot be.
std::string incompressible(int number) {
  std::mt19937_64 random(static_cast<std::uint64_t>(number));
  std::string bytes;
  while (bytes.size() < 100'000) {
    const std::uint64_t word = random();
    bytes.append(reinterpret_cast<const char*>(&word), sizeof word);
  }
  return bytes;
}

}  // namespace

TEST_CASE("the directory says that it is rocksdb's, and its files lie in a folder of their own") {
  TempDir directory;
  { auto engine = open_rocksdb(directory_options(directory.path())); }
  CHECK(contents_of(directory.path() / "ENGINE") == "rocksdb 1\n");
  CHECK(std::filesystem::exists(directory.path() / "rocksdb" / "CURRENT"));
  struct stat status {};
  REQUIRE(stat((directory.path() / "rocksdb").c_str(), &status) == 0);
  CHECK((status.st_mode & 077) == 0);
  // RocksDB's own log goes to ours.
  CHECK_FALSE(std::filesystem::exists(directory.path() / "rocksdb" / "LOG"));
  auto engine = open_engine("", directory_options(directory.path()));
  REQUIRE(engine);
  CHECK((*engine)->stats().engine == "rocksdb");
}

TEST_CASE("the wrong engine is refused both ways, and nothing is touched") {
  for (const std::string engine : {"kvs", "rocksdb"}) {
    const std::string other = engine == "kvs" ? "rocksdb" : "kvs";
    CAPTURE(engine);
    TempDir directory;
    REQUIRE(set(**open_engine(engine, directory_options(directory.path())), "k", "v"));
    const auto before = snapshot(directory.path());
    auto refused = open_engine(other, directory_options(directory.path()));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code() == Code::wrong_engine);
    CHECK(refused.error().message().find("'" + engine + "', not '" + other + "'") !=
          std::string::npos);
    CHECK(snapshot(directory.path()) == before);
    auto found = open_engine("", directory_options(directory.path()));
    REQUIRE(found);
    CHECK(get(**found, "k") == "v");
  }
}

TEST_CASE("a format of the future is refused") {
  TempDir directory;
  std::ofstream(directory.path() / "ENGINE") << "rocksdb 2\n";
  auto refused = open_engine("", directory_options(directory.path()));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == Code::wrong_engine);
  CHECK_FALSE(std::filesystem::exists(directory.path() / "rocksdb"));
}

TEST_CASE("a file system of the caller's is refused, since RocksDB does its own I/O") {
  auto refused = open_engine("rocksdb", sim_options(std::make_shared<SimFs>()));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == Code::invalid);
}

TEST_CASE("a second engine on the directory is refused while the first lives") {
  TempDir directory;
  auto first = open_rocksdb(directory_options(directory.path()));
  auto second = open_engine("", directory_options(directory.path()));
  REQUIRE_FALSE(second);
  CHECK(second.error().code() == Code::busy);
  first.reset();
  CHECK(open_engine("", directory_options(directory.path())));
}

TEST_CASE("a database is emptied at once, and the space comes back") {
  TempDir directory;
  auto options = directory_options(directory.path());
  options.segment_bytes = 256 << 10;
  auto engine = open_rocksdb(options);
  const std::string value(1000, 'v');
  for (int i = 0; i < 20; ++i) {
    auto session = *engine->begin();
    for (int k = 0; k < 1000; ++k) {
      session->put({1, std::to_string(i * 1000 + k)}, value, never);
    }
    REQUIRE(session->commit());
  }
  REQUIRE(set(*engine, "other", "1", never, 2));
  REQUIRE(clear(*engine, 1));
  CHECK(engine->database_stats(1).keys == 0);
  CHECK(get(*engine, "7", 1) == "(absent)");
  REQUIRE(set(*engine, "7", "new", never, 1));
  // Files go in the background; a level that is busy may keep one for a while.
  std::uint64_t live = 0;
  for (int i = 0; i < 400; ++i) {
    compact(*engine);
    live = engine->stats().live_bytes;
    if (live < 2'000'000) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(25));
  }
  CHECK(live < 2'000'000);
  CHECK(engine->database_stats(1).keys == 1);
  CHECK(get(*engine, "7", 1) == "new");
  CHECK(get(*engine, "other", 2) == "1");
}

TEST_CASE("random keys come with about equal chance, few or many") {
  TempDir directory;
  auto engine = open_rocksdb(directory_options(directory.path()));
  for (const int keys : {2, 100}) {
    REQUIRE(clear(*engine));
    for (int i = 0; i < keys; ++i) REQUIRE(set(*engine, std::to_string(i), "v"));
    std::map<std::string, int> drawn;
    for (int i = 0; i < 100 * keys; ++i) ++drawn[**engine->random_key(0)];
    CHECK(drawn.size() == static_cast<std::size_t>(keys));
    for (const auto& [key, times] : drawn) CHECK(times < 400);  // 100 on average
  }
}

TEST_CASE("a write that fails closes the engine for writes, and reads go on") {
  TempDir directory;
  std::atomic<int> errors = 0;
  auto options = directory_options(directory.path());
  options.log = [&errors](EngineOptions::Severity severity, std::string_view) {
    if (severity == EngineOptions::Severity::error) ++errors;
  };
  auto engine = open_rocksdb(options);
  REQUIRE(set(*engine, "k", "old"));
  const Position before = engine->committed();
  {
    const FileSizeLimit limit(16 << 10);
    auto failed = set(*engine, "k", std::string(100'000, 'x'));
    REQUIRE_FALSE(failed);
    CHECK(failed.error().code() == Code::io);
  }
  CHECK(get(*engine, "k") == "old");
  CHECK(engine->database_stats(0).keys == 1);
  auto refused = engine->begin();
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == Code::read_only);
  CHECK(engine->stats().read_only);
  CHECK_FALSE(engine->stats().read_only_reason.empty());
  CHECK_FALSE(engine->sync());
  CHECK(engine->synced() <= before);
  engine.reset();
  engine = open_rocksdb(options);
  CHECK(get(*engine, "k") == "old");
  REQUIRE(set(*engine, "k", "new"));
}

TEST_CASE("a full disk refuses writes and passes by itself") {
  const SmallDisk disk("12m");
  if (!disk.exists()) {
    MESSAGE("SKIPPED: this process may not mount a small file system");
    return;
  }
  auto options = directory_options(disk.path());
  options.segment_bytes = 1 << 20;
  {
    auto engine = open_rocksdb(options);
    REQUIRE(set(*engine, "first", "1"));
    const std::string ballast = disk.path() / "ballast";
    std::ofstream(ballast) << std::string(6 << 20, 'b');
    Result<Position> last = Position{0};
    int written = 0;
    for (; written < 200; ++written) {
      last = set(*engine, "key" + std::to_string(written), incompressible(written));
      if (!last) break;
    }
    REQUIRE_FALSE(last);
    CHECK(last.error().code() == Code::no_space);
    CHECK(get(*engine, "first") == "1");
    CHECK(get(*engine, "key" + std::to_string(written)) == "(absent)");
    CHECK(engine->database_stats(0).keys == static_cast<std::uint64_t>(written) + 1);
    CHECK_FALSE(engine->stats().read_only);
    if (const auto synced = engine->sync(); !synced) {
      CHECK(synced.error().code() == Code::no_space);
    }
    CHECK_FALSE(engine->stats().read_only);

    std::filesystem::remove(ballast);
    // RocksDB looks every five seconds.
    for (int i = 0; i < 600 && !last; ++i) {
      last = set(*engine, "after", "2");
      if (!last) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    REQUIRE_MESSAGE(last, last.error().message());
    for (int round = 0; round < 3; ++round) {
      REQUIRE(engine->sync());
      CHECK(engine->synced() == engine->committed());
      REQUIRE(set(*engine, "round", std::to_string(round)));
    }
    for (int i = 0; i < written; ++i) {
      REQUIRE(get(*engine, "key" + std::to_string(i)) == incompressible(i));
    }
  }
  auto engine = open_rocksdb(options);
  CHECK(get(*engine, "first") == "1");
  CHECK(get(*engine, "after") == "2");
}
