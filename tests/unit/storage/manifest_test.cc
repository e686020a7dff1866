// manifest_test.cc - MANIFEST is read strictly (C8).
#include "storage/log/manifest.h"

#include <string>

#include <doctest/doctest.h>

#include "storage/log/checksum.h"

using namespace kvs;
using namespace kvs::log;

namespace {

Manifest example() {
  Manifest manifest;
  for (std::size_t i = 0; i < manifest.hash_key.bytes.size(); ++i) {
    manifest.hash_key.bytes[i] = static_cast<unsigned char>(i);
  }
  manifest.durable = 41;
  manifest.dropped = 12;
  manifest.clock = 1'700'000'000'000;
  manifest.next_id = 6;
  manifest.segments = {{.id = 2,
                        .kind = SegmentKind::log,
                        .sealed = true,
                        .bytes = 400,
                        .records = 5,
                        .min_lsn = 13,
                        .max_lsn = 17},
                       {.id = 4,
                        .kind = SegmentKind::compacted,
                        .sealed = true,
                        .bytes = 380,
                        .records = 3,
                        .min_lsn = 1,
                        .max_lsn = 12},
                       {.id = 3, .kind = SegmentKind::log},
                       {.id = 5, .kind = SegmentKind::log}};
  manifest.clean_stop = CleanStop{.segment = 3, .offset_bytes = 72};
  return manifest;
}

constexpr std::string_view frozen =
    "kvs-manifest 1\n"
    "hash-key 000102030405060708090a0b0c0d0e0f\n"
    "durable 41\n"
    "dropped 12\n"
    "clock 1700000000000\n"
    "next-segment 0000000000000006\n"
    "segment 0000000000000002 log sealed 400 5 13 17\n"
    "segment 0000000000000004 compacted sealed 380 3 1 12\n"
    "segment 0000000000000003 log open\n"
    "segment 0000000000000005 log open\n"
    "clean 0000000000000003 72\n"
    "crc32c 536782b8\n";

// The example with one part replaced, and a checksum that is right.
std::string changed(std::string_view from, std::string_view to) {
  std::string text(frozen.substr(0, frozen.rfind("crc32c")));
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  text.replace(at, from.size(), to);
  char line[32];
  std::snprintf(line, sizeof line, "crc32c %08x\n", crc32c(0, text));
  return text + line;
}

}  // namespace

TEST_CASE("the text of a manifest is frozen, and read back as it was") {
  const Manifest manifest = example();
  CHECK(encode_manifest(manifest) == frozen);
  auto parsed = parse_manifest(frozen);
  REQUIRE_MESSAGE(parsed, parsed.error().message());
  CHECK(parsed->hash_key.bytes == manifest.hash_key.bytes);
  CHECK(parsed->durable == 41);
  CHECK(parsed->dropped == 12);
  CHECK(parsed->clock == manifest.clock);
  CHECK(parsed->next_id == 6);
  CHECK(parsed->segments == manifest.segments);
  CHECK(parsed->clean_stop == manifest.clean_stop);
}

TEST_CASE("a manifest that was cut, or has a changed bit, is refused") {
  for (std::size_t cut = 0; cut < frozen.size(); ++cut) {
    CAPTURE(cut);
    CHECK_FALSE(parse_manifest(frozen.substr(0, cut)));
  }
  for (std::size_t bit = 0; bit < 8 * frozen.size(); ++bit) {
    CAPTURE(bit);
    std::string text(frozen);
    text[bit / 8] = static_cast<char>(text[bit / 8] ^ (1 << (bit % 8)));
    CHECK_FALSE(parse_manifest(text));
  }
  CHECK_FALSE(parse_manifest(std::string(frozen) + "\n"));
  CHECK_FALSE(parse_manifest(std::string(frozen) + std::string(frozen)));
}

TEST_CASE("a manifest with a right checksum and wrong contents is refused") {
  REQUIRE(parse_manifest(changed("durable 41", "durable 41")));
  const std::pair<const char*, const char*> changes[] = {
      {"kvs-manifest 1", "kvs-manifest 2"},                                // unknown version
      {"hash-key 0001", "hash-key 001"},                                   // short
      {"0a0b", "0A0B"},                                                    // not as written
      {"hash-key ", "hash "},                                              // unknown word
      {"durable 41\n", ""},                                                // missing
      {"durable 41", "durable 041"},                                       // not as written
      {"durable 41", "durable -1"},                                        //
      {"durable 41", "durable 281474976710656"},                           // beyond 48 bits
      {"dropped 12\n", ""},                                                //
      {"dropped 12", "dropped x"},                                         //
      {"clock 1700000000000", "clock "},                                   //
      {"next-segment 0000000000000006", "next-segment 0000000000000005"},  // one is not below it
      {"next-segment 0000000000000006", "next-segment 6"},                 //
      {"segment 0000000000000004", "segment 0000000000000002"},            // duplicate
      {"segment 0000000000000004", "segment ../../../etc/pass"},           // another directory
      {"segment 0000000000000004", "segment 0000000000000000"},            //
      {"compacted sealed", "strange sealed"},                              // unknown kind
      {"compacted sealed 380 3 1 12", "compacted open"},                   //
      {"log sealed 400 5 13 17", "log sealed 400 5 13"},                   //
      {"log sealed 400 5 13 17", "log sealed 400 5 18 17"},                // lowest above highest
      {"log sealed 400 5 13 17", "log sealed 99999999999 5 13 17"},        //
      {"log open\nsegment", "log open\n\nsegment"},                        // blank line
      {"log open\nsegment", "log  open\nsegment"},                         // two spaces
      {"log open\nsegment", "log shut\nsegment"},                          // unknown state
      {"log open\nsegment 0000000000000005 log open",
       "log open\nsegment 0000000000000005 log sealed 400 5 18 19"},
      {"clean 0000000000000003 72", "clean 0000000000000001 72"},  // unnamed segment
      {"clean 0000000000000003 72", "clean 0000000000000003"},     //
      {"clean 0000000000000003 72\n", "clean 0000000000000003 72\nclean 0000000000000003 72\n"},
      {"clean 0000000000000003 72", "unknown line"},
  };
  for (const auto& [from, to] : changes) {
    auto parsed = parse_manifest(changed(from, to));
    CHECK_MESSAGE(!parsed, to);
    if (!parsed) {
      CHECK(parsed.error().code() == Code::corrupt);
      CHECK(parsed.error().message().starts_with("MANIFEST"));
    }
  }
}

TEST_CASE("a manifest without an open segment is refused") {
  Manifest manifest = example();
  manifest.clean_stop.reset();
  manifest.segments.resize(2);
  CHECK_FALSE(parse_manifest(encode_manifest(manifest)));
}
