// storage_test_util.h - short words for what every test of the engine does.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <doctest/doctest.h>

#include "storage/options.h"
#include "tests/support/engine_under_test.h"
#include "tests/support/sim_fs.h"
#include "tests/support/temp_dir.h"

namespace kvs::test {

// Small segments on a simulated disk; nothing cached, so that every read is a read.
inline EngineOptions sim_options(const std::shared_ptr<SimFs>& fs,
                                 std::uint64_t segment_bytes = 400) {
  EngineOptions options;
  options.directory = "/sim";
  options.segment_bytes = segment_bytes;
  // Compaction happens all the time, and only by what is dead in a segment.
  options.compact_dead_percent = 50;
  options.space_amplification_percent = 1000;
  options.cache_bytes = 0;
  options.fs = fs;
  return options;
}

inline EngineOptions directory_options(const std::filesystem::path& path) {
  EngineOptions options;
  options.directory = path;
  options.segment_bytes = std::uint64_t{4} << 20;
  return options;
}

// Where the engine under test keeps its data: a simulated disk, or for RocksDB, which does its own
// I/O, a directory. Outlives the engine.
class TestDisk {
 public:
  EngineOptions options(std::uint64_t segment_bytes = 400) const {
    EngineOptions options = sim_options(fs_, segment_bytes);
    if (testing_rocksdb()) {
      options.fs = nullptr;
      options.directory = directory_.path();
    }
    return options;
  }

 private:
  const std::shared_ptr<SimFs> fs_ = std::make_shared<SimFs>();
  const TempDir directory_;
};

inline std::unique_ptr<Engine> must_open(EngineOptions options) {
  auto engine = open_engine(engine_under_test(), std::move(options));
  REQUIRE_MESSAGE(engine, engine.error().message());
  return std::move(*engine);
}

inline Result<Position> set(Engine& engine, std::string_view key, std::string_view value,
                            UnixMs expire_at = never, Database database = 0) {
  auto session = engine.begin();
  if (!session) return std::unexpected(session.error());
  (*session)->put({database, key}, value, expire_at);
  return (*session)->commit();
}

inline Result<Position> remove(Engine& engine, std::string_view key, Database database = 0) {
  auto session = engine.begin();
  if (!session) return std::unexpected(session.error());
  (*session)->remove({database, key});
  return (*session)->commit();
}

inline Result<Position> clear(Engine& engine, Database database = 0) {
  auto session = engine.begin();
  if (!session) return std::unexpected(session.error());
  (*session)->clear(database);
  return (*session)->commit();
}

inline Result<Position> swap(Engine& engine, Database first, Database second) {
  auto session = engine.begin();
  if (!session) return std::unexpected(session.error());
  (*session)->swap(first, second);
  return (*session)->commit();
}

// The value, "(absent)", or the error's text.
inline std::string get(Reader& reader, std::string_view key, Database database = 0) {
  std::string value;
  auto info = reader.get({database, key}, Access::may_block, value);
  if (!info) return "error: " + info.error().message();
  return *info ? value : "(absent)";
}

// Runs maintenance until nothing waits.
inline void settle(Engine& engine) {
  for (int i = 0; i < 10'000 && engine.maintain(std::chrono::milliseconds(20)); ++i) {
  }
}

inline void compact(Engine& engine) {
  engine.request_compaction();
  settle(engine);
}

}  // namespace kvs::test
