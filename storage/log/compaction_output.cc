#include "storage/log/compaction_output.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "storage/limits.h"
#include "storage/log/frame.h"

namespace kvs::log {

CompactionOutput::CompactionOutput(Catalog& catalog, std::uint64_t segment_bytes,
                                   std::uint8_t copies, std::function<UnixMs()> clock)
    : catalog_(catalog),
      segment_bytes_(segment_bytes),
      copies_(copies),
      clock_(std::move(clock)),
      frame_(frame_header_bytes, '\0') {}

Result<void> CompactionOutput::add(const Record& record) {
  assert(record.own_lsn != 0);
  // So that a full frame, alone in a segment, is within the segment's size if its record is.
  const std::uint64_t around = segment_header_bytes + frame_header_bytes;
  const std::uint64_t frame_bytes_max =
      std::min<std::uint64_t>(limits::compaction_frame_bytes, segment_bytes_ - around);
  const std::uint64_t bytes = encoded_bytes(record);
  if (!added_.empty() && frame_.size() + bytes > frame_bytes_max) {
    if (auto flushed = flush(); !flushed) return flushed;
  }
  append_record(frame_, record);
  added_.push_back(
      {.lsn = record.own_lsn, .bytes = static_cast<std::uint32_t>(bytes), .kind = record.kind});
  return {};
}

Result<void> CompactionOutput::flush() {
  if (added_.empty()) return {};
  const std::uint64_t seal_bytes = frame_header_bytes;
  if (open_ && segments_.back()->end_bytes() + frame_.size() + seal_bytes >
                   segments_.back()->capacity_bytes()) {
    if (auto sealed = seal(); !sealed) return sealed;
  }
  if (!open_) {
    const std::uint64_t needed = segment_header_bytes + frame_.size() + seal_bytes;
    auto created = catalog_.create(SegmentKind::compacted, std::max(segment_bytes_, needed));
    if (!created) return std::unexpected(created.error());
    (*created)->set_copies(copies_);
    segments_.push_back(std::move(*created));
    open_ = true;
  }
  Segment& segment = *segments_.back();
  const std::uint64_t offset = segment.end_bytes();
  std::uint64_t at = frame_header_bytes;
  for (const Added& record : added_) {
    stamp_record(frame_.data() + at, record.bytes, segment.seed(), offset + at, record.lsn);
    at += record.bytes;
  }
  const FrameHeader header{.payload_bytes = static_cast<std::uint32_t>(at - frame_header_bytes),
                           .records = static_cast<std::uint32_t>(added_.size()),
                           .clock = clock_()};
  encode_frame_header(frame_.data(), header, segment.seed(), offset);
  if (auto written = segment.file().write_at(offset, frame_); !written) return written;
  segment.file().start_writeback(offset, frame_.size());
  segment.set_end_bytes(offset + frame_.size());
  for (const Added& record : added_) {
    segment.counts.add_record(record.bytes, record.lsn);
    if (record.kind == RecordKind::tombstone) segment.counts.add_tombstone(record.bytes);
  }
  bytes_written_ += frame_.size();
  frame_.resize(frame_header_bytes);
  if (frame_.capacity() > limits::session_buffer_kept_bytes) frame_.shrink_to_fit();
  added_.clear();
  return {};
}

Result<void> CompactionOutput::seal() {
  Segment& segment = *segments_.back();
  char seal[frame_header_bytes];
  encode_frame_header(seal, {.clock = clock_()}, segment.seed(), segment.end_bytes());
  if (auto done = segment.file().write_at(segment.end_bytes(), {seal, sizeof seal}); !done) {
    return done;
  }
  const std::uint64_t end = segment.end_bytes() + sizeof seal;
  if (auto synced = segment.file().sync_data(); !synced) return synced;
  segment.set_end_bytes(end);
  segment.set_capacity_bytes(end);
  segment.set_sealed();
  open_ = false;
  return {};
}

Result<void> CompactionOutput::finish() {
  if (auto flushed = flush(); !flushed) return flushed;
  return open_ ? seal() : Result<void>{};
}

}  // namespace kvs::log
