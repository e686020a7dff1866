// survey.h - walks through all of a segment's bytes, whatever state they are in.
//
// SegmentScanner (scanner.h) stops at the first byte that is not right, as recovery must. The
// survey goes on behind it, for those who want to know everything that is damaged (check, scrub) or
// everything that is not (salvage). What it hands out is checked as strictly: every checksum starts
// from the segment's salt, so that a frame found at any offset was written there.
//
// Bounds: it allocates no more than the file is long, moves forward with every step, and computes
// checksums over a small multiple of the bytes, however the damage looks.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/log/frame.h"
#include "storage/log/record.h"
#include "storage/log/scanner.h"
#include "storage/log/segment.h"

namespace kvs::log {

// What a file claims to be, as far as it can be told.
struct SegmentIdentity {
  const char* fault = nullptr;  // of the header; null: it is valid and the file's own
  // The file's bytes can be checked: the seed is the header's, or was derived from a frame.
  bool readable = false;
  std::uint32_t seed = 0;
  SegmentKind kind = SegmentKind::log;
  UnixMs created = 0;
};

// Looks at the header of the file that is named after `id`. With a damaged one the seed (all that
// checksums need of it) is derived from the first frame, whose checksum is a reversible function of
// it, and believed only if a record's checksum agrees. Errors: io.
Result<SegmentIdentity> identify_segment(const File& file, SegmentId id);

// Fills with bytes of its own what cannot be read, page by page, and remembers the first error.
class ForgivingFile final : public File {
 public:
  explicit ForgivingFile(const File& file) : file_(file) {}

  Result<std::size_t> read_at(std::uint64_t offset_bytes, std::span<char> out) const override;
  Result<std::uint64_t> size() const override { return file_.size(); }
  void drop_cached(std::uint64_t offset_bytes, std::uint64_t bytes) const override {
    file_.drop_cached(offset_bytes, bytes);
  }
  // Whoever only looks changes nothing.
  Result<void> write_at(std::uint64_t, std::string_view) override { return refuse(); }
  Result<void> sync_data() override { return refuse(); }
  void start_writeback(std::uint64_t, std::uint64_t) override {}
  Result<void> preallocate(std::uint64_t) override { return refuse(); }
  Result<void> truncate(std::uint64_t) override { return refuse(); }

  const std::optional<Error>& first_error() const { return error_; }

 private:
  static Result<void> refuse() { return fail(Code::read_only, "opened for reading only"); }

  const File& file_;
  mutable std::optional<Error> error_;
};

// A range of bytes that should have been records and is not.
struct BadPlace {
  std::uint64_t offset_bytes = 0;
  std::uint64_t bytes = 0;
  // Of the records that were there; 0: not known.
  Lsn first_lsn = 0;
  Lsn last_lsn = 0;
  // What the bytes say of their key; not to be relied on, since the damage may lie there.
  bool key_readable = false;
  Database database = 0;
  std::string key;  // at most survey_key_bytes_max of it
  const char* fault = nullptr;
};
inline constexpr std::size_t survey_key_bytes_max = 4096;

class SegmentSurvey {
 public:
  enum class Found {
    frame,  // items(), and bad() if some of its records are damaged
    seal,
    gap,  // bytes that are no frame, with frames, or nothing, behind them: bad() has one place
    end,  // nothing but zeros up to the end of the file
  };
  using Item = SegmentScanner::Item;

  // Surveys [header, file_bytes) of `file`, which must outlive this.
  SegmentSurvey(const File& file, const SegmentIdentity& identity, std::uint64_t file_bytes);

  // Goes on. Errors: io (the same again with the next call).
  Result<Found> next();

  const FrameHeader& frame() const { return frame_; }
  const std::vector<Item>& items() const { return items_; }
  const std::vector<BadPlace>& bad() const { return bad_; }
  std::uint64_t offset_bytes() const { return offset_bytes_; }
  std::uint64_t next_offset_bytes() const { return next_offset_bytes_; }

 private:
  bool fits(const FrameHeader& header, std::uint64_t offset_bytes) const;
  Result<Found> find_frame(const char* fault);
  void read_items(std::string_view payload);
  bool take_record(std::string_view rest, std::uint64_t offset_bytes, Lsn lsn);
  std::size_t resync(std::string_view rest, std::uint64_t offset_bytes, std::uint32_t& number);

  const File& file_;
  const SegmentIdentity identity_;
  const std::uint64_t file_bytes_;
  FileWindow window_;
  std::uint64_t offset_bytes_ = segment_header_bytes;
  std::uint64_t next_offset_bytes_ = segment_header_bytes;
  FrameHeader frame_;
  std::vector<Item> items_;
  std::vector<BadPlace> bad_;
  std::uint64_t checksummed_bytes_ = 0;  // while resyncing in the current frame
};

}  // namespace kvs::log
