// corpus_replay_test.cc - runs one fuzz target over its kept inputs, and over every prefix of them,
// as an ordinary test: what fuzzing once found stays found, also without clang.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <doctest/doctest.h>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

std::filesystem::path corpus_dir() {
  const char* const source = std::getenv("KVS_SOURCE_DIR");
  return std::filesystem::path(source != nullptr ? source : ".") / "tests/fuzz/corpus" /
         KVS_FUZZ_CORPUS;
}

TEST_CASE("every input of the corpus, and every prefix of it, passes") {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(corpus_dir())) {
    files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  REQUIRE_FALSE(files.empty());
  for (const auto& path : files) {
    std::ifstream stream(path, std::ios::binary);
    REQUIRE(stream.good());
    const std::string input{std::istreambuf_iterator<char>(stream), {}};
    // A failure ends the program; the last line says on which input.
    MESSAGE("replaying " << path.filename().string());
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(input.data());
    const std::size_t step = input.size() / 512 + 1;
    for (std::size_t size = 0; size < input.size(); size += step) {
      // An exact allocation, so that ASan sees a read beyond the prefix.
      const std::vector<std::uint8_t> prefix(bytes, bytes + size);
      LLVMFuzzerTestOneInput(prefix.data(), prefix.size());
    }
    LLVMFuzzerTestOneInput(bytes, input.size());
  }
}

}  // namespace
