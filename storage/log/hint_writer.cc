#include "storage/log/hint_writer.h"

#include <algorithm>
#include <utility>

namespace kvs::log {
namespace {

// Full chunks are written together.
constexpr std::size_t write_step_bytes = std::size_t{1} << 20;

}  // namespace

HintWriter::HintWriter(Directory& directory, const HashKey& hash_key,
                       std::shared_ptr<Segment> segment)
    : directory_(directory), segment_(std::move(segment)), unwritten_(hint_header_bytes, '\0') {
  for (std::size_t i = 0; i < databases_count; ++i) {
    hash_keys_[i] = derived(hash_key, static_cast<std::uint8_t>(i));
  }
  header_.segment = segment_->id();
  header_.salt = segment_->salt();
  header_.segment_bytes = segment_->end_bytes();
}

HintWriter::~HintWriter() {
  if (finished_ || file_ == nullptr) return;
  file_.reset();
  (void)directory_.remove(hint_name(segment_->id()));
}

Result<void> HintWriter::add(const SegmentScanner& scanner) {
  header_.clock = std::max(header_.clock, scanner.frame().clock);
  header_.synced_upto = std::max(header_.synced_upto, scanner.frame().synced_upto);
  for (const SegmentScanner::Item& item : scanner.items()) {
    const Record& record = item.record;
    unsigned group = hint_clears_group;
    if (is_of_a_key(record.kind)) {
      const std::uint64_t hash = hash_of(hash_keys_[record.database], record.key);
      group = static_cast<unsigned>(hash >> (64 - hint_group_bits));
    }
    Chunk& chunk = chunks_[group];
    append_hint_record(chunk.bytes,
                       {.kind = record.kind,
                        .database = record.database,
                        .lsn = item.lsn,
                        .offset_bytes = item.offset_bytes,
                        .value_bytes = record.value.size(),
                        .expire_at = record.expire_at,
                        .key = record.key},
                       chunk.cursor);
    ++chunk.records;
    ++header_.records;
    if (header_.min_lsn == 0 || item.lsn < header_.min_lsn) header_.min_lsn = item.lsn;
    header_.max_lsn = std::max(header_.max_lsn, item.lsn);
    if (chunk.bytes.size() < hint_chunk_bytes) continue;
    close_chunk(group);
    if (unwritten_.size() < write_step_bytes) continue;
    if (auto written = write_out(); !written) return written;
  }
  return {};
}

void HintWriter::close_chunk(unsigned group) {
  Chunk& chunk = chunks_[group];
  const std::uint64_t offset = written_bytes_ + unwritten_.size();
  append_hint_chunk(chunk_directory_, {.bytes = static_cast<std::uint32_t>(chunk.bytes.size()),
                                       .records = chunk.records,
                                       .crc = hint_crc(segment_->seed(), offset, chunk.bytes),
                                       .group = static_cast<std::uint8_t>(group)});
  ++header_.chunks;
  unwritten_.append(chunk.bytes);
  chunk.bytes.clear();
  chunk.records = 0;
  chunk.cursor = {};
}

Result<void> HintWriter::write_out() {
  if (file_ == nullptr) {
    auto file = directory_.open(hint_name(segment_->id()), OpenMode::replace);
    if (!file) return std::unexpected(file.error());
    file_ = std::move(*file);
  }
  if (auto written = file_->write_at(written_bytes_, unwritten_); !written) return written;
  file_->start_writeback(written_bytes_, unwritten_.size());
  written_bytes_ += unwritten_.size();
  unwritten_.clear();
  return {};
}

Result<void> HintWriter::finish() {
  for (unsigned group = 0; group <= hint_clears_group; ++group) {
    if (chunks_[group].records > 0) close_chunk(group);
  }
  header_.directory_offset_bytes = written_bytes_ + unwritten_.size();
  header_.directory_crc =
      hint_crc(segment_->seed(), header_.directory_offset_bytes, chunk_directory_);
  unwritten_.append(chunk_directory_);
  char header[hint_header_bytes];
  encode_hint_header(header, header_, segment_->seed());
  const bool small = written_bytes_ == 0;
  if (small) std::copy_n(header, sizeof header, unwritten_.begin());
  if (auto written = write_out(); !written) return written;
  if (!small) {
    if (auto written = file_->write_at(0, {header, sizeof header}); !written) return written;
  }
  finished_ = true;
  segment_->set_hint_bytes(written_bytes_);
  return {};
}

}  // namespace kvs::log
