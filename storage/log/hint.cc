#include "storage/log/hint.h"

#include <cassert>
#include <span>

#include "storage/limits.h"
#include "storage/log/bytes.h"
#include "storage/log/checksum.h"

namespace kvs::log {
namespace {

constexpr std::string_view hint_suffix = ".hint";
constexpr std::string_view segment_suffix = ".log";

// First byte of a record: kind in bits 0 and 1, or 0 there and bit 3 for a swap; deadline in bit 2,
// database in bits 4 to 7.
constexpr unsigned kind_mask = 3;
constexpr unsigned deadline_bit = 4;
constexpr unsigned swap_bit = 8;
constexpr unsigned database_shift = 4;
static_assert(databases_count <= 16);

unsigned encoded_kind(RecordKind kind) {
  return kind == RecordKind::swap ? swap_bit : static_cast<unsigned>(kind);
}

// Nullopt: there is no such kind.
std::optional<RecordKind> decoded_kind(unsigned first_byte) {
  const unsigned kind = first_byte & kind_mask;
  const bool swap = (first_byte & swap_bit) != 0;
  if (swap == (kind != 0)) return std::nullopt;
  return swap ? RecordKind::swap : static_cast<RecordKind>(kind);
}

// Seven bits a byte, the lowest first; the last byte has bit 7 clear.
void append_number(std::string& out, std::uint64_t number) {
  while (number >= 0x80) {
    out.push_back(static_cast<char>(number | 0x80));
    number >>= 7;
  }
  out.push_back(static_cast<char>(number));
}

bool take_number(std::string_view& in, std::uint64_t& number) {
  number = 0;
  for (std::size_t i = 0; i < in.size() && i < 10; ++i) {
    const auto byte = static_cast<unsigned char>(in[i]);
    number |= std::uint64_t{byte & 0x7fU} << (7 * i);
    if (byte < 0x80) {
      in.remove_prefix(i + 1);
      return true;
    }
  }
  return false;
}

// Differences of either sign, small ones first: 0 -1 1 -2 2 ...
std::uint64_t folded(std::uint64_t difference) {
  return difference << 1 ^ (0 - (difference >> 63));
}

std::uint64_t unfolded(std::uint64_t number) {
  return number >> 1 ^ (0 - (number & 1));
}

std::uint32_t header_crc(const char* header, std::uint32_t segment_seed) {
  return crc32c(frame_seed(segment_seed, 0), {header + 8, hint_header_bytes - 8});
}

}  // namespace

std::string hint_name(SegmentId id) {
  std::string name = segment_name(id);
  name.resize(name.size() - segment_suffix.size());
  return name.append(hint_suffix);
}

std::optional<SegmentId> parse_hint_name(std::string_view name) {
  if (!name.ends_with(hint_suffix)) return std::nullopt;
  std::string segment(name.substr(0, name.size() - hint_suffix.size()));
  return parse_segment_name(segment.append(segment_suffix));
}

void encode_hint_header(char* out, const HintHeader& header, std::uint32_t segment_seed) {
  store_le(out, hint_magic);
  store_le(out + 8, hint_version);
  store_le(out + 10, std::uint16_t{0});
  store_le(out + 12, std::uint32_t{header.segment});
  store_le(out + 16, header.salt);
  store_le(out + 24, header.segment_bytes);
  store_le(out + 32, header.records);
  store_le(out + 40, std::uint64_t{header.min_lsn});
  store_le(out + 48, std::uint64_t{header.max_lsn});
  store_le(out + 56, static_cast<std::uint64_t>(header.clock));
  store_le(out + 64, std::uint64_t{header.synced_upto});
  store_le(out + 72, header.directory_offset_bytes);
  store_le(out + 80, header.chunks);
  store_le(out + 84, header.directory_crc);
  store_le(out + 4, header_crc(out, segment_seed));
}

// The numbers are those of log_format.md, "A hint header is valid when".
ParsedHintHeader parse_hint_header(std::string_view available, std::uint32_t segment_seed) {
  ParsedHintHeader parsed;
  const auto refuse = [&parsed](const char* fault) {
    parsed.fault = fault;
    return parsed;
  };
  // 1
  if (available.size() < hint_header_bytes) return refuse("hint header does not fit");
  const char* in = available.data();
  // 2
  if (load_le<std::uint32_t>(in) != hint_magic) return refuse("no hint magic");
  // 3
  if (load_le<std::uint32_t>(in + 4) != header_crc(in, segment_seed)) {
    return refuse("checksum of the hint header does not match");
  }
  // 4
  if (load_le<std::uint16_t>(in + 8) != hint_version || load_le<std::uint16_t>(in + 10) != 0) {
    return refuse("unknown version of hint");
  }
  HintHeader& header = parsed.header;
  header.segment = load_le<std::uint32_t>(in + 12);
  header.salt = load_le<std::uint64_t>(in + 16);
  header.segment_bytes = load_le<std::uint64_t>(in + 24);
  header.records = load_le<std::uint64_t>(in + 32);
  header.min_lsn = load_le<std::uint64_t>(in + 40);
  header.max_lsn = load_le<std::uint64_t>(in + 48);
  header.clock = static_cast<UnixMs>(load_le<std::uint64_t>(in + 56));
  header.synced_upto = load_le<std::uint64_t>(in + 64);
  header.directory_offset_bytes = load_le<std::uint64_t>(in + 72);
  header.chunks = load_le<std::uint32_t>(in + 80);
  header.directory_crc = load_le<std::uint32_t>(in + 84);
  // 5
  if (header.max_lsn > limits::lsn_max || header.synced_upto > limits::lsn_max ||
      header.min_lsn > header.max_lsn) {
    return refuse("impossible LSN");
  }
  if (header.clock < 0) return refuse("impossible clock");
  return parsed;
}

void append_hint_chunk(std::string& directory, const HintChunk& chunk) {
  char bytes[hint_chunk_header_bytes];
  store_le(bytes, chunk.bytes);
  store_le(bytes + 4, chunk.records);
  store_le(bytes + 8, chunk.crc);
  store_le(bytes + 12, std::uint32_t{chunk.group});
  directory.append(bytes, sizeof bytes);
}

std::uint32_t hint_crc(std::uint32_t segment_seed, std::uint64_t offset_bytes,
                       std::string_view bytes) {
  return crc32c(frame_seed(segment_seed, offset_bytes), bytes);
}

std::uint64_t HintRecord::record_bytes(SegmentKind segment_kind) const {
  std::uint64_t bytes = record_header_bytes + key.size() + value_bytes;
  if (expire_at != never) bytes += sizeof(std::uint64_t);
  if (segment_kind == SegmentKind::compacted) bytes += sizeof(std::uint64_t);
  return bytes;
}

void append_hint_record(std::string& chunk, const HintRecord& record, HintCursor& cursor) {
  assert(record.offset_bytes >= cursor.offset_bytes);
  const bool expires = record.expire_at != never;
  const unsigned first = encoded_kind(record.kind) | (expires ? deadline_bit : 0) |
                         static_cast<unsigned>(record.database) << database_shift;
  chunk.push_back(static_cast<char>(first));
  append_number(chunk, record.offset_bytes - cursor.offset_bytes);
  append_number(chunk, folded(record.lsn - cursor.lsn));
  append_number(chunk, record.key.size());
  append_number(chunk, record.value_bytes);
  if (expires) {
    char deadline[8];
    store_le(deadline, static_cast<std::uint64_t>(record.expire_at));
    chunk.append(deadline, sizeof deadline);
  }
  chunk.append(record.key);
  cursor = {.offset_bytes = record.offset_bytes, .lsn = record.lsn};
}

// The numbers are those of log_format.md, "A record of a hint is valid when".
bool take_hint_record(std::string_view& chunk, const HintHeader& header, SegmentKind kind,
                      HintCursor& cursor, HintRecord& record) {
  // 1
  if (chunk.empty()) return false;
  const auto first = static_cast<unsigned char>(chunk.front());
  chunk.remove_prefix(1);
  const auto record_kind = decoded_kind(first);
  if (!record_kind) return false;
  record.kind = *record_kind;
  record.database = static_cast<Database>(first >> database_shift);
  if (record.database >= databases_count) return false;
  // 2
  std::uint64_t offset_step = 0;
  std::uint64_t lsn_step = 0;
  std::uint64_t key_bytes = 0;
  if (!take_number(chunk, offset_step) || !take_number(chunk, lsn_step) ||
      !take_number(chunk, key_bytes) || !take_number(chunk, record.value_bytes)) {
    return false;
  }
  // 3
  if (key_bytes > limits::key_bytes_max || record.value_bytes > limits::value_bytes_max) {
    return false;
  }
  // 4
  const bool expires = (first & deadline_bit) != 0;
  if (record.kind != RecordKind::value && (expires || record.value_bytes != 0)) return false;
  if (record.kind == RecordKind::clear && key_bytes != 0) return false;
  // 5
  record.expire_at = never;
  if (expires) {
    if (chunk.size() < 8) return false;
    const auto deadline = load_le<std::uint64_t>(chunk.data());
    if (deadline == 0 || deadline > static_cast<std::uint64_t>(INT64_MAX)) return false;
    record.expire_at = static_cast<UnixMs>(deadline);
    chunk.remove_prefix(8);
  }
  // 6
  if (key_bytes > chunk.size()) return false;
  record.key = chunk.substr(0, static_cast<std::size_t>(key_bytes));
  chunk.remove_prefix(static_cast<std::size_t>(key_bytes));
  // 4, now that the key is there
  if (record.kind == RecordKind::swap && !fits_swap(record.database, record.key)) return false;
  // 7
  if (offset_step > header.segment_bytes) return false;
  record.offset_bytes = cursor.offset_bytes + offset_step;
  if (record.offset_bytes < segment_header_bytes ||
      record.offset_bytes + record.record_bytes(kind) > header.segment_bytes) {
    return false;
  }
  // 8
  record.lsn = cursor.lsn + unfolded(lsn_step);
  if (record.lsn < header.min_lsn || record.lsn > header.max_lsn) return false;
  cursor = {.offset_bytes = record.offset_bytes, .lsn = record.lsn};
  return true;
}

std::unique_ptr<HintFile> HintFile::open(Directory& directory, const Segment& segment,
                                         std::uint64_t segment_bytes, const char*& fault) {
  fault = nullptr;
  auto file = directory.open(hint_name(segment.id()), OpenMode::existing);
  if (!file) {
    if (file.error().code() != Code::not_found) fault = "it cannot be opened";
    return nullptr;
  }
  const auto refuse = [&fault](const char* what) {
    fault = what;
    return nullptr;
  };
  auto hint = std::make_unique<HintFile>();
  hint->file_ = std::move(*file);
  hint->seed_ = segment.seed();
  auto size = hint->file_->size();
  if (!size) return refuse("its size is unknown");
  hint->file_bytes_ = *size;
  char bytes[hint_header_bytes];
  auto got = hint->file_->read_at(0, bytes);
  if (!got) return refuse("it cannot be read");
  const ParsedHintHeader parsed = parse_hint_header({bytes, *got}, segment.seed());
  if (parsed.fault != nullptr) return refuse(parsed.fault);
  hint->header_ = parsed.header;
  const HintHeader& header = hint->header_;
  if (header.segment != segment.id() || header.salt != segment.salt() ||
      header.segment_bytes != segment_bytes) {
    return refuse("it is another segment's");
  }
  // Checked against the file before anything is allocated by them.
  const std::uint64_t directory_bytes = std::uint64_t{header.chunks} * hint_chunk_header_bytes;
  if (header.directory_offset_bytes > *size ||
      *size - header.directory_offset_bytes != directory_bytes) {
    return refuse("its length is wrong");
  }
  std::string text(static_cast<std::size_t>(directory_bytes), '\0');
  got = hint->file_->read_at(header.directory_offset_bytes, text);
  if (!got || *got != text.size()) return refuse("it cannot be read");
  if (hint_crc(segment.seed(), header.directory_offset_bytes, text) != header.directory_crc) {
    return refuse("checksum of the directory does not match");
  }
  hint->chunks_.reserve(header.chunks);
  std::uint64_t offset = hint_header_bytes;
  std::uint64_t records = 0;
  for (std::size_t at = 0; at < text.size(); at += hint_chunk_header_bytes) {
    const char* in = text.data() + at;
    const auto group = load_le<std::uint32_t>(in + 12);
    if (group > hint_clears_group) return refuse("unknown group");
    hint->chunks_.push_back({.offset_bytes = offset,
                             .bytes = load_le<std::uint32_t>(in),
                             .records = load_le<std::uint32_t>(in + 4),
                             .crc = load_le<std::uint32_t>(in + 8),
                             .group = static_cast<std::uint8_t>(group)});
    offset += hint->chunks_.back().bytes;
    records += hint->chunks_.back().records;
  }
  if (offset != header.directory_offset_bytes || records != header.records) {
    return refuse("its chunks do not add up");
  }
  return hint;
}

bool HintFile::read(const HintChunk& chunk, std::string& buffer) const {
  // GCC 12 hands the callback the capacity instead of the size.
  buffer.resize_and_overwrite(chunk.bytes,
                              [&chunk](char*, std::size_t) { return std::size_t{chunk.bytes}; });
  auto got = file_->read_at(chunk.offset_bytes, buffer);
  return got && *got == buffer.size() && hint_crc(seed_, chunk.offset_bytes, buffer) == chunk.crc;
}

}  // namespace kvs::log
