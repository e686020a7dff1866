// compaction_output.h - writes survivors of a compaction into new segments.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "storage/log/catalog.h"
#include "storage/log/record.h"

namespace kvs::log {

// Gathers records into frames, frames into as many segments as it takes. Thread: one.
class CompactionOutput {
 public:
  // Segments grow to about `segment_bytes` and say that their records were copied `copies` times;
  // frames carry `clock()`. The catalog must outlive this.
  CompactionOutput(Catalog& catalog, std::uint64_t segment_bytes, std::uint8_t copies,
                   std::function<UnixMs()> clock);

  // Adds a record with its LSN. After an error the output is of no use but for segments().
  Result<void> add(const Record& record);

  // Writes what is left, seals and syncs.
  Result<void> finish();

  // All segments created so far; complete and sealed after finish(). In no list of the catalog.
  const std::vector<SegmentPtr>& segments() const { return segments_; }
  std::uint64_t bytes_written() const { return bytes_written_; }

 private:
  struct Added {
    Lsn lsn;
    std::uint32_t bytes;
    RecordKind kind;
  };

  Result<void> flush();
  Result<void> seal();

  Catalog& catalog_;
  const std::uint64_t segment_bytes_;
  const std::uint8_t copies_;
  const std::function<UnixMs()> clock_;
  std::vector<SegmentPtr> segments_;
  bool open_ = false;  // the last of segments_ still takes frames
  std::string frame_;
  std::vector<Added> added_;  // the records in frame_
  std::uint64_t bytes_written_ = 0;
};

}  // namespace kvs::log
