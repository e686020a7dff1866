// log_segment_fuzz.cc - any bytes in a data directory: the check ends, opening agrees with it, and
// what a salvage makes of them opens.
//
// The input is the files themselves, so that a fuzzer changes what the parsers see: one byte of
// options, two of length, MANIFEST, then a segment. With the first bit of the options set,
// checksums of manifest, segment header, frames and records are made right before they are read:
// the rules behind the checksums are then reached too.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "storage/log/bytes.h"
#include "storage/log/check.h"
#include "storage/log/checksum.h"
#include "storage/log/frame.h"
#include "storage/log/manifest.h"
#include "storage/log/record.h"
#include "storage/log/salvage.h"
#include "storage/log/segment.h"
#include "storage/log/survey.h"
#include "storage/options.h"
#include "tests/support/sim_fs.h"

namespace {

using namespace kvs;
using kvs::test::SimFs;

constexpr std::string_view segment = "0000000000000001.log";

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

void put_file(SimFs& fs, std::string_view name, std::string_view bytes) {
  auto inode = std::make_shared<SimFs::Inode>();
  inode->now = bytes;
  inode->durable = bytes;
  fs.files()[std::string(name)] = inode;
}

std::string hex_u32(std::uint32_t value) {
  char text[9];
  std::snprintf(text, sizeof text, "%08x", value);
  return text;
}

void mend_manifest(std::string& text) {
  const std::size_t at = text.rfind("crc32c ");
  if (at == std::string::npos) return;
  text.resize(at);
  text += "crc32c " + hex_u32(log::crc32c(0, text)) + "\n";
}

void mend_segment(std::string& bytes) {
  if (bytes.size() < log::segment_header_bytes) return;
  log::store_le(bytes.data(), log::segment_magic);
  log::store_le(bytes.data() + 12, std::uint32_t{1});
  const std::string_view header(bytes);
  log::store_le(bytes.data() + 4, log::crc32c(0, header.substr(8, 24)));
  const std::uint32_t seed = log::segment_seed(log::load_le<std::uint64_t>(bytes.data() + 24), 1);
  std::size_t at = log::segment_header_bytes;
  while (at + log::frame_header_bytes <= bytes.size()) {
    char* const frame = bytes.data() + at;
    if (log::load_le<std::uint32_t>(frame) != log::frame_magic) return;
    log::store_le(frame + 4,
                  log::crc32c(log::frame_seed(seed, at), {frame + 8, log::frame_header_bytes - 8}));
    const auto payload = log::load_le<std::uint32_t>(frame + 8);
    const auto records = log::load_le<std::uint32_t>(frame + 12);
    const auto first = log::load_le<std::uint64_t>(frame + 16);
    const std::size_t begin = at + log::frame_header_bytes;
    if (payload > bytes.size() - begin) return;
    std::size_t offset = begin;
    for (std::uint32_t i = 0; i < records && offset < begin + payload; ++i) {
      const auto parsed =
          log::parse_record(std::string_view(bytes).substr(offset, begin + payload - offset));
      if (parsed.fault != nullptr) break;
      const Lsn lsn = parsed.record.own_lsn != 0 ? parsed.record.own_lsn : first + i;
      log::stamp_record(bytes.data() + offset, parsed.bytes, seed, offset, lsn);
      offset += parsed.bytes;
    }
    at = begin + payload;
  }
}

EngineOptions options_of(const std::shared_ptr<SimFs>& fs) {
  EngineOptions options;
  options.directory = "/sim";
  options.segment_bytes = 400;
  options.compact_dead_percent = 50;  // compaction happens all the time
  options.cache_bytes = 0;
  options.fs = fs;
  return options;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t head_bytes = 3;
  if (size < head_bytes) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + head_bytes, size - head_bytes);
  const std::size_t manifest_bytes = std::min<std::size_t>(input.size(), data[1] + 256u * data[2]);
  std::string manifest(input.substr(0, manifest_bytes));
  std::string bytes(input.substr(manifest_bytes));
  if ((data[0] & 1) != 0) {
    mend_manifest(manifest);
    mend_segment(bytes);
  }
  const auto fs = std::make_shared<SimFs>();
  put_file(*fs, "ENGINE", log::engine_marker);
  if ((data[0] & 2) == 0) put_file(*fs, "MANIFEST", manifest);
  put_file(*fs, segment, bytes);

  auto directory = fs->open_directory("/sim");
  const auto report = log::check(**directory);
  require(report.has_value(), "a directory of ours can be checked");
  auto engine = open_engine("", options_of(fs->fork()));
  if (engine) {
    // MANIFEST missing and a segment that holds nothing is where a first start was interrupted.
    const bool first_start = (data[0] & 2) != 0;
    require(report->verdict != log::Verdict::corrupt || first_start || report->refusal.empty(),
            "what opens was not said to be refused");
  } else {
    require(report->verdict == log::Verdict::corrupt, "what is refused is corrupt");
  }
  const auto salvaged = log::salvage(*fs, "/sim", **directory, 1'700'000'000'000);
  require(salvaged.has_value(), "a salvage succeeds on a good disk");
  auto reopened = open_engine("", options_of(fs->fork()));
  require(reopened.has_value(), "what was salvaged opens");
  return 0;
}
