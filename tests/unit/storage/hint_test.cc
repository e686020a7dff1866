// hint_test.cc - the bytes of a hint, when one is made, and when it goes.
#include <algorithm>
#include <string>
#include <vector>

#include "storage/log/hint_writer.h"
#include "storage/log/scanner.h"
#include "tests/support/storage_model.h"
#include "tests/unit/storage/storage_test_util.h"

using namespace kvs;
using namespace kvs::log;
using namespace kvs::test;

namespace {

const std::string filler(60, 'f');

std::string hex(std::string_view bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    text.push_back(digits[static_cast<unsigned char>(c) >> 4]);
    text.push_back(digits[static_cast<unsigned char>(c) & 15]);
  }
  return text;
}

std::string unhex(std::string_view text) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

// Segment 1 of the worked example in log_format.md.
const std::string example_segment = unhex(
    "6b76735358e4e50701000100010000000068e5cf8b0100000102030405060708"
    "6b767346f613e0a02e000000020000000700000000000000f469e5cf8b0100000600000000000000"
    "87c6168d0101000001000000020000006052e6cf8b0100006b7631"
    "96cd72c50200000303000000000000006f6c64"
    "6b767346faa4b74000000000000000000900000000000000e86be5cf8b0100000600000000000000");

std::vector<std::string> names(const SimFs& fs, std::string_view suffix) {
  std::vector<std::string> found;
  for (const auto& [name, inode] : const_cast<SimFs&>(fs).files()) {
    if (name.ends_with(suffix)) found.push_back(name.substr(0, name.size() - suffix.size()));
  }
  return found;
}

}  // namespace

TEST_CASE("the bytes of a hint are frozen") {
  const auto fs = std::make_shared<SimFs>();
  REQUIRE(fs->create_directory("/sim"));
  auto directory = fs->open_directory("/sim");
  REQUIRE(directory);
  auto file = (*directory)->open("0000000000000001.log", OpenMode::create_new);
  REQUIRE(file);
  REQUIRE((*file)->write_at(0, example_segment));
  const ParsedSegmentHeader parsed = parse_segment_header(example_segment);
  REQUIRE(parsed.fault == nullptr);
  const auto segment =
      std::make_shared<Segment>(parsed.header, std::move(*file), example_segment.size());
  segment->set_end_bytes(example_segment.size());
  segment->set_sealed();

  HashKey hash_key;
  for (std::size_t i = 0; i < hash_key.bytes.size(); ++i) {
    hash_key.bytes[i] = static_cast<unsigned char>(i);
  }
  HintWriter writer(**directory, hash_key, segment);
  SegmentScanner scanner(segment, segment->end_bytes(), 0);
  for (;;) {
    auto found = scanner.next();
    REQUIRE(found);
    REQUIRE(*found != SegmentScanner::Found::damage);
    REQUIRE(writer.add(scanner));
    if (*found == SegmentScanner::Found::seal) break;
  }
  REQUIRE(writer.finish());
  const std::string bytes = fs->files().at("0000000000000001.hint")->now;
  CHECK(segment->hint_bytes() == bytes.size());
  REQUIRE(bytes.size() == 142);
  CHECK(hex(bytes.substr(0, 24)) == "6b767348ddd7dc9701000000010000000102030405060708");
  CHECK(hex(bytes.substr(24, 32)) ==
        "9e00000000000000020000000000000007000000000000000800000000000000");
  CHECK(hex(bytes.substr(56, 32)) ==
        "e86be5cf8b01000006000000000000006e0000000000000002000000e756d899");
  CHECK(hex(bytes.substr(88, 8)) == "32631003006f6c64");
  CHECK(hex(bytes.substr(96, 14)) == "05480e01026052e6cf8b0100006b");
  CHECK(hex(bytes.substr(110, 16)) == "080000000100000049bfe5bc16000000");
  CHECK(hex(bytes.substr(126, 16)) == "0e000000010000001076ddfd31000000");

  const char* fault = nullptr;
  const auto hint = HintFile::open(**directory, *segment, segment->end_bytes(), fault);
  REQUIRE_MESSAGE(hint != nullptr, fault);
  CHECK(hint->header().records == 2);
  CHECK(hint->header().min_lsn == 7);
  CHECK(hint->header().max_lsn == 8);
  CHECK(hint->header().synced_upto == 6);
  CHECK(hint->header().clock == 1'700'000'001'000);
  std::size_t records = 0;
  for (const HintChunk& chunk : hint->chunks()) {
    std::string buffer;
    REQUIRE(hint->read(chunk, buffer));
    std::string_view rest = buffer;
    HintCursor cursor;
    HintRecord record;
    while (!rest.empty()) {
      REQUIRE(take_hint_record(rest, hint->header(), SegmentKind::log, cursor, record));
      ++records;
      if (record.key == "k") {
        CHECK(record.lsn == 7);
        CHECK(record.offset_bytes == 72);
        CHECK(record.value_bytes == 2);
        CHECK(record.expire_at == 1'700'000'060'000);
        CHECK(record.record_bytes(SegmentKind::log) == 27);
      } else {
        CHECK(record.key == "old");
        CHECK(record.kind == RecordKind::tombstone);
        CHECK(record.database == 3);
        CHECK(record.lsn == 8);
        CHECK(record.offset_bytes == 99);
      }
    }
  }
  CHECK(records == 2);
}

TEST_CASE("the name of a hint is its segment's") {
  CHECK(hint_name(0x1f) == "000000000000001f.hint");
  CHECK(parse_hint_name("000000000000001f.hint") == 0x1fu);
  for (const char* name : {"000000000000001F.hint", "1f.hint", "000000000000001f.log",
                           "0000000000000000.hint", "x000000000000001f.hint", ".hint", ""}) {
    CHECK_FALSE(parse_hint_name(name));
  }
}

TEST_CASE("every sealed segment gets a hint, and loses it with the segment") {
  const auto fs = std::make_shared<SimFs>();
  auto engine = must_open(sim_options(fs));
  for (int i = 0; i < 40; ++i) REQUIRE(set(*engine, "k" + std::to_string(i), filler));
  CHECK(names(*fs, ".hint").empty());
  settle(*engine);
  const auto sealed = names(*fs, ".hint");
  CHECK(sealed.size() >= 8);
  CHECK(engine->stats().hint_bytes > 0);
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 40; ++i) REQUIRE(set(*engine, "k" + std::to_string(i), filler));
    compact(*engine);
  }
  CHECK(engine->stats().compactions > 0);
  const auto segments = names(*fs, ".log");
  const auto hints = names(*fs, ".hint");
  // All but the active one and the one prepared behind it.
  CHECK(hints.size() >= segments.size() - 2);
  for (const std::string& name : hints) {
    CAPTURE(name);
    CHECK(std::find(segments.begin(), segments.end(), name) != segments.end());
  }
}

TEST_CASE("an open uses hints, and finds what it finds without them") {
  const auto fs = std::make_shared<SimFs>();
  {
    auto engine = must_open(sim_options(fs));
    for (int i = 0; i < 60; ++i) REQUIRE(set(*engine, "k" + std::to_string(i % 25), filler));
    for (int i = 0; i < 5; ++i) REQUIRE(remove(*engine, "k" + std::to_string(i)));
    settle(*engine);
    REQUIRE(engine->close());
  }
  const auto bare = fs->fork();
  for (const std::string& name : names(*bare, ".hint")) bare->files().erase(name + ".hint");
  auto with = must_open(sim_options(fs));
  auto without = must_open(sim_options(bare));
  CHECK(with->stats().hints_used > 3);
  CHECK(with->stats().hints_bad == 0);
  CHECK(without->stats().hints_used == 0);
  CHECK(contents(*with) == contents(*without));
  CHECK(with->committed() == without->committed());
  CHECK(with->stats().recovered_records == without->stats().recovered_records);
  CHECK(with->stats().live_bytes == without->stats().live_bytes);
  CHECK(with->stats().dead_bytes == without->stats().dead_bytes);
  // The directory of a build that knew no hints gets them.
  settle(*without);
  CHECK(names(*bare, ".hint").size() >= names(*fs, ".hint").size() - 1);
}

TEST_CASE("hints that no segment belongs to are removed by the next open") {
  const auto fs = std::make_shared<SimFs>();
  {
    auto engine = must_open(sim_options(fs));
    for (int i = 0; i < 20; ++i) REQUIRE(set(*engine, "k" + std::to_string(i), filler));
    settle(*engine);
  }
  const std::string known = names(*fs, ".hint").front() + ".hint";
  fs->files()["00000000000000ff.hint"] = std::make_shared<SimFs::Inode>(*fs->files().at(known));
  fs->files()["somebody.hint"] = std::make_shared<SimFs::Inode>();
  auto engine = must_open(sim_options(fs));
  CHECK(fs->files().count("00000000000000ff.hint") == 0);
  CHECK(fs->files().count("somebody.hint") == 1);
  CHECK(fs->files().count(known) == 1);
}

TEST_CASE("a hint that cannot be written costs nothing but a line in the log") {
  const auto fs = std::make_shared<SimFs>();
  for (const SimCall failing : {SimCall::open, SimCall::write}) {
    const auto disk = fs->fork();
    disk->hook = [failing](SimCall call, const std::string& name, std::uint64_t) {
      return call == failing && name.ends_with(".hint") ? ENOSPC : 0;
    };
    std::vector<std::string> lines;
    auto options = sim_options(disk);
    options.log = [&lines](EngineOptions::Severity severity, std::string_view text) {
      if (severity != EngineOptions::Severity::info) lines.emplace_back(text);
    };
    auto engine = must_open(options);
    for (int round = 0; round < 3; ++round) {
      for (int i = 0; i < 20; ++i) REQUIRE(set(*engine, "k" + std::to_string(i), filler));
      compact(*engine);
    }
    REQUIRE(lines.size() == 1);
    CHECK(lines.front().find("cannot write a hint") != std::string::npos);
    CHECK(names(*disk, ".hint").empty());
    CHECK(engine->stats().hint_bytes == 0);
    const State before = contents(*engine);
    CHECK(before.size() == 20);
    engine.reset();
    CHECK(contents(*must_open(sim_options(disk))) == before);
  }
}
