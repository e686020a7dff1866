// hint_fuzz.cc - any bytes as the hint of a segment: the engine opens, and holds what it held.
//
// The first byte of the input: with its first bit set, salt and segment and the checksums of
// header, directory and chunks are made right before they are read. A hint that lies under right
// checksums may then be believed; what it leads to is an error or the right value, never another
// one. With the second bit set the input is no hint but changes to the true one: two bytes of
// offset, and one to put there, again and again.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "storage/log/bytes.h"
#include "storage/log/checksum.h"
#include "storage/log/frame.h"
#include "storage/log/hint.h"
#include "storage/log/record.h"
#include "storage/log/segment.h"
#include "storage/options.h"
#include "tests/support/sim_fs.h"
#include "tests/support/storage_model.h"

namespace {

using namespace kvs;
using namespace kvs::test;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

EngineOptions options_of(const std::shared_ptr<SimFs>& fs) {
  EngineOptions options;
  options.directory = "/sim";
  options.segment_bytes = 400;
  options.compact_dead_percent = 100;
  options.cache_bytes = 0;
  options.fs = fs;
  return options;
}

// A directory after a crash, with hints; made once.
struct Sample {
  std::shared_ptr<SimFs> fs = std::make_shared<SimFs>();
  State state;
  std::string hint;  // the name of one
  log::SegmentHeader segment;

  Sample() {
    {
      auto engine = open_engine("kvs", options_of(fs));
      require(engine.has_value(), "the sample opens");
      for (int i = 0; i < 40; ++i) {
        auto session = (*engine)->begin();
        require(session.has_value(), "the sample can be written");
        const std::string key = "k" + std::to_string(i);
        if (i % 5 == 4) (*session)->remove({0, "k" + std::to_string(i - 2)});
        (*session)->put({static_cast<Database>(i % 7 == 6 ? 3 : 0), key}, key + " and its value",
                        i % 3 == 0 ? 1'900'000'000'000 : never);
        require((*session)->commit().has_value(), "the sample is committed");
      }
      for (int i = 0; i < 1000 && (*engine)->maintain(std::chrono::milliseconds(20)); ++i) {
      }
    }
    auto engine = open_engine("kvs", options_of(fs->fork()));
    require(engine.has_value(), "the sample opens again");
    state = contents(**engine);
    for (const auto& [name, inode] : fs->files()) {
      if (name.ends_with(".hint")) hint = hint.empty() ? name : hint;
    }
    require(!hint.empty(), "the sample has a hint");
    const auto parsed =
        log::parse_segment_header(fs->files().at(hint.substr(0, hint.size() - 5) + ".log")->now);
    require(parsed.fault == nullptr, "and its segment a header");
    segment = parsed.header;
  }
};

void mend(std::string& bytes, const log::SegmentHeader& segment) {
  if (bytes.size() < log::hint_header_bytes) return;
  const std::uint32_t seed = log::segment_seed(segment.salt, segment.id);
  const auto directory = log::load_le<std::uint64_t>(bytes.data() + 72);
  const auto chunks = log::load_le<std::uint32_t>(bytes.data() + 80);
  if (directory <= bytes.size() &&
      chunks <= (bytes.size() - directory) / log::hint_chunk_header_bytes) {
    std::uint64_t at = log::hint_header_bytes;
    for (std::uint32_t i = 0; i < chunks; ++i) {
      char* const entry = bytes.data() + directory + i * log::hint_chunk_header_bytes;
      const auto size = log::load_le<std::uint32_t>(entry);
      if (at > bytes.size() || size > bytes.size() - at) break;
      log::store_le(entry + 8, log::hint_crc(seed, at, std::string_view(bytes).substr(at, size)));
      at += size;
    }
    const auto all =
        std::string_view(bytes).substr(directory, chunks * log::hint_chunk_header_bytes);
    log::store_le(bytes.data() + 84, log::hint_crc(seed, directory, all));
  }
  // The header's own checksum, as encode_hint_header makes it.
  log::HintHeader header;
  header.segment = segment.id;
  header.salt = segment.salt;
  header.segment_bytes = log::load_le<std::uint64_t>(bytes.data() + 24);
  header.records = log::load_le<std::uint64_t>(bytes.data() + 32);
  header.min_lsn = log::load_le<std::uint64_t>(bytes.data() + 40);
  header.max_lsn = log::load_le<std::uint64_t>(bytes.data() + 48);
  header.clock = static_cast<UnixMs>(log::load_le<std::uint64_t>(bytes.data() + 56));
  header.synced_upto = log::load_le<std::uint64_t>(bytes.data() + 64);
  header.directory_offset_bytes = directory;
  header.chunks = chunks;
  header.directory_crc = log::load_le<std::uint32_t>(bytes.data() + 84);
  log::encode_hint_header(bytes.data(), header, seed);
}

std::string changed(std::string bytes, std::string_view changes) {
  for (std::size_t i = 0; i + 2 < changes.size(); i += 3) {
    const std::size_t at =
        static_cast<unsigned char>(changes[i]) + 256u * static_cast<unsigned char>(changes[i + 1]);
    bytes[at % bytes.size()] = changes[i + 2];
  }
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Sample sample;
  if (size == 0) return 0;
  const bool mended = (data[0] & 1) != 0;
  std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if ((data[0] & 2) != 0) bytes = changed(sample.fs->files().at(sample.hint)->now, bytes);
  if (mended) mend(bytes, sample.segment);

  const auto fs = sample.fs->fork();
  auto inode = std::make_shared<SimFs::Inode>();
  inode->now = bytes;
  inode->durable = bytes;
  fs->files()[sample.hint] = inode;
  auto engine = open_engine("kvs", options_of(fs));
  if (!mended) {
    require(engine.has_value(), "a bad hint keeps nothing from opening");
    require(contents(**engine) == sample.state, "a bad hint changes nothing");
  } else if (engine) {
    for (const auto& [key, stored] : sample.state) {
      std::string value;
      const auto found = (*engine)->get({key.first, key.second}, Access::may_block, value);
      require(!found || !*found || value == key.second + " and its value", "no other value");
    }
  }
  return 0;
}
