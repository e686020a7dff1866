// files_test.cc - a file appears whole or not at all; the history is its owner's alone.
#include "cli/files.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sys/stat.h>

#include <doctest/doctest.h>

#include "cli/history_file.h"
#include "tests/support/temp_dir.h"

namespace fs = std::filesystem;

namespace kvs::cli {
namespace {

std::string content(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

unsigned mode(const fs::path& path) {
  struct stat status = {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 0777;
}

}  // namespace

TEST_CASE("what is not committed leaves the old file and nothing else") {
  const test::TempDir dir;
  const fs::path path = dir.path() / "file";
  std::ofstream(path) << "old";
  {
    Result<OutputFile> file = OutputFile::open(path.string());
    REQUIRE(file);
    REQUIRE(file->write(std::string(1 << 20, 'n')));
  }
  CHECK(content(path) == "old");
  CHECK(std::distance(fs::directory_iterator(dir.path()), {}) == 1);
  Result<OutputFile> file = OutputFile::open(path.string());
  REQUIRE(file->write("new"));
  CHECK(content(path) == "old");
  REQUIRE(file->commit());
  CHECK(content(path) == "new");
  CHECK(std::distance(fs::directory_iterator(dir.path()), {}) == 1);
}

TEST_CASE("a file that cannot be opened or created is an error that names it") {
  const test::TempDir dir;
  const std::string nowhere = (dir.path() / "none" / "file").string();
  const Result<InputFile> input = InputFile::open(nowhere);
  const Result<OutputFile> output = OutputFile::open(nowhere);
  REQUIRE_FALSE(input);
  REQUIRE_FALSE(output);
  CHECK(input.error().message().find(nowhere) != std::string::npos);
  CHECK(output.error().message().find(nowhere) != std::string::npos);
  CHECK(input.error().code() == Code::io);
}

TEST_CASE("a full device is an error of the write") {
  Result<OutputFile> file = OutputFile::open("/dev/full");
  REQUIRE(file);
  Result<void> written = file->write("bytes");
  if (written) written = file->commit();
  CHECK_FALSE(written);
}

TEST_CASE("the history is in XDG_STATE_HOME, readable by its owner only, and bounded") {
  const test::TempDir dir;
  ::setenv("XDG_STATE_HOME", dir.path().c_str(), 1);
  const std::string path = history_path();
  CHECK(path == dir.path() / "kvs" / "history");
  CHECK(load_history(path).empty());
  append_history(path, "get a");
  CHECK(mode(path) == 0600);
  fs::permissions(path, fs::perms(0644));
  for (std::size_t i = 0; i < 5 * history_lines_max; ++i) {
    append_history(path, "get " + std::to_string(i));
  }
  CHECK(mode(path) == 0600);
  const std::vector<std::string> lines = load_history(path);
  CHECK(lines.size() == history_lines_max);
  CHECK(lines.back() == "get " + std::to_string(5 * history_lines_max - 1));
  CHECK(load_history(path) == lines);
  CHECK(fs::file_size(path) < 20 * history_lines_max);
  ::setenv("XDG_STATE_HOME", "relative", 1);
  ::setenv("HOME", dir.path().c_str(), 1);
  CHECK(history_path() == dir.path() / ".local/state/kvs/history");
}

}  // namespace kvs::cli
