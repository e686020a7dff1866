// open_test.cc - which directories open, with which engine, and what is left alone (contract.md 2).
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/temp_dir.h"
#include "tests/unit/storage/storage_test_util.h"

using namespace kvs;
using namespace kvs::test;

namespace {

void write_file(const std::filesystem::path& path, std::string_view contents) {
  std::ofstream(path, std::ios::binary) << contents;
}

std::map<std::string, std::string> files_of(const std::filesystem::path& directory) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    std::ifstream in(entry.path(), std::ios::binary);
    files[entry.path().filename()] = std::string(std::istreambuf_iterator<char>(in), {});
  }
  return files;
}

// The error of an open that must fail and change nothing.
Error refusal(const std::filesystem::path& directory, std::string_view name = "") {
  const auto before = files_of(directory);
  EngineOptions options = directory_options(directory);
  auto engine = open_engine(name, options);
  REQUIRE_FALSE(engine);
  CHECK(files_of(directory) == before);
  return engine.error();
}

}  // namespace

TEST_CASE("an unknown engine is refused before anything is touched") {
  TempDir directory;
  const Error error = refusal(directory.path(), "leveldb");
  CHECK(error.code() == Code::invalid);
  CHECK(error.message() == "unknown engine 'leveldb' (known: kvs, rocksdb)");
  EngineOptions options = directory_options(directory.path() / "new");
  CHECK_FALSE(open_engine("leveldb", options));
  CHECK_FALSE(std::filesystem::exists(directory.path() / "new"));
  CHECK(engine_names() == "kvs, rocksdb");
}

TEST_CASE("without a name the engine is kvs, and later the one that wrote the directory") {
  TempDir directory;
  {
    auto engine = must_open(directory_options(directory.path()));
    CHECK(engine->stats().engine == "kvs");
    REQUIRE(set(*engine, "k", "v"));
  }
  CHECK(files_of(directory.path()).at("ENGINE") == "kvs 1\n");
  for (const char* name : {"", "kvs"}) {
    auto engine = open_engine(name, directory_options(directory.path()));
    REQUIRE(engine);
    CHECK(get(**engine, "k") == "v");
  }
}

TEST_CASE("a directory of another engine is refused, and left alone") {
  TempDir directory;
  write_file(directory.path() / "ENGINE", "leveldb 1\n");
  const Error unnamed = refusal(directory.path());
  CHECK(unnamed.code() == Code::wrong_engine);
  CHECK(unnamed.message().find("'leveldb'") != std::string::npos);
  CHECK(unnamed.message().find("known: kvs, rocksdb") != std::string::npos);
  const Error named = refusal(directory.path(), "kvs");
  CHECK(named.code() == Code::wrong_engine);
  CHECK(named.message().find("'leveldb', not 'kvs'") != std::string::npos);
}

TEST_CASE("a format of the future is refused") {
  TempDir directory;
  write_file(directory.path() / "ENGINE", "kvs 2\n");
  CHECK(refusal(directory.path()).code() == Code::wrong_engine);
}

TEST_CASE("a marker that cannot be read as one is refused") {
  for (const char* text : {"", "kvs", "kvs\n", "kvs 1", "kvs 1\n\n", " 1\n", "kvs 1 2\n"}) {
    CAPTURE(text);
    TempDir directory;
    write_file(directory.path() / "ENGINE", text);
    CHECK(refusal(directory.path()).code() == Code::corrupt);
  }
  TempDir directory;
  write_file(directory.path() / "ENGINE", std::string(1000, 'x'));
  CHECK(refusal(directory.path()).code() == Code::corrupt);
}

TEST_CASE("data without a marker is somebody else's") {
  for (const char* name : {"MANIFEST", "0000000000000001.log", "CURRENT", "MANIFEST-000005",
                           "000004.log", "rocksdb"}) {
    CAPTURE(name);
    TempDir directory;
    write_file(directory.path() / name, "data");
    const Error error = refusal(directory.path());
    CHECK(error.code() == Code::wrong_engine);
    CHECK(error.message().find(name) != std::string::npos);
  }
}

TEST_CASE("other files in the directory are no hindrance, and stay") {
  TempDir directory;
  write_file(directory.path() / "server.log", "a log of messages");
  write_file(directory.path() / "kvs.conf", "port 4000");
  { auto engine = must_open(directory_options(directory.path())); }
  auto engine = must_open(directory_options(directory.path()));
  CHECK(files_of(directory.path()).at("server.log") == "a log of messages");
  CHECK(files_of(directory.path()).at("kvs.conf") == "port 4000");
}

TEST_CASE("a missing directory is created, but not its parents") {
  TempDir directory;
  { auto engine = must_open(directory_options(directory.path() / "data")); }
  CHECK(std::filesystem::is_directory(directory.path() / "data"));
  auto engine = open_engine("", directory_options(directory.path() / "a" / "b"));
  REQUIRE_FALSE(engine);
  CHECK(engine.error().code() == Code::io);
  CHECK_FALSE(std::filesystem::exists(directory.path() / "a"));
  write_file(directory.path() / "file", "");
  auto file = open_engine("", directory_options(directory.path() / "file"));
  REQUIRE_FALSE(file);
  CHECK(file.error().code() == Code::io);
}

TEST_CASE("a directory that cannot be written is an error that says so") {
  if (geteuid() == 0) {
    MESSAGE("not checked as root, who may write anywhere");
    return;
  }
  TempDir directory;
  std::filesystem::permissions(
      directory.path(), std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
  auto engine = open_engine("", directory_options(directory.path()));
  std::filesystem::permissions(directory.path(), std::filesystem::perms::owner_all);
  REQUIRE_FALSE(engine);
  CHECK(engine.error().code() == Code::io);
  CHECK(engine.error().message().find(directory.path().string()) != std::string::npos);
}

TEST_CASE("a second engine on the same directory is refused until the first is gone") {
  TempDir directory;
  auto first = must_open(directory_options(directory.path()));
  auto second = open_engine("", directory_options(directory.path()));
  REQUIRE_FALSE(second);
  CHECK(second.error().code() == Code::busy);
  CHECK(second.error().message().find("is in use by another process") != std::string::npos);
  first.reset();
  // The lock file of an owner that is gone is no obstacle.
  CHECK(std::filesystem::exists(directory.path() / "LOCK"));
  CHECK(open_engine("", directory_options(directory.path())));
}

TEST_CASE("a segment size out of range is refused") {
  TempDir directory;
  auto options = directory_options(directory.path());
  options.segment_bytes = 399;
  auto engine = open_engine("", options);
  REQUIRE_FALSE(engine);
  CHECK(engine.error().code() == Code::invalid);
}

TEST_CASE("files that nothing names are removed by an open, others never") {
  TempDir directory;
  {
    auto engine = must_open(directory_options(directory.path()));
    REQUIRE(set(*engine, "k", "v"));
  }
  write_file(directory.path() / "00000000000000ff.log", "left by an interrupted compaction");
  write_file(directory.path() / "MANIFEST.tmp", "left by an interrupted replacement");
  write_file(directory.path() / "notes.txt", "mine");
  auto engine = must_open(directory_options(directory.path()));
  CHECK(get(*engine, "k") == "v");
  CHECK_FALSE(std::filesystem::exists(directory.path() / "00000000000000ff.log"));
  CHECK_FALSE(std::filesystem::exists(directory.path() / "MANIFEST.tmp"));
  CHECK(std::filesystem::exists(directory.path() / "notes.txt"));
}

TEST_CASE("only the owner may read the files") {
  TempDir directory;
  auto engine = must_open(directory_options(directory.path()));
  for (const auto& entry : std::filesystem::directory_iterator(directory.path())) {
    struct stat status {};
    REQUIRE(stat(entry.path().c_str(), &status) == 0);
    CHECK((status.st_mode & 077) == 0);
  }
}
