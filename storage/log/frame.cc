#include "storage/log/frame.h"

#include "storage/limits.h"
#include "storage/log/bytes.h"
#include "storage/log/checksum.h"
#include "storage/log/record.h"

namespace kvs::log {
namespace {

std::uint32_t header_crc(const char* header, std::uint32_t segment_seed,
                         std::uint64_t offset_bytes) {
  return crc32c(frame_seed(segment_seed, offset_bytes), {header + 8, frame_header_bytes - 8});
}

}  // namespace

void encode_frame_header(char* out, const FrameHeader& frame, std::uint32_t segment_seed,
                         std::uint64_t offset_bytes) {
  store_le(out, frame_magic);
  store_le(out + 8, frame.payload_bytes);
  store_le(out + 12, frame.records);
  store_le(out + 16, std::uint64_t{frame.first_lsn});
  store_le(out + 24, static_cast<std::uint64_t>(frame.clock));
  store_le(out + 32, std::uint64_t{frame.synced_upto});
  store_le(out + 4, header_crc(out, segment_seed, offset_bytes));
}

// The numbers are those of log_format.md, "A frame header is valid when".
ParsedFrame parse_frame_header(std::string_view available, std::uint32_t segment_seed,
                               std::uint64_t offset_bytes) {
  ParsedFrame parsed;
  const auto refuse = [&parsed](const char* fault) {
    parsed.fault = fault;
    return parsed;
  };
  // 1
  if (available.size() < frame_header_bytes) return refuse("frame header does not fit");
  const char* in = available.data();
  // 2
  if (load_le<std::uint32_t>(in) != frame_magic) return refuse("no frame magic");
  // 3
  if (load_le<std::uint32_t>(in + 4) != header_crc(in, segment_seed, offset_bytes)) {
    return refuse("checksum of the frame header does not match");
  }
  FrameHeader& frame = parsed.header;
  frame.payload_bytes = load_le<std::uint32_t>(in + 8);
  frame.records = load_le<std::uint32_t>(in + 12);
  frame.first_lsn = load_le<std::uint64_t>(in + 16);
  frame.clock = static_cast<UnixMs>(load_le<std::uint64_t>(in + 24));
  frame.synced_upto = load_le<std::uint64_t>(in + 32);
  // 4
  if (frame.payload_bytes > limits::session_bytes_max) return refuse("frame too long");
  // 5
  if (std::uint64_t{frame.records} * record_bytes_min > frame.payload_bytes) {
    return refuse("more records than can fit");
  }
  if (frame.records == 0 && frame.payload_bytes != 0) return refuse("payload without records");
  // 6
  if (frame.first_lsn > limits::lsn_max || frame.synced_upto > limits::lsn_max ||
      frame.first_lsn + frame.records > limits::lsn_max) {
    return refuse("impossible LSN");
  }
  if (frame.first_lsn != 0 && frame.synced_upto >= frame.first_lsn) {
    return refuse("synced beyond itself");
  }
  // 7
  if (frame.clock < 0) return refuse("impossible clock");
  return parsed;
}

}  // namespace kvs::log
