#include "storage/log/segment.h"

#include <charconv>
#include <utility>

#include "storage/log/bytes.h"
#include "storage/log/checksum.h"

namespace kvs::log {
namespace {

constexpr std::size_t name_digits = 16;
constexpr std::string_view name_suffix = ".log";

std::uint32_t header_crc(const char* header) {
  return crc32c(0, {header + 8, segment_header_bytes - 8});
}

}  // namespace

void encode_segment_header(char* out, const SegmentHeader& header) {
  store_le(out, segment_magic);
  store_le(out + 8, format_version);
  store_le(out + 10, static_cast<std::uint8_t>(header.kind));
  store_le(out + 11, std::uint8_t{0});
  store_le(out + 12, std::uint32_t{header.id});
  store_le(out + 16, static_cast<std::uint64_t>(header.created));
  store_le(out + 24, header.salt);
  store_le(out + 4, header_crc(out));
}

// The numbers are those of log_format.md, "A segment header is valid when".
ParsedSegmentHeader parse_segment_header(std::string_view available) {
  ParsedSegmentHeader parsed;
  const auto refuse = [&parsed](const char* fault) {
    parsed.fault = fault;
    return parsed;
  };
  // 1
  if (available.size() < segment_header_bytes) return refuse("segment header is cut short");
  const char* in = available.data();
  // 2
  if (load_le<std::uint32_t>(in) != segment_magic) return refuse("not a kvs segment");
  // 3
  if (load_le<std::uint32_t>(in + 4) != header_crc(in)) {
    return refuse("checksum of the segment header does not match");
  }
  // 4
  if (load_le<std::uint16_t>(in + 8) != format_version) return refuse("unknown format version");
  // 5
  const auto kind = load_le<std::uint8_t>(in + 10);
  if (kind < 1 || kind > 2 || in[11] != 0) return refuse("unknown kind of segment");
  parsed.header.kind = static_cast<SegmentKind>(kind);
  parsed.header.id = load_le<std::uint32_t>(in + 12);
  parsed.header.created = static_cast<UnixMs>(load_le<std::uint64_t>(in + 16));
  parsed.header.salt = load_le<std::uint64_t>(in + 24);
  return parsed;
}

std::string segment_name(SegmentId id) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string name(name_digits, '0');
  for (std::size_t i = name_digits; id != 0; id >>= 4) name[--i] = digits[id & 15];
  return name.append(name_suffix);
}

std::optional<SegmentId> parse_segment_name(std::string_view name) {
  if (name.size() != name_digits + name_suffix.size()) return std::nullopt;
  SegmentId id = 0;
  const char* end = name.data() + name_digits;
  const auto [stop, error] = std::from_chars(name.data(), end, id, 16);
  if (error != std::errc() || stop != end || id == 0 || segment_name(id) != name) {
    return std::nullopt;
  }
  return id;
}

Segment::Segment(const SegmentHeader& header, std::unique_ptr<File> file,
                 std::uint64_t capacity_bytes)
    : header_(header),
      seed_(segment_seed(header.salt, header.id)),
      file_(std::move(file)),
      copies_(header.kind == SegmentKind::log ? 0 : 1),
      capacity_bytes_(capacity_bytes) {}

}  // namespace kvs::log
