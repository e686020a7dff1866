// scanner.h - walks through the frames of one segment, believing nothing that is not checked.
//
// A frame is handed out whole and only if its header and every record in it are valid: half a
// session does not exist. Lengths are checked against the file before anything is allocated or
// read. What a broken frame means (torn tail or corruption) is for the caller to decide.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "storage/log/frame.h"
#include "storage/log/record.h"
#include "storage/log/segment.h"

namespace kvs::log {

// A contiguous view into a file that slides forward; one large read serves many small requests.
class FileWindow {
 public:
  FileWindow(const File& file, std::uint64_t file_bytes) : file_(file), file_bytes_(file_bytes) {}

  // Returns the bytes from `offset_bytes` on, at least `wanted` of them unless the file ends.
  // Valid until the next call. `offset_bytes` must not go backwards.
  Result<std::string_view> view(std::uint64_t offset_bytes, std::uint64_t wanted);

 private:
  const File& file_;
  const std::uint64_t file_bytes_;
  std::string buffer_;
  std::uint64_t start_bytes_ = 0;  // where buffer_ lies in the file
};

class SegmentScanner {
 public:
  enum class Found {
    frame,
    seal,
    end,     // zeros, or the end of the file, where a frame could begin
    damage,  // neither a valid frame nor the end; fault() names the rule
  };

  struct Item {
    Record record;  // borrows from the scanner until the next call of next()
    Lsn lsn = 0;
    std::uint64_t offset_bytes = 0;
    std::size_t bytes = 0;
  };

  // Scans [header, file_bytes). Frames of a log segment must have LSNs greater than `after`.
  SegmentScanner(std::shared_ptr<const Segment> segment, std::uint64_t file_bytes, Lsn after);

  // Goes on to the next frame. Errors: io. After `end` and `damage` it stays where it is.
  Result<Found> next();

  const FrameHeader& frame() const { return frame_; }
  const std::vector<Item>& items() const { return items_; }
  // Where that which next() found begins, and where the following begins.
  std::uint64_t offset_bytes() const { return offset_bytes_; }
  std::uint64_t next_offset_bytes() const { return next_offset_bytes_; }
  // Greatest LSN seen in frames of a log segment, or `after`.
  Lsn last_lsn() const { return last_lsn_; }
  const char* fault() const { return fault_; }

 private:
  Found damaged(const char* fault);
  const char* check_frame() const;
  const char* read_items(std::string_view payload);

  const std::shared_ptr<const Segment> segment_;
  const std::uint64_t file_bytes_;
  FileWindow window_;
  std::uint64_t offset_bytes_ = segment_header_bytes;
  std::uint64_t next_offset_bytes_ = segment_header_bytes;
  Lsn last_lsn_;
  FrameHeader frame_;
  std::vector<Item> items_;
  const char* fault_ = nullptr;
};

// What lies behind the last valid frame of a segment.
struct TailFindings {
  std::uint64_t used_bytes = 0;  // up to the last byte that is not zero
  bool any_frame = false;        // headers of frames were found
  Lsn synced_upto = 0;           // the highest among them
  Lsn next_lsn = 0;              // the lowest first LSN among them
};

// Looks at [from, file_bytes) for anything but zeros, and for valid frame headers at any offset.
Result<TailFindings> examine_tail(const Segment& segment, std::uint64_t from_bytes,
                                  std::uint64_t file_bytes);

}  // namespace kvs::log
