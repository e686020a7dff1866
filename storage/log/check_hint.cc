#include "storage/log/check_hint.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "storage/hash.h"
#include "storage/log/bytes.h"
#include "storage/log/hint.h"

namespace kvs::log {
namespace {

// Adds up hashes of records, so that their order does not matter: equal sums, under a random key
// and with equal numbers, are equal sets.
class RecordSum {
 public:
  explicit RecordSum(const HashKey& key) : key_(key) {}

  void add(const HintRecord& record) {
    bytes_.assign(34, '\0');
    store_le(bytes_.data(), record.lsn);
    store_le(bytes_.data() + 8, record.offset_bytes);
    store_le(bytes_.data() + 16, record.value_bytes);
    store_le(bytes_.data() + 24, static_cast<std::uint64_t>(record.expire_at));
    bytes_[32] = static_cast<char>(record.kind);
    bytes_[33] = static_cast<char>(record.database);
    bytes_ += record.key;
    sum_ += hash_of(key_, bytes_);
    ++records_;
  }

  bool operator==(const RecordSum& other) const {
    return sum_ == other.sum_ && records_ == other.records_;
  }
  std::uint64_t records() const { return records_; }

 private:
  const HashKey& key_;
  std::string bytes_;
  std::uint64_t sum_ = 0;
  std::uint64_t records_ = 0;
};

HintVerdict unusable(const char* fault) {
  return {.kind = HintVerdict::Kind::unusable, .fault = fault};
}

}  // namespace

Result<HintVerdict> check_hint(Directory& directory, const File& file, SegmentId id) {
  auto size = file.size();
  if (!size) return std::unexpected(size.error());
  char bytes[segment_header_bytes];
  auto got = file.read_at(0, bytes);
  if (!got) return std::unexpected(got.error());
  const ParsedSegmentHeader head = parse_segment_header({bytes, *got});
  if (head.fault != nullptr || head.header.id != id) return HintVerdict{};
  const Segment segment(head.header, std::make_unique<ForgivingFile>(file), *size);
  const char* fault = nullptr;
  const auto hint = HintFile::open(directory, segment, *size, fault);
  if (hint == nullptr) return fault == nullptr ? HintVerdict{} : unusable(fault);

  const HashKey key = HashKey::random();
  RecordSum said(key);
  std::string buffer;
  for (const HintChunk& chunk : hint->chunks()) {
    if (!hint->read(chunk, buffer)) return unusable("checksum of a chunk does not match");
    std::string_view rest = buffer;
    HintCursor cursor;
    HintRecord record;
    while (!rest.empty() &&
           take_hint_record(rest, hint->header(), segment.kind(), cursor, record)) {
      said.add(record);
    }
    if (!rest.empty()) return unusable("a chunk does not hold what it should");
  }
  if (said.records() != hint->header().records) return unusable("records are missing");

  RecordSum is(key);
  SegmentIdentity identity;
  identity.seed = segment.seed();
  identity.kind = segment.kind();
  Lsn synced_upto = 0;
  UnixMs clock = 0;
  SegmentSurvey survey(file, identity, *size);
  for (;;) {
    auto found = survey.next();
    if (!found) return std::unexpected(found.error());
    if (*found == SegmentSurvey::Found::end) break;
    if (*found == SegmentSurvey::Found::gap) continue;
    synced_upto = std::max(synced_upto, survey.frame().synced_upto);
    clock = std::max(clock, survey.frame().clock);
    for (const SegmentSurvey::Item& item : survey.items()) {
      const Record& record = item.record;
      const bool value = record.kind == RecordKind::value;
      is.add({.kind = record.kind,
              .database = record.database,
              .lsn = item.lsn,
              .offset_bytes = item.offset_bytes,
              .value_bytes = value ? record.value.size() : 0,
              .expire_at = record.expire_at,
              .key = record.key});
    }
  }
  const HintHeader& header = hint->header();
  if (said == is && header.synced_upto == synced_upto && header.clock == clock) {
    return HintVerdict{.kind = HintVerdict::Kind::right};
  }
  return HintVerdict{.kind = HintVerdict::Kind::wrong, .fault = "it says other than its segment"};
}

}  // namespace kvs::log
