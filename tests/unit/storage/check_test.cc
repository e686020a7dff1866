// check_test.cc - everything damaged is found and named, nothing is changed, nothing is believed
// (C4, C5, C6).
#include <random>
#include <string>
#include <vector>

#include "storage/log/bytes.h"
#include "storage/log/checksum.h"
#include "storage/log/frame.h"
#include "storage/log/hint.h"
#include "storage/log/record.h"
#include "storage/log/segment.h"
#include "tests/support/seed.h"
#include "tests/unit/storage/damage_util.h"

using namespace kvs;
using namespace kvs::test;
using log::Verdict;

namespace {

// Checks without changing anything, and agrees with what opening says.
Verdict verdict_of(const std::shared_ptr<SimFs>& fs) {
  const auto before = snapshot(*fs);
  const log::CheckReport report = check_log(*fs);
  CHECK(snapshot(*fs) == before);
  CHECK((report.verdict == Verdict::corrupt) == (report.damages_count > 0));
  const auto copy = fs->fork();
  auto engine = open_engine("", sim_options(copy));
  if (!engine) {
    CHECK_MESSAGE(report.verdict == Verdict::corrupt, engine.error().message());
  } else if (report.verdict == Verdict::good) {
    CHECK((*engine)->stats().torn_bytes_cut == 0);
    std::uint64_t keys = 0;
    for (Database database = 0; database < databases_count; ++database) {
      keys += (*engine)->database_stats(database).keys;
    }
    CHECK(report.keys == keys);
  }
  return report.verdict;
}

std::size_t used_bytes(const std::string& bytes) {
  return bytes.find_last_not_of('\0') + 1;
}

}  // namespace

TEST_CASE("a log that is as it should be is good, and is counted") {
  for (const Stop stop : {Stop::clean, Stop::killed}) {
    const auto fs = reference_log(stop);
    CHECK(verdict_of(fs) == Verdict::good);
    const log::CheckReport report = check_log(*fs);
    CHECK(report.keys == 13);
    CHECK(report.tombstones >= 1);
    CHECK(report.clears == 1);
    CHECK(report.swaps == 2);
    CHECK(report.live_bytes > 0);
    CHECK(report.leftover_files == 0);
    CHECK(report.refusal.empty());
  }
}

TEST_CASE("a torn tail is told from corruption, with its place and length") {
  const auto fs = reference_log(Stop::killed);
  std::string* active = nullptr;
  std::string name;
  for (auto& [file, inode] : fs->files()) {
    if (file.ends_with(".log") && inode->now.find("unsynced") != std::string::npos) {
      active = &inode->now;
      name = file;
    }
  }
  REQUIRE(active != nullptr);
  (*active)[active->find("unsynced")] ^= 1;
  CHECK(verdict_of(fs) == Verdict::torn_tail);
  const log::CheckReport report = check_log(*fs);
  CHECK(report.torn_file == name);
  CHECK(report.torn_offset_bytes + report.torn_bytes == used_bytes(*active));
  CHECK(report.damages.empty());
}

TEST_CASE("every damaged place is named, with segment, offset, LSNs and key") {
  const auto fs = reference_log(Stop::killed);
  int damaged = 0;
  for (auto& [file, inode] : fs->files()) {
    for (const char* value : {"far away", "older", "in database 1"}) {
      const std::size_t at = inode->now.find(value);
      if (at == std::string::npos) continue;
      inode->now[at] ^= 0x20;
      ++damaged;
    }
  }
  REQUIRE(damaged == 3);
  const log::CheckReport report = check_log(*fs);
  CHECK(report.verdict == Verdict::corrupt);
  CHECK_MESSAGE(report.damages_count == 3, to_text(report));
  const std::string text = to_text(report);
  CHECK_MESSAGE(text.find("key \"deadline\" of database 0") != std::string::npos, text);
  CHECK_MESSAGE(text.find("key \"twice\" of database 0") != std::string::npos, text);
  CHECK_MESSAGE(text.find("key \"second\" of database 1") != std::string::npos, text);
  CHECK(text.find("LSN ") != std::string::npos);
  CHECK(text.find("checksum of a record does not match") != std::string::npos);
  CHECK(report.refusal.find("corrupt segment") != std::string::npos);
}

TEST_CASE("missing and foreign files, manifest and marker are told apart") {
  SUBCASE("a segment is missing") {
    const auto fs = reference_log(Stop::killed);
    for (auto it = fs->files().begin(); it != fs->files().end(); ++it) {
      if (!it->first.ends_with(".log")) continue;
      fs->files().erase(it);
      break;
    }
    CHECK(verdict_of(fs) == Verdict::corrupt);
    CHECK(to_text(check_log(*fs)).find("named in MANIFEST but missing") != std::string::npos);
  }
  SUBCASE("MANIFEST is damaged: the segments are looked at all the same") {
    const auto fs = reference_log(Stop::killed);
    fs->files().at("MANIFEST")->now[40] ^= 1;
    for (auto& [file, inode] : fs->files()) {
      const std::size_t at = inode->now.find("far away");
      if (at != std::string::npos) inode->now[at] ^= 1;
    }
    const std::string text = to_text(check_log(*fs));
    CHECK_MESSAGE(text.find("MANIFEST: ") != std::string::npos, text);
    CHECK_MESSAGE(text.find("\"deadline\"") != std::string::npos, text);
  }
  SUBCASE("another engine's directory cannot be checked") {
    const auto fs = reference_log(Stop::killed);
    fs->files().at("ENGINE")->now = "rocksdb 1\n";
    auto directory = fs->open_directory("/sim");
    const auto report = log::check(**directory);
    REQUIRE_FALSE(report);
    CHECK(report.error().code() == Code::wrong_engine);
  }
  SUBCASE("nor can one with nothing in it") {
    const auto fs = std::make_shared<SimFs>();
    auto directory = fs->open_directory("/sim");
    const auto report = log::check(**directory);
    REQUIRE_FALSE(report);
    CHECK(report.error().code() == Code::not_found);
  }
}

TEST_CASE("frames behind damage are found again, wherever it ends") {
  const auto fs = reference_log(Stop::killed);
  // A hole over two frames in the middle of a segment.
  for (auto& [file, inode] : fs->files()) {
    const std::size_t at = inode->now.find("far away");
    if (at == std::string::npos) continue;
    const std::uint64_t frames = check_log(*fs).frames;
    inode->now.replace(at - 30, 60, std::string(60, '\x5a'));
    const log::CheckReport report = check_log(*fs);
    CHECK(report.verdict == Verdict::corrupt);
    CHECK(report.frames >= frames - 2);
    CHECK(report.frames < frames + 1);
  }
}

TEST_CASE("a segment that cannot be read is named, and the rest is checked") {
  const auto fs = reference_log(Stop::killed);
  std::string victim;
  for (auto& [file, inode] : fs->files()) {
    if (inode->now.find("far away") != std::string::npos) victim = file;
  }
  fs->read_hook = [&victim](const std::string& name) { return name == victim ? EIO : 0; };
  const log::CheckReport report = check_log(*fs);
  CHECK(report.verdict == Verdict::corrupt);
  CHECK(to_text(report).find("Input/output error") != std::string::npos);
}

TEST_CASE("a hint is compared with its segment, record by record") {
  const auto fs = reference_log(Stop::killed);
  CHECK(check_log(*fs).hints >= 1);
  CHECK(check_log(*fs).unusable_hints.empty());
  std::string name;
  for (auto& [file, inode] : fs->files()) {
    if (file.ends_with(".hint")) name = file;
  }
  REQUIRE_FALSE(name.empty());
  std::string& bytes = fs->files().at(name)->now;
  SUBCASE("one whose checksum is wrong is no damage") {
    bytes.back() ^= 1;
    const log::CheckReport report = check_log(*fs);
    CHECK(report.verdict == Verdict::good);
    REQUIRE(report.unusable_hints.size() == 1);
    CHECK(report.unusable_hints[0].find(name) == 0);
  }
  SUBCASE("one whose checksums are right and whose contents are not is") {
    const std::string segment = name.substr(0, 16) + ".log";
    const auto head = log::parse_segment_header(fs->files().at(segment)->now.substr(0, 32));
    REQUIRE(head.fault == nullptr);
    const std::uint32_t seed = log::segment_seed(head.header.salt, head.header.id);
    log::ParsedHintHeader hint = log::parse_hint_header(bytes, seed);
    REQUIRE(hint.fault == nullptr);
    ++hint.header.clock;
    log::encode_hint_header(bytes.data(), hint.header, seed);
    const log::CheckReport report = check_log(*fs);
    CHECK(report.verdict == Verdict::corrupt);
    CHECK(to_text(report) == name + ": it says other than its segment\n");
  }
}

TEST_CASE("whatever the bytes are, the check ends and changes nothing") {
  const std::uint64_t seed = test_seed("random damage");
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const auto whole = reference_log(Stop::killed);
  const std::uint64_t rounds = 150 * effort;
  for (std::uint64_t round = 0; round < rounds; ++round) {
    CAPTURE(round);
    const auto fs = whole->fork();
    const std::uint64_t changes = 1 + random() % 8;
    for (std::uint64_t i = 0; i < changes; ++i) {
      auto file = fs->files().begin();
      std::advance(file, static_cast<std::ptrdiff_t>(random() % fs->files().size()));
      std::string& bytes = file->second->now;
      if (bytes.empty()) continue;
      const std::size_t at = random() % bytes.size();
      switch (random() % 6) {
        case 0:
          bytes[at] = static_cast<char>(random());
          break;
        case 1:
          bytes.resize(at);
          break;
        case 2: {  // lengths that are absurd: 0, the greatest, beyond the file
          const std::uint32_t value = random() % 2 == 0 ? 0xffffffffU : 0U;
          if (at + 4 <= bytes.size()) log::store_le(bytes.data() + at, value);
          break;
        }
        case 3:  // a misdirected block
          bytes.replace(at, 64, bytes.substr(random() % bytes.size(), 64));
          break;
        case 4:
          bytes.insert(at, std::string(random() % 50, static_cast<char>(random())));
          break;
        default:
          bytes.replace(at, std::min<std::size_t>(bytes.size() - at, 100), std::string(100, '\0'));
      }
    }
    auto directory = fs->open_directory("/sim");
    const auto before = snapshot(*fs);
    const auto report = log::check(**directory);
    CHECK(snapshot(*fs) == before);
    if (!report) {
      const Code code = report.error().code();
      CHECK_MESSAGE((code == Code::wrong_engine || code == Code::not_found),
                    report.error().message());
      continue;
    }
    const auto copy = fs->fork();
    auto engine = open_engine("", sim_options(copy));
    if (!engine) CHECK(report->verdict == Verdict::corrupt);
  }
}
