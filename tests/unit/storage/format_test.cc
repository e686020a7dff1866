// format_test.cc - the bytes of log_format.md. A change here is a change of the format: document,
// constants and test change in one commit, and format_version with them.
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "storage/database_map.h"
#include "storage/limits.h"
#include "storage/log/bytes.h"
#include "storage/log/checksum.h"
#include "storage/log/frame.h"
#include "storage/log/record.h"
#include "storage/log/segment.h"

using namespace kvs;
using namespace kvs::log;

namespace {

std::string hex(std::string_view bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    text.push_back(digits[static_cast<unsigned char>(c) >> 4]);
    text.push_back(digits[static_cast<unsigned char>(c) & 15]);
  }
  return text;
}

// The worked example of log_format.md: segment 1, salt 0x0807060504030201, one frame of two records
// and the seal.
constexpr SegmentHeader example_header{
    .kind = SegmentKind::log, .id = 1, .created = 1'700'000'000'000, .salt = 0x0807060504030201};

std::string example_segment() {
  std::string bytes(segment_header_bytes + frame_header_bytes, '\0');
  encode_segment_header(bytes.data(), example_header);
  const std::uint32_t seed = segment_seed(example_header.salt, example_header.id);
  const std::size_t first = bytes.size();
  append_record(bytes, {.kind = RecordKind::value,
                        .database = 0,
                        .expire_at = 1'700'000'060'000,
                        .key = "k",
                        .value = "v1"});
  const std::size_t second = bytes.size();
  append_record(bytes, {.kind = RecordKind::tombstone, .database = 3, .key = "old"});
  stamp_record(bytes.data() + first, second - first, seed, first, 7);
  stamp_record(bytes.data() + second, bytes.size() - second, seed, second, 8);
  const FrameHeader frame{.payload_bytes = static_cast<std::uint32_t>(bytes.size() - first),
                          .records = 2,
                          .first_lsn = 7,
                          .clock = 1'700'000'000'500,
                          .synced_upto = 6};
  encode_frame_header(bytes.data() + segment_header_bytes, frame, seed, segment_header_bytes);
  const std::size_t seal = bytes.size();
  bytes.resize(seal + frame_header_bytes);
  encode_frame_header(bytes.data() + seal,
                      {.first_lsn = 9, .clock = 1'700'000'001'000, .synced_upto = 6}, seed, seal);
  return bytes;
}

std::string stamped(const Record& record, std::uint32_t seed, std::uint64_t offset, Lsn lsn) {
  std::string bytes;
  append_record(bytes, record);
  stamp_record(bytes.data(), bytes.size(), seed, offset, lsn);
  return bytes;
}

}  // namespace

TEST_CASE("the checksum is CRC32C and can be continued") {
  CHECK(crc32c(0, "123456789") == 0xe3069283);
  CHECK(crc32c(crc32c(0, "1234"), "56789") == 0xe3069283);
  CHECK(crc32c(0, "") == 0);
}

TEST_CASE("the bytes of segment, frame and record are frozen") {
  const std::string bytes = example_segment();
  REQUIRE(bytes.size() == 158);
  CHECK(hex(bytes.substr(0, 32)) ==
        "6b76735358e4e50701000100010000000068e5cf8b0100000102030405060708");
  CHECK(hex(bytes.substr(32, 40)) ==
        "6b767346f613e0a02e000000020000000700000000000000f469e5cf8b0100000600000000000000");
  CHECK(hex(bytes.substr(72, 27)) == "87c6168d0101000001000000020000006052e6cf8b0100006b7631");
  CHECK(hex(bytes.substr(99, 19)) == "96cd72c50200000303000000000000006f6c64");
  CHECK(hex(bytes.substr(118, 40)) ==
        "6b767346faa4b74000000000000000000900000000000000e86be5cf8b0100000600000000000000");
}

TEST_CASE("a record with its own LSN has frozen bytes too") {
  const std::string bytes =
      stamped({.kind = RecordKind::value, .database = 1, .own_lsn = 7, .key = "k", .value = "v"},
              segment_seed(1, 2), 72, 7);
  CHECK(hex(bytes) == "883037ff01020001010000000100000007000000000000006b76");
}

TEST_CASE("the bytes of a swap are frozen") {
  DatabaseMap map;
  map.swap(0, 3);
  const DatabaseMap::Encoded numbers = map.encoded();
  const std::string bytes =
      stamped({.kind = RecordKind::swap, .key = {numbers.data(), numbers.size()}},
              segment_seed(1, 2), 72, 7);
  CHECK(hex(bytes) ==
        "9de599b9040000000800000000000000"
        "1302547698badcfe");
}

TEST_CASE("what was encoded is read back") {
  const std::string bytes = example_segment();
  const auto header = parse_segment_header(bytes);
  REQUIRE(header.fault == nullptr);
  CHECK(header.header.id == 1);
  CHECK(header.header.kind == SegmentKind::log);
  CHECK(header.header.salt == example_header.salt);
  CHECK(header.header.created == example_header.created);
  const std::uint32_t seed = segment_seed(example_header.salt, 1);
  const auto frame = parse_frame_header(std::string_view(bytes).substr(32), seed, 32);
  REQUIRE(frame.fault == nullptr);
  CHECK(frame.header.records == 2);
  CHECK(frame.header.first_lsn == 7);
  CHECK(frame.header.synced_upto == 6);
  CHECK(frame.header.clock == 1'700'000'000'500);
  const auto record = parse_record(std::string_view(bytes).substr(72, 46));
  REQUIRE(record.fault == nullptr);
  CHECK(record.bytes == 27);
  CHECK(record.record.key == "k");
  CHECK(record.record.value == "v1");
  CHECK(record.record.expire_at == 1'700'000'060'000);
  CHECK(checksum_matches(std::string_view(bytes).substr(72, 27), seed, 72, 7));
}

TEST_CASE("any flipped bit of a record, a frame header or a segment header is noticed") {
  const std::string whole = example_segment();
  const std::uint32_t seed = segment_seed(example_header.salt, 1);
  for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    CAPTURE(bit);
    std::string bytes = whole;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    const std::string_view view = bytes;
    const std::size_t at = bit / 8;
    if (at < 32) {
      CHECK(parse_segment_header(view).fault != nullptr);
    } else if (at < 72) {
      CHECK(parse_frame_header(view.substr(32, 40), seed, 32).fault != nullptr);
    } else if (at < 118) {
      const std::size_t from = at < 99 ? 72 : 99;
      const std::size_t count = at < 99 ? 27 : 19;
      const Lsn lsn = at < 99 ? 7 : 8;
      const auto parsed = parse_record(view.substr(from, count));
      const bool noticed = parsed.fault != nullptr || parsed.bytes != count ||
                           !checksum_matches(view.substr(from, count), seed, from, lsn);
      CHECK(noticed);
    } else {
      CHECK(parse_frame_header(view.substr(118), seed, 118).fault != nullptr);
    }
  }
}

TEST_CASE("right bytes at a wrong place do not count") {
  const std::uint32_t seed = segment_seed(11, 5);
  const std::string record = stamped({.key = "k", .value = "v"}, seed, 72, 9);
  CHECK(checksum_matches(record, seed, 72, 9));
  CHECK_FALSE(checksum_matches(record, seed, 73, 9));
  CHECK_FALSE(checksum_matches(record, seed, 72, 10));
  CHECK_FALSE(checksum_matches(record, segment_seed(11, 6), 72, 9));
  CHECK_FALSE(checksum_matches(record, segment_seed(12, 5), 72, 9));
  char frame[frame_header_bytes];
  encode_frame_header(frame, {.payload_bytes = 18, .records = 1, .first_lsn = 1}, seed, 32);
  const std::string_view view(frame, sizeof frame);
  CHECK(parse_frame_header(view, seed, 32).fault == nullptr);
  CHECK(parse_frame_header(view, seed, 64).fault != nullptr);
  CHECK(parse_frame_header(view, segment_seed(11, 6), 32).fault != nullptr);
}

TEST_CASE("a record breaks none of its rules without being refused") {
  const auto fault_of = [](std::string bytes, std::size_t at, std::string_view patch) {
    bytes.replace(at, patch.size(), patch);
    return parse_record(bytes).fault;
  };
  std::string value;
  append_record(value, {.expire_at = 5, .own_lsn = 6, .key = "key", .value = "value"});
  REQUIRE(parse_record(value).fault == nullptr);
  CHECK(parse_record("").fault != nullptr);
  CHECK(parse_record(std::string(16, '\0')).fault != nullptr);
  CHECK(parse_record(std::string(4096, '\xff')).fault != nullptr);
  for (std::size_t cut = 0; cut < value.size(); ++cut) {
    CHECK(parse_record(std::string_view(value).substr(0, cut)).fault != nullptr);
  }
  using namespace std::string_view_literals;
  CHECK(fault_of(value, 4, "\x00"sv) != nullptr);  // kind
  CHECK(fault_of(value, 4, "\x04"sv) != nullptr);  // swap with a value
  CHECK(fault_of(value, 4, "\x05"sv) != nullptr);
  CHECK(fault_of(value, 5, "\x07"sv) !=
        nullptr);  // flags: compressed, encrypted, previous, unknown
  CHECK(fault_of(value, 5, "\x0b"sv) != nullptr);
  CHECK(fault_of(value, 5, "\x13"sv) != nullptr);
  CHECK(fault_of(value, 5, "\x83"sv) != nullptr);
  CHECK(fault_of(value, 6, "\x01"sv) != nullptr);              // value type
  CHECK(fault_of(value, 7, "\x10"sv) != nullptr);              // database
  CHECK(fault_of(value, 8, "\xff\xff\xff\xff"sv) != nullptr);  // lengths
  CHECK(fault_of(value, 12, "\xff\xff\xff\xff"sv) != nullptr);
  CHECK(fault_of(value, 8, "\xff\xff\xff\xff\xff\xff\xff\xff"sv) != nullptr);
  CHECK(fault_of(value, 8, "\x01\x00\x00\x20"sv) != nullptr);  // one more than 512 MiB
  CHECK(fault_of(value, 16, "\x00\x00\x00\x00\x00\x00\x00\x00"sv) != nullptr);  // deadline
  CHECK(fault_of(value, 16, "\xff\xff\xff\xff\xff\xff\xff\xff"sv) != nullptr);
  CHECK(fault_of(value, 24, "\x00\x00\x00\x00\x00\x00\x00\x00"sv) != nullptr);  // own LSN
  CHECK(fault_of(value, 24, "\x00\x00\x00\x00\x00\x00\x01\x00"sv) != nullptr);
  CHECK(fault_of(value, 4, "\x02"sv) != nullptr);  // tombstone with a value
  CHECK(fault_of(value, 4, "\x03"sv) != nullptr);  // clear with a key
  const DatabaseMap::Encoded numbers = DatabaseMap().encoded();
  std::string swap;
  append_record(swap, {.kind = RecordKind::swap, .key = {numbers.data(), numbers.size()}});
  REQUIRE(parse_record(swap).fault == nullptr);
  CHECK(fault_of(swap, 7, "\x01"sv) != nullptr);   // in a database
  CHECK(fault_of(swap, 16, "\x00"sv) != nullptr);  // two databases are the same
  CHECK(fault_of(swap, 8, "\x07"sv) != nullptr);   // too short
}

TEST_CASE("a frame header breaks none of its rules without being refused") {
  const std::uint32_t seed = segment_seed(1, 1);
  const auto fault_of = [seed](const FrameHeader& frame) {
    char bytes[frame_header_bytes];
    encode_frame_header(bytes, frame, seed, 32);
    return parse_frame_header({bytes, sizeof bytes}, seed, 32).fault;
  };
  const FrameHeader good{
      .payload_bytes = 100, .records = 2, .first_lsn = 10, .clock = 1, .synced_upto = 9};
  CHECK(fault_of(good) == nullptr);
  FrameHeader bad = good;
  bad.payload_bytes = UINT32_MAX;
  CHECK(fault_of(bad) != nullptr);
  bad = good;
  bad.records = 7;  // 7 x 16 > 100
  CHECK(fault_of(bad) != nullptr);
  bad.records = UINT32_MAX;
  CHECK(fault_of(bad) != nullptr);
  bad = good;
  bad.records = 0;
  CHECK(fault_of(bad) != nullptr);
  bad = good;
  bad.synced_upto = 10;
  CHECK(fault_of(bad) != nullptr);
  bad = good;
  bad.first_lsn = limits::lsn_max;
  CHECK(fault_of(bad) != nullptr);
  bad = good;
  bad.clock = -1;
  CHECK(fault_of(bad) != nullptr);
  CHECK(parse_frame_header(std::string(frame_header_bytes, '\0'), seed, 32).fault != nullptr);
}

TEST_CASE("a segment's name is its id and nothing else") {
  CHECK(segment_name(1) == "0000000000000001.log");
  CHECK(segment_name(0xabcdef01) == "00000000abcdef01.log");
  CHECK(parse_segment_name("00000000abcdef01.log") == 0xabcdef01);
  for (const char* name :
       {"", "1.log", "0000000000000001.LOG", "00000000ABCDEF01.log", "0000000000000000.log",
        "0000000100000000.log", "0000000000000001.log.tmp", "000000000000000g.log",
        "../00000000000001.log", "+000000000000001.log"}) {
    CHECK_MESSAGE(!parse_segment_name(name).has_value(), name);
  }
}
