// cold_read_test.cc - reads that somebody else does for the engine: what is planned, what is
// believed, and that moved and overwritten records do no harm.
#include <optional>
#include <string>
#include <unistd.h>

#include <doctest/doctest.h>

#include "tests/support/temp_dir.h"
#include "tests/unit/storage/storage_test_util.h"

using namespace kvs;
using namespace kvs::test;

namespace {

EngineOptions cold_options(const std::filesystem::path& path, std::uint64_t cache_bytes = 0) {
  EngineOptions options = directory_options(path);
  options.segment_bytes = 4096;
  options.cache_bytes = cache_bytes;
  return options;
}

std::optional<ColdRead> plan(Engine& engine, std::string_view name) {
  auto planned = engine.plan_cold_read({0, name});
  REQUIRE(planned);
  return *std::move(planned);
}

std::string read(const ColdRead& cold) {
  std::string bytes(cold.bytes, '\0');
  const ssize_t got =
      ::pread(cold.descriptor, bytes.data(), bytes.size(), static_cast<off_t>(cold.offset_bytes));
  bytes.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  return bytes;
}

}  // namespace

TEST_SUITE_BEGIN("kvs only");

TEST_CASE("a value on the disk is planned, read by somebody else, and verified") {
  const TempDir dir;
  auto engine = must_open(cold_options(dir.path()));
  REQUIRE(set(*engine, "key", "value"));
  const auto cold = plan(*engine, "key");
  REQUIRE(cold);
  CHECK(cold->lsn == (**engine->find({0, "key"}, Access::may_block)).lsn);
  std::string bytes = read(*cold);
  CHECK(engine->finish_cold_read({0, "key"}, *cold, bytes));
  CHECK(bytes == "value");
  CHECK(engine->stats().disk_reads == 1);
}

TEST_CASE("what is absent, expired or in memory is not planned") {
  const TempDir dir;
  EngineOptions options = cold_options(dir.path(), 1 << 20);
  UnixMs now = 1000;
  options.clock = [&now] { return now; };
  auto engine = must_open(std::move(options));
  REQUIRE(set(*engine, "resident", "value"));
  CHECK_FALSE(plan(*engine, "absent"));
  CHECK_FALSE(plan(*engine, "resident"));
  REQUIRE(engine->close());
  engine.reset();
  options = cold_options(dir.path(), 1 << 20);
  options.clock = [&now] { return now; };
  engine = must_open(std::move(options));
  CHECK(plan(*engine, "resident"));                                    // not any more
  REQUIRE(set(*engine, "volatile", std::string(200'000, 'x'), 2000));  // too long to be kept
  CHECK(plan(*engine, "volatile"));
  now = 2000;
  CHECK_FALSE(plan(*engine, "volatile"));
}

TEST_CASE("a value that was read and verified is in memory from then on") {
  const TempDir dir;
  REQUIRE(set(*must_open(cold_options(dir.path())), "key", "value"));
  auto engine = must_open(cold_options(dir.path(), 1 << 20));
  const auto cold = plan(*engine, "key");
  REQUIRE(cold);
  std::string bytes = read(*cold);
  CHECK(engine->finish_cold_read({0, "key"}, *cold, bytes));
  CHECK_FALSE(plan(*engine, "key"));
  std::string value;
  CHECK(engine->get({0, "key"}, Access::resident_only, value));
  CHECK(value == "value");
}

TEST_CASE("bytes that are not the record are refused, whatever is wrong with them") {
  const TempDir dir;
  auto engine = must_open(cold_options(dir.path()));
  REQUIRE(set(*engine, "key", "value"));
  REQUIRE(set(*engine, "kez", "value"));
  const auto cold = plan(*engine, "key");
  REQUIRE(cold);
  const std::string right = read(*cold);
  for (std::size_t i = 0; i < right.size(); ++i) {
    std::string bytes = right;
    bytes[i] = static_cast<char>(bytes[i] ^ 0x10);
    CHECK_FALSE(engine->finish_cold_read({0, "key"}, *cold, bytes));
    bytes = right.substr(0, i);
    CHECK_FALSE(engine->finish_cold_read({0, "key"}, *cold, bytes));
  }
  const auto other = plan(*engine, "kez");
  REQUIRE(other);
  std::string bytes = read(*other);
  CHECK_FALSE(engine->finish_cold_read({0, "key"}, *cold, bytes));
  bytes = read(*other);
  CHECK_FALSE(engine->finish_cold_read({0, "key"}, *other, bytes));
  bytes = right;
  CHECK_FALSE(engine->finish_cold_read({1, "key"}, *cold, bytes));
  CHECK(engine->finish_cold_read({0, "key"}, *cold, bytes));
}

TEST_CASE("a planned read stays good while compaction moves the record and writes replace it") {
  const TempDir dir;
  auto engine = must_open(cold_options(dir.path()));
  REQUIRE(set(*engine, "key", "value"));
  const auto cold = plan(*engine, "key");
  REQUIRE(cold);
  // Everything beside it dies, so that it moves, and its file goes.
  for (int i = 0; i < 200; ++i) REQUIRE(set(*engine, "filler", std::string(100, 'f')));
  compact(*engine);
  REQUIRE(engine->stats().compactions > 0);
  const auto moved = plan(*engine, "key");
  REQUIRE(moved);
  CHECK(moved->lsn == cold->lsn);
  CHECK(moved->descriptor != cold->descriptor);
  std::string bytes = read(*cold);
  CHECK(engine->finish_cold_read({0, "key"}, *cold, bytes));
  CHECK(bytes == "value");

  REQUIRE(set(*engine, "key", "newer"));
  bytes = read(*cold);
  CHECK(engine->finish_cold_read({0, "key"}, *cold, bytes));
  CHECK(bytes == "value");  // of that record; find() says that it is another's turn
  CHECK((**engine->find({0, "key"}, Access::may_block)).lsn != cold->lsn);
  CHECK(get(*engine, "key") == "newer");
}

TEST_CASE("an engine on files without descriptors says that it has no such reads") {
  auto engine = must_open(sim_options(std::make_shared<SimFs>()));
  REQUIRE(set(*engine, "key", "value"));
  const auto planned = engine->plan_cold_read({0, "key"});
  REQUIRE_FALSE(planned);
  CHECK(planned.error().code() == Code::invalid);
}

TEST_SUITE_END();
