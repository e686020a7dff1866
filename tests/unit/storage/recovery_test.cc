// recovery_test.cc - damaged logs: what is cut, what is refused (C1 to C6, C8).
#include <map>
#include <random>
#include <string>
#include <vector>

#include "storage/log/bytes.h"
#include "storage/log/checksum.h"
#include "storage/log/frame.h"
#include "storage/log/manifest.h"
#include "storage/log/record.h"
#include "storage/log/segment.h"
#include "tests/support/seed.h"
#include "tests/support/storage_model.h"
#include "tests/unit/storage/storage_test_util.h"

using namespace kvs;
using namespace kvs::test;

namespace {

constexpr std::string_view first_segment = "0000000000000001.log";

std::string& bytes_of(SimFs& fs, std::string_view name) {
  const auto found = fs.files().find(std::string(name));
  REQUIRE(found != fs.files().end());
  return found->second->now;
}

// All files as they are, to see that nothing was changed.
std::map<std::string, std::string> snapshot(SimFs& fs) {
  std::map<std::string, std::string> files;
  for (const auto& [name, inode] : fs.files()) files[name] = inode->now;
  return files;
}

std::size_t used_bytes(const std::string& bytes) {
  return bytes.find_last_not_of('\0') + 1;
}

// Opening must fail as corrupt, name the segment, and change nothing.
void check_refused(const std::shared_ptr<SimFs>& fs, std::string_view mentions) {
  const auto before = snapshot(*fs);
  auto engine = open_engine("", sim_options(fs, 4096));
  REQUIRE_FALSE(engine);
  CHECK(engine.error().code() == Code::corrupt);
  CHECK_MESSAGE(engine.error().message().find(mentions) != std::string::npos,
                engine.error().message());
  auto after = snapshot(*fs);
  after.erase("LOCK");
  CHECK(after == before);
}

// Three frames: a and b synced, then one of two records that nothing vouches for.
std::shared_ptr<SimFs> three_frames() {
  const auto fs = std::make_shared<SimFs>();
  auto engine = must_open(sim_options(fs, 4096));
  REQUIRE(set(*engine, "a", "1"));
  REQUIRE(set(*engine, "b", "2"));
  REQUIRE(engine->sync());
  auto session = engine->begin();
  REQUIRE(session);
  (*session)->put({0, "c"}, "three", never);
  (*session)->put({0, "a"}, "four", never);
  REQUIRE((*session)->commit());
  return fs;
}

std::size_t last_frame_offset(const std::string& bytes) {
  char magic[4];
  log::store_le(magic, log::frame_magic);
  return bytes.rfind(std::string_view(magic, sizeof magic));
}

void check_before_last_frame(Engine& engine) {
  CHECK(get(engine, "a") == "1");
  CHECK(get(engine, "b") == "2");
  CHECK(get(engine, "c") == "(absent)");
}

}  // namespace

TEST_CASE("a log that was cut anywhere in its last frame opens without that frame, and goes on") {
  const auto whole = three_frames();
  const std::size_t end = used_bytes(bytes_of(*whole, first_segment));
  const std::size_t begin = last_frame_offset(bytes_of(*whole, first_segment));
  REQUIRE(begin < end);
  for (std::size_t cut = begin; cut <= end; ++cut) {
    for (const bool zeros : {false, true}) {
      CAPTURE(cut);
      CAPTURE(zeros);
      const auto fs = whole->fork();
      std::string& bytes = bytes_of(*fs, first_segment);
      const std::size_t size = bytes.size();
      bytes.resize(cut);
      if (zeros) bytes.resize(size);
      auto engine = must_open(sim_options(fs, 4096));
      if (cut == end) {
        CHECK(get(*engine, "c") == "three");
        CHECK(get(*engine, "a") == "four");
        CHECK(engine->stats().torn_bytes_cut == 0);
      } else {
        check_before_last_frame(*engine);
      }
      REQUIRE(set(*engine, "d", "5"));
      const auto state = contents(*engine);
      engine.reset();
      engine = must_open(sim_options(fs, 4096));
      CHECK(contents(*engine) == state);
      CHECK(engine->stats().torn_bytes_cut == 0);
    }
  }
}

TEST_CASE("any subset of the last frame's sectors gives all of it or none") {
  const auto fs_before = std::make_shared<SimFs>();
  {
    auto engine = must_open(sim_options(fs_before, 16384));
    REQUIRE(set(*engine, "a", "1"));
    REQUIRE(engine->sync());
  }
  const auto fs_after = fs_before->fork();
  {
    auto engine = must_open(sim_options(fs_after, 16384));
    REQUIRE(set(*engine, "a", std::string(5000, 'x')));
  }
  const std::string before = bytes_of(*fs_before, first_segment);
  const std::string after = bytes_of(*fs_after, first_segment);
  constexpr std::size_t sector = 512;
  std::vector<std::size_t> changed;
  for (std::size_t at = 0; at < after.size(); at += sector) {
    if (before.substr(at, sector) != after.substr(at, sector)) changed.push_back(at);
  }
  REQUIRE(changed.size() > 8);
  REQUIRE(changed.size() <= 12);
  int kept = 0;
  for (unsigned subset = 0; subset < 1U << changed.size(); ++subset) {
    const auto fs = fs_after->fork();
    std::string bytes = before;
    for (std::size_t i = 0; i < changed.size(); ++i) {
      if ((subset >> i & 1) == 0) continue;
      bytes.replace(changed[i], sector, after.substr(changed[i], sector));
    }
    bytes_of(*fs, first_segment) = bytes;
    auto engine = must_open(sim_options(fs, 16384));
    const std::string value = get(*engine, "a");
    const bool all = value == std::string(5000, 'x');
    REQUIRE((all || value == "1"));
    kept += all ? 1 : 0;
  }
  CHECK(kept == 1);
}

TEST_CASE("garbage behind the last frame is never read as records") {
  const auto whole = three_frames();
  const std::size_t end = used_bytes(bytes_of(*whole, first_segment));
  const std::string original = bytes_of(*whole, first_segment);
  std::vector<std::string> tails = {std::string(500, '\xff'), std::string(500, '\x01'),
                                    std::string(100, '\0') + std::string(100, 'k'),
                                    // what the segment began with, and its last frame once more
                                    original.substr(0, end),
                                    original.substr(last_frame_offset(original), 200)};
  std::mt19937_64 random(test_seed("garbage"));
  for (int i = 0; i < 20; ++i) {
    std::string noise;
    for (int n = 0; n < 300; ++n) noise.push_back(static_cast<char>(random()));
    tails.push_back(noise);
  }
  for (const std::string& tail : tails) {
    const auto fs = whole->fork();
    bytes_of(*fs, first_segment).replace(end, tail.size(), tail);
    auto engine = must_open(sim_options(fs, 4096));
    CHECK(get(*engine, "a") == "four");
    CHECK(engine->database_stats(0).keys == 3);
    CHECK(engine->stats().torn_bytes_cut > 0);
    REQUIRE(set(*engine, "d", "5"));
    engine.reset();
    engine = must_open(sim_options(fs, 4096));
    CHECK(engine->database_stats(0).keys == 4);
    CHECK(engine->stats().torn_bytes_cut == 0);
  }
}

TEST_CASE("a frame cut off by one open does not come back behind the frames of the next") {
  // The second of two unsynced frames is whole, the first is damaged: both are cut. A new frame of
  // the first one's length must not make the second one follow it.
  const auto fs = std::make_shared<SimFs>();
  {
    auto engine = must_open(sim_options(fs, 4096));
    REQUIRE(set(*engine, "a", "1"));
    REQUIRE(set(*engine, "b", "2"));
    REQUIRE(set(*engine, "c", "3"));
  }
  const std::size_t frame = log::frame_header_bytes + log::record_header_bytes + 2;
  bytes_of(*fs, first_segment)[log::segment_header_bytes + frame + 20] ^= 1;
  {
    auto engine = must_open(sim_options(fs, 4096));
    CHECK(engine->stats().torn_bytes_cut == 2 * frame);
    CHECK(get(*engine, "b") == "(absent)");
    CHECK(get(*engine, "c") == "(absent)");
    REQUIRE(set(*engine, "B", "2"));
  }
  auto engine = must_open(sim_options(fs, 4096));
  CHECK(get(*engine, "B") == "2");
  CHECK(get(*engine, "c") == "(absent)");
}

TEST_CASE("damage before something that was known durable is corruption, not a torn tail") {
  SUBCASE("a later frame vouches for it") {
    const auto fs = three_frames();
    bytes_of(*fs, first_segment)[log::segment_header_bytes + 5] ^= 0x10;
    check_refused(fs, "0000000000000001.log at offset 32: checksum of the frame header");
  }
  SUBCASE("the affected LSNs are named") {
    const auto fs = three_frames();
    const std::size_t second = log::segment_header_bytes + log::frame_header_bytes + 18;
    bytes_of(*fs, first_segment)[second + 45] ^= 0x10;
    check_refused(fs, "LSN 2 to 2 are affected");
  }
  SUBCASE("a hole of zeros in the middle") {
    const auto fs = three_frames();
    std::string& bytes = bytes_of(*fs, first_segment);
    const std::size_t last = last_frame_offset(bytes);
    std::fill(bytes.begin() + log::segment_header_bytes,
              bytes.begin() + static_cast<std::ptrdiff_t>(last), '\0');
    check_refused(fs, "the log ends too early; records with LSN 1 to 2 are affected");
  }
  SUBCASE("a clean stop vouches for the last frame") {
    const auto fs = three_frames();
    {
      auto engine = must_open(sim_options(fs, 4096));
      REQUIRE(engine->close());
    }
    std::string& bytes = bytes_of(*fs, first_segment);
    bytes[last_frame_offset(bytes) + 60] ^= 1;
    check_refused(fs, "LSN 3 to 4 are affected");
  }
  SUBCASE("a clean stop vouches for the log not being cut") {
    const auto fs = three_frames();
    {
      auto engine = must_open(sim_options(fs, 4096));
      REQUIRE(engine->close());
    }
    std::string& bytes = bytes_of(*fs, first_segment);
    bytes.resize(last_frame_offset(bytes));
    check_refused(fs, "LSN 3 to 4 are affected");
  }
}

TEST_CASE("a client's value that looks like a frame is not taken for one") {
  // The value holds headers for every offset at which it may come to lie, made without the salt.
  const auto fs = std::make_shared<SimFs>();
  std::string forged;
  for (std::uint64_t offset = 0; offset < 20; ++offset) {
    char header[log::frame_header_bytes];
    log::encode_frame_header(
        header,
        {.payload_bytes = 100, .records = 1, .first_lsn = 1000, .clock = 1, .synced_upto = 999},
        log::segment_seed(0, 1), 160 + offset * sizeof header);
    forged.append(header, sizeof header);
  }
  {
    auto engine = must_open(sim_options(fs, 4096));
    REQUIRE(set(*engine, "a", "1"));
    REQUIRE(set(*engine, "forged", forged));
  }
  std::string& bytes = bytes_of(*fs, first_segment);
  bytes[log::segment_header_bytes + log::frame_header_bytes + 18 + 8] ^= 1;
  auto engine = must_open(sim_options(fs, 4096));
  CHECK(get(*engine, "a") == "1");
  CHECK(get(*engine, "forged") == "(absent)");
}

TEST_CASE("any flipped bit of a sealed segment is found, and never gives a wrong value") {
  const auto whole = std::make_shared<SimFs>();
  std::string sealed;
  State state;
  {
    auto engine = must_open(sim_options(whole));
    for (int i = 0; i < 12; ++i) {
      REQUIRE(set(*engine, "key" + std::to_string(i), "value" + std::to_string(i)));
    }
    REQUIRE(engine->stats().segments > 1);
    state = contents(*engine);
  }
  const std::size_t size = bytes_of(*whole, first_segment).size();
  REQUIRE(size < 400);
  for (std::size_t bit = 0; bit < 8 * size; ++bit) {
    CAPTURE(bit);
    const auto fs = whole->fork();
    std::string& bytes = bytes_of(*fs, first_segment);
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    const auto before = snapshot(*fs);
    auto engine = open_engine("", sim_options(fs));
    REQUIRE_FALSE(engine);
    CHECK(engine.error().code() == Code::corrupt);
    CHECK(engine.error().message().find(first_segment) != std::string::npos);
    CHECK(snapshot(*fs) == before);
  }
  // The same bits, flipped under a running engine: a read is right or an error.
  for (std::size_t bit = 0; bit < 8 * size; bit += 3) {
    CAPTURE(bit);
    const auto fs = whole->fork();
    auto engine = must_open(sim_options(fs));
    std::string& bytes = bytes_of(*fs, first_segment);
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    std::uint64_t errors = 0;
    for (const auto& [key, value] : contents(*engine)) {
      if (value.value.starts_with("error: ")) {
        ++errors;
        CHECK(value.value.find("corrupt segment /sim/0000000000000001.log at offset") !=
              std::string::npos);
      } else {
        CHECK(value == state.at(key));
      }
    }
    CHECK(errors <= 1);
    CHECK(engine->stats().corrupt_reads == errors);
  }
}

TEST_CASE("a block of another segment, or of another offset, is rejected") {
  const auto whole = std::make_shared<SimFs>();
  {
    auto engine = must_open(sim_options(whole));
    for (int i = 0; i < 20; ++i) REQUIRE(set(*engine, "k" + std::to_string(i % 10), "v"));
    REQUIRE(engine->stats().segments >= 3);
  }
  const auto fs = whole->fork();
  std::string& first = bytes_of(*fs, first_segment);
  const std::string& second = bytes_of(*fs, "0000000000000002.log");
  const std::size_t header = log::segment_header_bytes;
  SUBCASE("the frames of the second segment in the first") {
    first.replace(header, 60, second.substr(header, 60));
    CHECK_FALSE(open_engine("", sim_options(fs)));
  }
  SUBCASE("the whole second segment in place of the first") {
    first = second;
    CHECK_FALSE(open_engine("", sim_options(fs)));
  }
  SUBCASE("two frames exchanged") {
    const std::size_t frame = log::frame_header_bytes + log::record_header_bytes + 3;
    const std::string one = first.substr(header, frame);
    first.replace(header, frame, first.substr(header + frame, frame));
    first.replace(header + frame, frame, one);
    CHECK_FALSE(open_engine("", sim_options(fs)));
  }
}

TEST_CASE("lengths out of range are refused before anything is read or allocated by them") {
  // Frames and records with right checksums, made by somebody who knows the salt.
  const auto whole = std::make_shared<SimFs>();
  {
    auto engine = must_open(sim_options(whole, 4096));
    REQUIRE(set(*engine, "a", "1"));
    REQUIRE(engine->sync());
    REQUIRE(set(*engine, "b", "2"));
  }
  const std::string original = bytes_of(*whole, first_segment);
  const auto header = log::parse_segment_header(original).header;
  const std::uint32_t seed = log::segment_seed(header.salt, header.id);
  const std::size_t at = last_frame_offset(original);
  const log::FrameHeader good =
      log::parse_frame_header(std::string_view(original).substr(at), seed, at).header;

  const auto open_with = [&](const log::FrameHeader& frame, std::uint32_t key_bytes,
                             std::uint32_t value_bytes) {
    const auto fs = whole->fork();
    std::string& bytes = bytes_of(*fs, first_segment);
    log::encode_frame_header(bytes.data() + at, frame, seed, at);
    char* record = bytes.data() + at + log::frame_header_bytes;
    log::store_le(record + 8, key_bytes);
    log::store_le(record + 12, value_bytes);
    log::stamp_record(record, log::record_header_bytes + 2, seed, at + log::frame_header_bytes,
                      frame.first_lsn);
    auto engine = must_open(sim_options(fs, 4096));
    CHECK(get(*engine, "a") == "1");
    return get(*engine, "b");
  };
  CHECK(open_with(good, 1, 1) == "2");
  const std::uint32_t lengths[] = {
      0, 2, 3, 100, 4096, 1U << 29, (1U << 29) + 1, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff};
  for (const std::uint32_t length : lengths) {
    CAPTURE(length);
    CHECK(open_with(good, length, 1) == "(absent)");
    CHECK(open_with(good, 1, length) == "(absent)");
    CHECK(open_with(good, length, ~length) == "(absent)");
    log::FrameHeader frame = good;
    frame.payload_bytes = length;
    CHECK(open_with(frame, 1, 1) == "(absent)");
    frame = good;
    frame.records = length;
    CHECK(open_with(frame, 1, 1) == "(absent)");
  }
  log::FrameHeader frame = good;
  frame.first_lsn = 1;  // used already
  CHECK(open_with(frame, 1, 1) == "(absent)");
}

TEST_CASE("a missing or foreign file that MANIFEST relies on is an error, and nothing is changed") {
  const auto whole = std::make_shared<SimFs>();
  {
    auto engine = must_open(sim_options(whole));
    for (int i = 0; i < 30; ++i) REQUIRE(set(*engine, "k" + std::to_string(i), "v"));
  }
  const auto refused = [&](const std::shared_ptr<SimFs>& fs) {
    const auto before = snapshot(*fs);
    auto engine = open_engine("", sim_options(fs));
    REQUIRE_FALSE(engine);
    CHECK(engine.error().code() == Code::corrupt);
    CHECK(snapshot(*fs) == before);
    return engine.error().message();
  };
  SUBCASE("no MANIFEST") {
    const auto fs = whole->fork();
    fs->files().erase("MANIFEST");
    CHECK(refused(fs).find("MANIFEST is missing") != std::string::npos);
  }
  SUBCASE("an empty MANIFEST") {
    const auto fs = whole->fork();
    bytes_of(*fs, "MANIFEST").clear();
    CHECK(refused(fs).find("/sim/MANIFEST: empty") != std::string::npos);
  }
  SUBCASE("a MANIFEST of the future") {
    const auto fs = whole->fork();
    bytes_of(*fs, "MANIFEST")[13] = '2';
    CHECK(refused(fs).find("unknown version") != std::string::npos);
  }
  SUBCASE("each segment missing, empty, or cut by a byte") {
    for (const auto& [name, inode] : whole->files()) {
      if (!name.ends_with(".log")) continue;
      CAPTURE(name);
      auto fs = whole->fork();
      fs->files().erase(name);
      CHECK(refused(fs).find(name + " is named in MANIFEST but missing") != std::string::npos);
      fs = whole->fork();
      bytes_of(*fs, name).clear();
      CHECK(refused(fs).find(name) != std::string::npos);
      if (name == whole->files().rbegin()->first) continue;
    }
  }
  SUBCASE("a sealed segment shortened by whole frames") {
    const auto fs = whole->fork();
    std::string& bytes = bytes_of(*fs, first_segment);
    bytes.resize(last_frame_offset(bytes));
    CHECK(refused(fs).find(first_segment) != std::string::npos);
  }
}

TEST_CASE("an interrupted first start is started again") {
  const auto fs = std::make_shared<SimFs>();
  { auto engine = must_open(sim_options(fs)); }
  fs->files().erase("MANIFEST");
  auto engine = must_open(sim_options(fs));
  REQUIRE(set(*engine, "k", "v"));
}

TEST_CASE("a torn tail is reported once, with its place") {
  const auto fs = three_frames();
  std::string& bytes = bytes_of(*fs, first_segment);
  bytes[last_frame_offset(bytes) + 50] ^= 1;
  auto options = sim_options(fs, 4096);
  std::vector<std::string> lines;
  options.log = [&](EngineOptions::Severity, std::string_view line) { lines.emplace_back(line); };
  auto engine = must_open(options);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].find("cut off") != std::string::npos);
  CHECK(lines[0].find(first_segment) != std::string::npos);
  engine.reset();
  lines.clear();
  engine = must_open(options);
  CHECK(lines.empty());
}
