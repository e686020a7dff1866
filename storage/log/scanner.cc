#include "storage/log/scanner.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

#include "storage/limits.h"
#include "storage/log/bytes.h"

namespace kvs::log {
namespace {

bool all_zero(std::string_view bytes) {
  if (bytes.empty()) return true;
  return bytes.front() == 0 && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

}  // namespace

Result<std::string_view> FileWindow::view(std::uint64_t offset_bytes, std::uint64_t wanted) {
  assert(offset_bytes >= start_bytes_);
  const std::uint64_t left = offset_bytes < file_bytes_ ? file_bytes_ - offset_bytes : 0;
  wanted = std::min(wanted, left);
  const std::uint64_t skip = offset_bytes - start_bytes_;
  if (skip <= buffer_.size() && buffer_.size() - skip >= wanted) {
    return std::string_view(buffer_).substr(static_cast<std::size_t>(skip));
  }
  // A frame may have been far longer than a read usually is.
  if (buffer_.capacity() > 16 * limits::scan_read_bytes && wanted < limits::scan_read_bytes) {
    buffer_ =
        buffer_.substr(static_cast<std::size_t>(std::min<std::uint64_t>(skip, buffer_.size())));
    buffer_.shrink_to_fit();
  } else {
    buffer_.erase(0, static_cast<std::size_t>(std::min<std::uint64_t>(skip, buffer_.size())));
  }
  start_bytes_ = offset_bytes;
  const std::size_t kept = buffer_.size();
  const std::uint64_t target =
      std::min(left, std::max<std::uint64_t>(wanted, limits::scan_read_bytes));
  if (target > kept) {
    buffer_.resize(static_cast<std::size_t>(target));
    auto got = file_.read_at(offset_bytes + kept, std::span(buffer_).subspan(kept));
    if (!got) {
      buffer_.resize(kept);
      return std::unexpected(got.error());
    }
    buffer_.resize(kept + *got);
  }
  return std::string_view(buffer_);
}

SegmentScanner::SegmentScanner(std::shared_ptr<const Segment> segment, std::uint64_t file_bytes,
                               Lsn after)
    : segment_(std::move(segment)),
      file_bytes_(file_bytes),
      window_(segment_->file(), file_bytes),
      last_lsn_(after) {}

SegmentScanner::Found SegmentScanner::damaged(const char* fault) {
  fault_ = fault;
  items_.clear();
  next_offset_bytes_ = offset_bytes_;
  return Found::damage;
}

Result<SegmentScanner::Found> SegmentScanner::next() {
  offset_bytes_ = next_offset_bytes_;
  items_.clear();
  auto head = window_.view(offset_bytes_, frame_header_bytes);
  if (!head) return std::unexpected(head.error());
  const std::string_view header = head->substr(0, frame_header_bytes);
  if (all_zero(header)) return Found::end;

  const ParsedFrame parsed = parse_frame_header(header, segment_->seed(), offset_bytes_);
  if (parsed.fault != nullptr) return damaged(parsed.fault);
  frame_ = parsed.header;
  if (const char* fault = check_frame()) return damaged(fault);
  const std::uint64_t end = offset_bytes_ + frame_header_bytes + frame_.payload_bytes;
  if (frame_.is_seal()) {
    next_offset_bytes_ = end;
    return Found::seal;
  }
  const std::uint64_t whole = frame_header_bytes + std::uint64_t{frame_.payload_bytes};
  auto bytes = window_.view(offset_bytes_, whole);
  if (!bytes) return std::unexpected(bytes.error());
  if (bytes->size() < whole) return damaged("file is shorter than it was");
  const auto payload =
      bytes->substr(frame_header_bytes, static_cast<std::size_t>(frame_.payload_bytes));
  if (const char* fault = read_items(payload)) return damaged(fault);
  if (segment_->kind() == SegmentKind::log) last_lsn_ = frame_.first_lsn + frame_.records - 1;
  next_offset_bytes_ = end;
  return Found::frame;
}

// The numbers are those of log_format.md, "A frame is valid in its segment when".
const char* SegmentScanner::check_frame() const {
  // 1
  if (frame_.payload_bytes > file_bytes_ - offset_bytes_ - frame_header_bytes) {
    return "frame does not fit into the file";
  }
  // 2
  if (segment_->kind() == SegmentKind::compacted) {
    if (frame_.first_lsn != 0 || frame_.synced_upto != 0) return "LSN in a compacted segment";
    return nullptr;
  }
  if (frame_.first_lsn <= last_lsn_) return "LSN out of order";
  return nullptr;
}

const char* SegmentScanner::read_items(std::string_view payload) {
  const bool compacted = segment_->kind() == SegmentKind::compacted;
  std::uint64_t offset = offset_bytes_ + frame_header_bytes;
  for (std::uint32_t i = 0; i < frame_.records; ++i) {
    // 3, record by record
    const ParsedRecord parsed = parse_record(payload);
    if (parsed.fault != nullptr) return parsed.fault;
    // 4
    if ((parsed.record.own_lsn != 0) != compacted) return "LSN of the wrong kind";
    const Lsn lsn = compacted ? parsed.record.own_lsn : frame_.first_lsn + i;
    const std::string_view bytes = payload.substr(0, parsed.bytes);
    if (!checksum_matches(bytes, segment_->seed(), offset, lsn)) {
      return "checksum of a record does not match";
    }
    items_.push_back(
        {.record = parsed.record, .lsn = lsn, .offset_bytes = offset, .bytes = parsed.bytes});
    payload.remove_prefix(parsed.bytes);
    offset += parsed.bytes;
  }
  // 5
  if (!payload.empty()) return "bytes after the last record of a frame";
  return nullptr;
}

Result<TailFindings> examine_tail(const Segment& segment, std::uint64_t from_bytes,
                                  std::uint64_t file_bytes) {
  TailFindings tail{.used_bytes = from_bytes};
  char magic[4];
  store_le(magic, frame_magic);
  FileWindow window(segment.file(), file_bytes);
  for (std::uint64_t at = from_bytes; at < file_bytes;) {
    auto read = window.view(at, limits::scan_read_bytes);
    if (!read) return std::unexpected(read.error());
    if (read->empty()) break;
    const std::string_view bytes = *read;
    if (!all_zero(bytes)) {
      const std::size_t last = bytes.find_last_not_of('\0');
      tail.used_bytes = std::max(tail.used_bytes, at + last + 1);
      for (std::size_t hit = bytes.find({magic, sizeof magic}); hit != std::string_view::npos;
           hit = bytes.find({magic, sizeof magic}, hit + 1)) {
        const ParsedFrame parsed = parse_frame_header(bytes.substr(hit), segment.seed(), at + hit);
        if (parsed.fault != nullptr) continue;
        const FrameHeader& frame = parsed.header;
        tail.synced_upto = std::max(tail.synced_upto, frame.synced_upto);
        if (!tail.any_frame || frame.first_lsn < tail.next_lsn) tail.next_lsn = frame.first_lsn;
        tail.any_frame = true;
      }
    }
    if (at + bytes.size() >= file_bytes) break;
    // A header may lie across the border of two reads.
    const std::size_t overlap = std::min(bytes.size() - 1, frame_header_bytes - 1);
    at += bytes.size() - overlap;
  }
  return tail;
}

}  // namespace kvs::log
