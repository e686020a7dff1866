#include "storage/log/manifest.h"

#include <charconv>
#include <cstdio>
#include <set>
#include <utility>

#include "storage/limits.h"
#include "storage/log/checksum.h"

namespace kvs::log {
namespace {

constexpr std::string_view version_line = "kvs-manifest 1";

std::string hex(std::span<const unsigned char> bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : bytes) {
    text.push_back(digits[byte >> 4]);
    text.push_back(digits[byte & 15]);
  }
  return text;
}

std::string hex_u32(std::uint32_t value) {
  char text[9];
  std::snprintf(text, sizeof text, "%08x", value);
  return text;
}

std::string_view kind_word(SegmentKind kind) {
  return kind == SegmentKind::log ? "log" : "compacted";
}

// Splits at single spaces; an empty word makes a line that no rule accepts.
std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  for (;;) {
    const std::size_t space = line.find(' ');
    words.push_back(line.substr(0, space));
    if (space == std::string_view::npos) return words;
    line.remove_prefix(space + 1);
  }
}

// Exactly what std::to_string would have written.
std::optional<std::uint64_t> number(std::string_view word, std::uint64_t max) {
  std::uint64_t value = 0;
  const char* end = word.data() + word.size();
  const auto [stop, error] = std::from_chars(word.data(), end, value);
  if (error != std::errc() || stop != end || value > max) return std::nullopt;
  if (word.size() > 1 && word.front() == '0') return std::nullopt;
  return value;
}

std::optional<HashKey> parse_key(std::string_view word) {
  HashKey key;
  if (word.size() != 2 * key.bytes.size()) return std::nullopt;
  for (std::size_t i = 0; i < key.bytes.size(); ++i) {
    const char* at = word.data() + 2 * i;
    const auto [stop, error] = std::from_chars(at, at + 2, key.bytes[i], 16);
    if (error != std::errc() || stop != at + 2) return std::nullopt;
  }
  if (hex(key.bytes) != word) return std::nullopt;
  return key;
}

std::optional<SegmentId> parse_id(std::string_view word) {
  return parse_segment_name(std::string(word).append(".log"));
}

std::string id_word(SegmentId id) {
  return segment_name(id).substr(0, 16);
}

// Reads one manifest line by line. Each take_ function checks one kind of line and returns the rule
// that it breaks, or null.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<Manifest> parse() {
    if (const char* fault = check_frame()) return refuse(fault);
    if (const char* fault = take_head()) return refuse(fault);
    while (!rest_.empty()) {
      if (const char* fault = take_item()) return refuse(fault);
    }
    line_number_ = 0;
    if (const char* fault = check_whole()) return refuse(fault);
    return std::move(manifest_);
  }

 private:
  std::unexpected<Error> refuse(const char* fault) const {
    std::string message = "MANIFEST";
    if (line_number_ > 0) message += " line " + std::to_string(line_number_);
    return fail(Code::corrupt, message + ": " + fault);
  }

  // Version first, so that a manifest of the future is told from a damaged one.
  const char* check_frame() {
    if (text_.empty()) return "empty";
    line_number_ = 1;
    if (text_.substr(0, text_.find('\n')) != version_line) return "unknown version";
    line_number_ = 0;
    if (text_.back() != '\n') return "cut short";
    const std::size_t last = text_.rfind('\n', text_.size() - 2);
    if (last == std::string_view::npos) return "cut short";
    rest_ = text_.substr(0, last + 1);
    const std::string expected = "crc32c " + hex_u32(crc32c(0, rest_)) + "\n";
    if (text_.substr(last + 1) != expected) return "checksum does not match";
    return nullptr;
  }

  bool next_line() {
    if (rest_.empty()) return false;
    const std::size_t end = rest_.find('\n');
    words_ = words_of(rest_.substr(0, end));
    rest_.remove_prefix(end + 1);
    ++line_number_;
    return true;
  }

  bool is(std::string_view word, std::size_t count) const {
    return words_.front() == word && words_.size() == count;
  }

  const char* take_head() {
    next_line();
    if (!next_line() || !is("hash-key", 2)) return "expected: hash-key KEY";
    const auto key = parse_key(words_[1]);
    if (!key) return "malformed key";
    manifest_.hash_key = *key;
    if (!next_line() || !is("durable", 2)) return "expected: durable LSN";
    const auto durable = number(words_[1], limits::lsn_max);
    if (!durable) return "malformed LSN";
    manifest_.durable = *durable;
    if (!next_line() || !is("dropped", 2)) return "expected: dropped LSN";
    const auto dropped = number(words_[1], limits::lsn_max);
    if (!dropped) return "malformed LSN";
    manifest_.dropped = *dropped;
    if (!next_line() || !is("clock", 2)) return "expected: clock MS";
    const auto clock = number(words_[1], INT64_MAX);
    if (!clock) return "malformed clock";
    manifest_.clock = static_cast<UnixMs>(*clock);
    if (!next_line() || !is("next-segment", 2)) return "expected: next-segment ID";
    const auto next = parse_id(words_[1]);
    if (!next) return "malformed segment id";
    manifest_.next_id = *next;
    return nullptr;
  }

  const char* take_item() {
    next_line();
    if (manifest_.clean_stop) return "something after the clean stop";
    if (words_.front() == "segment") return take_segment();
    if (is("clean", 3)) return take_clean_stop();
    return "unknown line";
  }

  const char* take_segment() {
    if (words_.size() < 4) return "malformed segment line";
    ManifestEntry entry;
    const auto id = parse_id(words_[1]);
    if (!id) return "malformed segment id";
    entry.id = *id;
    if (entry.id >= manifest_.next_id) return "segment id is not below next-segment";
    if (!ids_.insert(entry.id).second) return "segment named twice";
    if (words_[2] == "compacted") {
      entry.kind = SegmentKind::compacted;
    } else if (words_[2] != "log") {
      return "unknown kind of segment";
    }
    if (words_[3] == "open") {
      if (words_.size() != 4 || entry.kind != SegmentKind::log) return "malformed segment line";
      any_open_ = true;
    } else if (words_[3] == "sealed") {
      if (words_.size() != 8) return "malformed segment line";
      // A log segment is sealed before the next one is used.
      if (any_open_ && entry.kind == SegmentKind::log) return "sealed after an open one";
      const auto bytes = number(words_[4], UINT32_MAX);
      const auto records = number(words_[5], UINT32_MAX);
      const auto low = number(words_[6], limits::lsn_max);
      const auto high = number(words_[7], limits::lsn_max);
      if (!bytes || !records || !low || !high || *low > *high) return "malformed segment figures";
      entry.sealed = true;
      entry.bytes = *bytes;
      entry.records = *records;
      entry.min_lsn = *low;
      entry.max_lsn = *high;
    } else {
      return "unknown state of a segment";
    }
    manifest_.segments.push_back(entry);
    return nullptr;
  }

  const char* take_clean_stop() {
    const auto id = parse_id(words_[1]);
    const auto offset = number(words_[2], UINT32_MAX);
    if (!id || !offset) return "malformed clean stop";
    if (!ids_.contains(*id)) return "clean stop in an unnamed segment";
    manifest_.clean_stop = CleanStop{.segment = *id, .offset_bytes = *offset};
    return nullptr;
  }

  const char* check_whole() const {
    if (!any_open_) return "names no open segment";
    return nullptr;
  }

  const std::string_view text_;
  std::string_view rest_;
  std::vector<std::string_view> words_;
  int line_number_ = 0;
  Manifest manifest_;
  std::set<SegmentId> ids_;
  bool any_open_ = false;
};

}  // namespace

std::string encode_manifest(const Manifest& manifest) {
  std::string text(version_line);
  text += "\nhash-key " + hex(manifest.hash_key.bytes);
  text += "\ndurable " + std::to_string(manifest.durable);
  text += "\ndropped " + std::to_string(manifest.dropped);
  text += "\nclock " + std::to_string(manifest.clock);
  text += "\nnext-segment " + id_word(manifest.next_id);
  for (const ManifestEntry& entry : manifest.segments) {
    text += "\nsegment " + id_word(entry.id) + " ";
    text += kind_word(entry.kind);
    if (!entry.sealed) {
      text += " open";
      continue;
    }
    text += " sealed " + std::to_string(entry.bytes) + " " + std::to_string(entry.records) + " " +
            std::to_string(entry.min_lsn) + " " + std::to_string(entry.max_lsn);
  }
  if (manifest.clean_stop) {
    text += "\nclean " + id_word(manifest.clean_stop->segment) + " " +
            std::to_string(manifest.clean_stop->offset_bytes);
  }
  text += "\n";
  return text + "crc32c " + hex_u32(crc32c(0, text)) + "\n";
}

Result<Manifest> parse_manifest(std::string_view text) {
  return Parser(text).parse();
}

Result<void> replace_file(Directory& directory, std::string_view name, std::string_view contents,
                          Health& health) {
  const std::string temporary = std::string(name).append(".tmp");
  {
    auto file = directory.open(temporary, OpenMode::replace);
    if (!file) return std::unexpected(file.error());
    auto done = (*file)->write_at(0, contents);
    if (done) done = (*file)->sync_data();
    if (!done) {
      (void)directory.remove(temporary);
      return done;
    }
  }
  if (auto renamed = directory.rename(temporary, name); !renamed) {
    // A full disk refuses before it changes anything; after any other failure it is not known which
    // of the two files a restart would find.
    if (renamed.error().code() != Code::no_space) health.fail(renamed.error().message());
    (void)directory.remove(temporary);
    return renamed;
  }
  auto synced = directory.sync();
  if (!synced) health.fail(synced.error().message());
  return synced;
}

Result<std::string> read_file(Directory& directory, std::string_view name, std::size_t bytes_max) {
  auto file = directory.open(name, OpenMode::existing);
  if (!file) return std::unexpected(file.error());
  auto size = (*file)->size();
  if (!size) return std::unexpected(size.error());
  if (*size > bytes_max) {
    return fail(Code::corrupt, directory.path() + "/" + std::string(name) + " is too long");
  }
  std::string contents(static_cast<std::size_t>(*size), '\0');
  auto got = (*file)->read_at(0, contents);
  if (!got) return std::unexpected(got.error());
  contents.resize(*got);
  return contents;
}

}  // namespace kvs::log
