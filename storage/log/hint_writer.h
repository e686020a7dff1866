// hint_writer.h - makes the hint of one sealed segment from its frames.
//
// Whoever walks through a sealed segment anyway (hint_job.h, the compactor when it verifies an
// output) hands the frames on. Records gather in one chunk per group of hashes and a chunk goes to
// the file when it is full, so memory is bounded however large the segment is. The header comes
// last: until then the file is not a hint. Nothing is synced, since nothing depends on it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "storage/fs.h"
#include "storage/hash.h"
#include "storage/log/hint.h"
#include "storage/log/scanner.h"

namespace kvs::log {

// Thread: one.
class HintWriter {
 public:
  // `directory` outlives this. The hint is grouped by `hash_key`, the index's.
  HintWriter(Directory& directory, const HashKey& hash_key, std::shared_ptr<Segment> segment);
  // Removes the file unless finish() has succeeded.
  ~HintWriter();
  HintWriter(const HintWriter&) = delete;
  HintWriter& operator=(const HintWriter&) = delete;

  // Adds the frame or seal that `scanner` has just found. After an error this is of no use.
  Result<void> add(const SegmentScanner& scanner);

  // Completes the hint and tells the segment that it has one.
  Result<void> finish();

 private:
  struct Chunk {
    std::string bytes;
    std::uint32_t records = 0;
    HintCursor cursor;
  };

  void close_chunk(unsigned group);  // moves it to unwritten_
  Result<void> write_out();

  Directory& directory_;
  const std::shared_ptr<Segment> segment_;
  std::array<HashKey, databases_count> hash_keys_;
  std::unique_ptr<File> file_;
  std::array<Chunk, hint_groups + 1> chunks_;
  HintHeader header_;
  std::string chunk_directory_;
  std::string unwritten_;
  std::uint64_t written_bytes_ = 0;
  bool finished_ = false;
};

}  // namespace kvs::log
