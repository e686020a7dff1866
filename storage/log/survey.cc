#include "storage/log/survey.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "storage/limits.h"
#include "storage/log/bytes.h"
#include "storage/log/checksum.h"

namespace kvs::log {
namespace {

constexpr std::size_t page_bytes = 4096;
// So much is put under checksums while looking for the next record of a frame, per byte of it.
constexpr std::uint64_t resync_effort = 16;

bool all_zero(std::string_view bytes) {
  return bytes.find_first_not_of('\0') == std::string_view::npos;
}

// Returns the segment seed under which `header`, at the start of a segment, has the checksum that
// it has: the checksum is an affine function of the seed over GF(2), and a reversible one.
std::optional<std::uint32_t> derive_seed(std::string_view header) {
  const std::string_view covered = header.substr(8);
  const auto checksum = [covered](std::uint32_t seed) {
    return crc32c(frame_seed(seed, segment_header_bytes), covered);
  };
  const std::uint32_t constant = checksum(0);
  std::uint32_t wanted = load_le<std::uint32_t>(header.data() + 4) ^ constant;
  // Gauss, with rows[bit]: a change of the checksum whose highest bit it is, and the change of the
  // seed that makes it.
  struct Row {
    std::uint32_t effect = 0;
    std::uint32_t seed = 0;
  };
  std::array<Row, 32> rows{};
  for (unsigned i = 0; i < 32; ++i) {
    Row row{checksum(1U << i) ^ constant, 1U << i};
    for (unsigned bit = 32; bit-- > 0;) {
      if ((row.effect >> bit & 1) == 0) continue;
      if (rows[bit].effect == 0) {
        rows[bit] = row;
        break;
      }
      row.effect ^= rows[bit].effect;
      row.seed ^= rows[bit].seed;
    }
  }
  std::uint32_t seed = 0;
  for (unsigned bit = 32; bit-- > 0;) {
    if ((wanted >> bit & 1) == 0) continue;
    if (rows[bit].effect == 0) return std::nullopt;
    wanted ^= rows[bit].effect;
    seed ^= rows[bit].seed;
  }
  return seed;
}

}  // namespace

Result<SegmentIdentity> identify_segment(const File& file, SegmentId id) {
  auto size = file.size();
  if (!size) return std::unexpected(size.error());
  char bytes[segment_header_bytes + frame_header_bytes];
  auto got = file.read_at(0, bytes);
  if (!got) return std::unexpected(got.error());
  const std::string_view head(bytes, *got);

  SegmentIdentity identity;
  const ParsedSegmentHeader parsed = parse_segment_header(head.substr(0, segment_header_bytes));
  identity.fault = parsed.fault;
  if (identity.fault == nullptr && parsed.header.id != id)
    identity.fault = "it is another segment's";
  if (identity.fault == nullptr && *size > UINT32_MAX) identity.fault = "file is too long";
  if (identity.fault == nullptr) {
    identity.readable = true;
    identity.seed = segment_seed(parsed.header.salt, id);
    identity.kind = parsed.header.kind;
    identity.created = parsed.header.created;
    return identity;
  }
  if (head.size() < sizeof bytes || *size > UINT32_MAX) return identity;
  const std::string_view frame = head.substr(segment_header_bytes);
  if (load_le<std::uint32_t>(frame.data()) != frame_magic) return identity;
  const auto seed = derive_seed(frame);
  if (!seed) return identity;
  const ParsedFrame first = parse_frame_header(frame, *seed, segment_header_bytes);
  if (first.fault != nullptr || first.header.is_seal()) return identity;
  identity.seed = *seed;
  identity.kind = first.header.first_lsn == 0 ? SegmentKind::compacted : SegmentKind::log;
  SegmentSurvey survey(file, identity, *size);
  auto found = survey.next();
  if (!found) return std::unexpected(found.error());
  identity.readable = *found == SegmentSurvey::Found::frame && !survey.items().empty();
  return identity;
}

Result<std::size_t> ForgivingFile::read_at(std::uint64_t offset_bytes, std::span<char> out) const {
  auto got = file_.read_at(offset_bytes, out);
  if (got) return got;
  if (!error_) error_ = got.error();
  auto size = file_.size();
  if (!size) return std::unexpected(size.error());
  const std::uint64_t left = offset_bytes < *size ? *size - offset_bytes : 0;
  const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), left));
  for (std::size_t at = 0; at < wanted;) {
    const std::size_t to_border = page_bytes - (offset_bytes + at) % page_bytes;
    const std::span<char> part = out.subspan(at, std::min(to_border, wanted - at));
    auto read = file_.read_at(offset_bytes + at, part);
    // No frame and no end is made of these.
    const std::size_t good = read ? *read : 0;
    std::fill(part.begin() + static_cast<std::ptrdiff_t>(good), part.end(), '\xee');
    at += part.size();
  }
  return wanted;
}

SegmentSurvey::SegmentSurvey(const File& file, const SegmentIdentity& identity,
                             std::uint64_t file_bytes)
    : file_(file), identity_(identity), file_bytes_(file_bytes), window_(file_, file_bytes) {}

bool SegmentSurvey::fits(const FrameHeader& header, std::uint64_t offset_bytes) const {
  if (header.payload_bytes > file_bytes_ - offset_bytes - frame_header_bytes) return false;
  if (identity_.kind == SegmentKind::log) return header.first_lsn != 0;
  return header.first_lsn == 0 && header.synced_upto == 0;
}

Result<SegmentSurvey::Found> SegmentSurvey::next() {
  offset_bytes_ = next_offset_bytes_;
  items_.clear();
  bad_.clear();
  if (offset_bytes_ >= file_bytes_) return Found::end;
  auto head = window_.view(offset_bytes_, frame_header_bytes);
  if (!head) return std::unexpected(head.error());
  const ParsedFrame parsed =
      parse_frame_header(head->substr(0, frame_header_bytes), identity_.seed, offset_bytes_);
  if (parsed.fault != nullptr) return find_frame(parsed.fault);
  if (!fits(parsed.header, offset_bytes_)) return find_frame("frame does not fit into its segment");
  frame_ = parsed.header;
  const std::uint64_t whole = frame_header_bytes + std::uint64_t{frame_.payload_bytes};
  if (frame_.is_seal()) {
    next_offset_bytes_ = offset_bytes_ + whole;
    return Found::seal;
  }
  auto bytes = window_.view(offset_bytes_, whole);
  if (!bytes) return std::unexpected(bytes.error());
  if (bytes->size() < whole) return find_frame("file is shorter than it was");
  read_items(bytes->substr(frame_header_bytes, frame_.payload_bytes));
  next_offset_bytes_ = offset_bytes_ + whole;
  return Found::frame;
}

// Goes to the next valid frame header behind offset_bytes_, at whatever offset it lies.
Result<SegmentSurvey::Found> SegmentSurvey::find_frame(const char* fault) {
  char magic[4];
  store_le(magic, frame_magic);
  std::uint64_t used = offset_bytes_;  // up to the last byte that is not zero
  bool found = false;
  std::uint64_t at = offset_bytes_;
  while (!found && at < file_bytes_) {
    auto read = window_.view(at, limits::scan_read_bytes);
    if (!read) return std::unexpected(read.error());
    if (read->empty()) break;
    const std::string_view bytes = *read;
    std::size_t end = bytes.size();
    if (!all_zero(bytes)) {
      for (std::size_t hit = bytes.find({magic, sizeof magic}); hit != std::string_view::npos;
           hit = bytes.find({magic, sizeof magic}, hit + 1)) {
        if (at + hit == offset_bytes_) continue;
        const std::string_view header = bytes.substr(hit, frame_header_bytes);
        const ParsedFrame parsed = parse_frame_header(header, identity_.seed, at + hit);
        if (parsed.fault != nullptr || !fits(parsed.header, at + hit)) continue;
        next_offset_bytes_ = at + hit;
        found = true;
        end = hit;
        break;
      }
      const std::size_t last = bytes.substr(0, end).find_last_not_of('\0');
      if (last != std::string_view::npos) used = std::max(used, at + last + 1);
    }
    if (found || at + bytes.size() >= file_bytes_) break;
    // A header may lie across the border of two reads.
    at += bytes.size() - std::min(bytes.size() - 1, frame_header_bytes - 1);
  }
  if (!found) {
    next_offset_bytes_ = file_bytes_;
    if (used == offset_bytes_) return Found::end;
  }
  const std::uint64_t end = found ? next_offset_bytes_ : used;
  bad_.push_back({.offset_bytes = offset_bytes_, .bytes = end - offset_bytes_, .fault = fault});
  return Found::gap;
}

// Adds the record at the start of `rest` if it is valid and its LSN is `lsn` (or its own).
bool SegmentSurvey::take_record(std::string_view rest, std::uint64_t offset_bytes, Lsn lsn) {
  const bool compacted = identity_.kind == SegmentKind::compacted;
  const ParsedRecord parsed = parse_record(rest);
  if (parsed.fault != nullptr || (parsed.record.own_lsn != 0) != compacted) return false;
  if (compacted) lsn = parsed.record.own_lsn;
  checksummed_bytes_ += parsed.bytes;
  if (!checksum_matches(rest.substr(0, parsed.bytes), identity_.seed, offset_bytes, lsn)) {
    return false;
  }
  items_.push_back(
      {.record = parsed.record, .lsn = lsn, .offset_bytes = offset_bytes, .bytes = parsed.bytes});
  return true;
}

void SegmentSurvey::read_items(std::string_view payload) {
  const bool compacted = identity_.kind == SegmentKind::compacted;
  checksummed_bytes_ = 0;
  std::uint64_t offset = offset_bytes_ + frame_header_bytes;
  std::uint32_t number = 0;
  while (number < frame_.records && !payload.empty()) {
    const Lsn lsn = compacted ? 0 : frame_.first_lsn + number;
    std::size_t step = 0;
    if (take_record(payload, offset, lsn)) {
      step = items_.back().bytes;
      checksummed_bytes_ = 0;
      ++number;
    } else {
      const ParsedRecord parsed = parse_record(payload);
      BadPlace place{.offset_bytes = offset, .first_lsn = lsn};
      place.fault = parsed.fault != nullptr ? parsed.fault : "checksum of a record does not match";
      if (parsed.fault == nullptr) {
        place.key_readable =
            is_of_a_key(parsed.record.kind) && parsed.record.key.size() <= survey_key_bytes_max;
        place.database = parsed.record.database;
        if (place.key_readable) place.key = parsed.record.key;
        if (compacted) place.first_lsn = parsed.record.own_lsn;
      }
      const std::uint32_t first = number;
      step = resync(payload, offset, number);
      place.bytes = step;
      place.last_lsn = compacted ? place.first_lsn : lsn + (number - first) - 1;
      // What is said of one record's key says nothing of several.
      if (number - first > 1) place.key_readable = false;
      bad_.push_back(std::move(place));
    }
    payload.remove_prefix(step);
    offset += step;
  }
  const bool counted = number == frame_.records || (compacted && !bad_.empty());
  if (payload.empty() && counted) return;
  // Lengths do not add up: the header's own checksum is right, so records are missing or too many.
  const Lsn next_lsn = compacted ? 0 : frame_.first_lsn + number;
  bad_.push_back({.offset_bytes = offset,
                  .bytes = payload.size(),
                  .first_lsn = next_lsn,
                  .last_lsn = compacted ? 0 : frame_.first_lsn + frame_.records - 1,
                  .fault = "records do not fill their frame"});
}

// The record at the start of `rest`, number `number` of the frame, is bad. Returns where the next
// good one begins (or the end), and advances `number` to that.
std::size_t SegmentSurvey::resync(std::string_view rest, std::uint64_t offset_bytes,
                                  std::uint32_t& number) {
  const bool compacted = identity_.kind == SegmentKind::compacted;
  const std::uint64_t effort_max = resync_effort * (rest.size() + page_bytes);
  const auto good_at = [&](std::size_t step, std::uint32_t candidate) {
    const std::size_t items_before = items_.size();
    const bool good = take_record(rest.substr(step), offset_bytes + step,
                                  compacted ? 0 : frame_.first_lsn + candidate);
    items_.resize(items_before);  // read_items takes it again
    return good;
  };
  // Its length may well be right.
  const ParsedRecord parsed = parse_record(rest);
  if (parsed.fault == nullptr) {
    const bool last = parsed.bytes == rest.size() && number + 1 == frame_.records;
    if (last || (parsed.bytes < rest.size() && good_at(parsed.bytes, number + 1))) {
      ++number;
      return parsed.bytes;
    }
  }
  for (std::size_t step = record_bytes_min;
       step + record_bytes_min <= rest.size() && checksummed_bytes_ < effort_max; ++step) {
    if (parse_record(rest.substr(step)).fault != nullptr) continue;
    // Each record takes its room, so not many can be between here and there.
    const auto between = static_cast<std::uint32_t>(step / record_bytes_min);
    const std::uint32_t last = std::min(frame_.records - 1, number + between);
    for (std::uint32_t candidate = number + 1; candidate <= last; ++candidate) {
      if (checksummed_bytes_ >= effort_max) break;
      if (good_at(step, candidate)) {
        number = candidate;
        return step;
      }
      if (compacted) break;  // the number plays no part
    }
  }
  number = frame_.records;
  return rest.size();
}

}  // namespace kvs::log
