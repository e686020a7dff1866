#include "storage/log/backup.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "storage/log/checksum.h"
#include "storage/log/copy_file.h"
#include "storage/log/health.h"
#include "storage/log/survey.h"

namespace kvs {

bool valid_backup_name(std::string_view name) {
  constexpr std::size_t bytes_max = 100;
  constexpr std::string_view allowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  return !name.empty() && name.size() <= bytes_max && name.front() != '.' &&
         name.find_first_not_of(allowed) == std::string_view::npos;
}

}  // namespace kvs

namespace kvs::log {
namespace {

constexpr std::string_view version_line = "kvs-backup 1";
constexpr std::size_t manifest_bytes_max = std::size_t{256} << 20;

std::string hex_u32(std::uint32_t value) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (int shift = 28; shift >= 0; shift -= 4) text += digits[value >> shift & 15];
  return text;
}

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(at);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// 0 for what is no number: the whole is compared with what would have been written anyway.
template <class Number>
Number number(std::string_view word, int base = 10) {
  Number value{};
  std::from_chars(word.data(), word.data() + word.size(), value, base);
  return value;
}

std::string key_text(const HashKey& key) {
  std::string text;
  for (const unsigned char byte : key.bytes) text += hex_u32(byte).substr(6);
  return text;
}

HashKey key_of(std::string_view text) {
  HashKey key;
  for (std::size_t i = 0; i < key.bytes.size() && 2 * i + 2 <= text.size(); ++i) {
    key.bytes[i] = number<unsigned char>(text.substr(2 * i, 2), 16);
  }
  return key;
}

std::optional<BackupEntry> entry_of(std::span<const std::string_view> words) {
  if (words.size() != 8) return std::nullopt;
  const auto id = parse_segment_name(std::string(words[1]).append(".log"));
  if (!id) return std::nullopt;
  return BackupEntry{
      .segment = {.id = *id,
                  .kind = words[2] == "log" ? SegmentKind::log : SegmentKind::compacted,
                  .sealed = true,
                  .bytes = number<std::uint64_t>(words[3]),
                  .records = number<std::uint64_t>(words[4]),
                  .min_lsn = number<Lsn>(words[5]),
                  .max_lsn = number<Lsn>(words[6])},
      .crc = number<std::uint32_t>(words[7], 16)};
}

ManifestEntry describe(const Segment& segment) {
  return {.id = segment.id(),
          .kind = segment.kind(),
          .sealed = true,
          .bytes = segment.end_bytes(),
          .records = static_cast<std::uint64_t>(segment.counts.records.load()),
          .min_lsn = segment.counts.min_lsn,
          .max_lsn = segment.counts.max_lsn};
}

}  // namespace

std::string encode_backup_manifest(const BackupManifest& manifest) {
  std::string text(version_line);
  text += "\ncreated " + std::to_string(manifest.created);
  text += "\nposition " + std::to_string(manifest.position);
  text += "\nclock " + std::to_string(manifest.clock);
  text += "\nhash-key " + key_text(manifest.hash_key);
  for (const BackupEntry& entry : manifest.files) {
    const ManifestEntry& segment = entry.segment;
    text += "\nsegment " + segment_name(segment.id).substr(0, 16);
    text += segment.kind == SegmentKind::log ? " log " : " compacted ";
    text += std::to_string(segment.bytes) + " " + std::to_string(segment.records) + " " +
            std::to_string(segment.min_lsn) + " " + std::to_string(segment.max_lsn) + " " +
            hex_u32(entry.crc);
  }
  text += "\n";
  return text + "crc32c " + hex_u32(crc32c(0, text)) + "\n";
}

// Read with goodwill, then compared with what we would have written.
Result<BackupManifest> parse_backup_manifest(std::string_view text) {
  const std::vector<std::string_view> lines = split(text, '\n');
  if (lines.front() != version_line) return fail(Code::corrupt, "BACKUP: unknown version");
  BackupManifest manifest;
  for (const std::string_view line : lines) {
    const std::vector<std::string_view> words = split(line, ' ');
    if (words[0] == "segment") {
      const auto entry = entry_of(words);
      if (!entry) return fail(Code::corrupt, "BACKUP: a line of a segment is not readable");
      manifest.files.push_back(*entry);
    }
    if (words.size() != 2) continue;
    if (words[0] == "created") manifest.created = number<UnixMs>(words[1]);
    if (words[0] == "position") manifest.position = number<Position>(words[1]);
    if (words[0] == "clock") manifest.clock = number<UnixMs>(words[1]);
    if (words[0] == "hash-key") manifest.hash_key = key_of(words[1]);
  }
  if (encode_backup_manifest(manifest) != text) {
    return fail(Code::corrupt, "BACKUP: checksum or form is not right");
  }
  return manifest;
}

Result<BackupManifest> read_backup_manifest(Directory& directory) {
  auto file = directory.open(backup_manifest_name, OpenMode::read_only);
  if (!file) {
    if (file.error().code() != Code::not_found) return std::unexpected(file.error());
    return fail(Code::not_found, "there is no complete backup in " + directory.path());
  }
  auto size = (*file)->size();
  if (!size) return std::unexpected(size.error());
  if (*size > manifest_bytes_max) return fail(Code::corrupt, "BACKUP: too long");
  std::string text(static_cast<std::size_t>(*size), '\0');
  auto got = (*file)->read_at(0, text);
  if (!got) return std::unexpected(got.error());
  text.resize(*got);
  return parse_backup_manifest(text);
}

Backup::Backup(Fs& fs, const BackupRequest& request, const HashKey& hash_key, UnixMs now)
    : fs_(fs), request_(request), path_(request.root / request.name) {
  manifest_.created = now;
  manifest_.clock = now;
  manifest_.hash_key = hash_key;
}

Backup::~Backup() {
  if (complete_ || directory_ == nullptr) return;
  for (const std::string& name : made_) (void)directory_->remove(name);
}

Result<void> Backup::begin() {
  if (!valid_backup_name(request_.name)) {
    return fail(Code::invalid,
                "a backup's name is 1 to 100 of A-Z a-z 0-9 . _ - and begins with no dot");
  }
  if (auto root = fs_.open_directory(request_.root); !root) return std::unexpected(root.error());
  read_newest();
  if (auto created = fs_.create_directory(path_); !created) return created;
  auto opened = fs_.open_directory(path_);
  if (!opened) return std::unexpected(opened.error());
  auto names = (*opened)->list();
  if (!names) return std::unexpected(names.error());
  for (const std::string& name : *names) {
    if (name == backup_manifest_name) {
      return fail(Code::busy, "there is a backup called " + request_.name + " already");
    }
    if (!parse_segment_name(name) && name != "BACKUP.tmp") {
      return fail(Code::invalid, path_.string() + " holds " + name + ", which no backup does");
    }
  }
  // What an interrupted one has left.
  for (const std::string& name : *names) {
    if (auto removed = (*opened)->remove(name); !removed) return removed;
  }
  directory_ = std::move(*opened);
  return {};
}

// The newest backup of the same data directory, if there is any.
void Backup::read_newest() {
  auto root = fs_.open_directory(request_.root);
  if (!root) return;
  auto names = (*root)->list();
  if (!names) return;
  for (const std::string& name : *names) {
    if (!valid_backup_name(name)) continue;
    auto directory = fs_.open_directory(request_.root / name);
    if (!directory) continue;
    auto manifest = read_backup_manifest(**directory);
    if (!manifest || manifest->hash_key.bytes != manifest_.hash_key.bytes) continue;
    if (newest_directory_ != nullptr &&
        (manifest->position < newest_.position ||
         (manifest->position == newest_.position && manifest->created < newest_.created))) {
      continue;
    }
    newest_ = std::move(*manifest);
    newest_directory_ = std::move(*directory);
  }
}

const BackupEntry* Backup::known(const ManifestEntry& entry) const {
  const auto found =
      std::find_if(newest_.files.begin(), newest_.files.end(),
                   [&entry](const BackupEntry& file) { return file.segment == entry; });
  return found == newest_.files.end() ? nullptr : &*found;
}

Result<void> Backup::link(Directory& data, std::vector<SegmentPtr> segments, Position position) {
  manifest_.position = position;
  for (SegmentPtr& segment : segments) {
    if (!segment->sealed() || segment->counts.records == 0) continue;
    auto linked = data.link(segment->name(), *directory_, segment->name());
    if (!linked && linked.error().code() != Code::invalid) return linked;
    if (linked) made_.push_back(segment->name());
    segments_.push_back(std::move(segment));
  }
  return {};
}

// Every record of it is read, so that nothing damaged is called a backup.
Result<std::uint32_t> Backup::vouch_for(const Segment& segment) const {
  SegmentIdentity identity;
  identity.seed = segment.seed();
  identity.kind = segment.kind();
  SegmentSurvey survey(segment.file(), identity, segment.end_bytes());
  auto head = identify_segment(segment.file(), segment.id());
  if (!head) return std::unexpected(head.error());
  std::uint64_t records = 0;
  const char* fault = head->fault;
  while (fault == nullptr) {
    if (request_.cancelled && request_.cancelled()) return fail(Code::cancelled, "given up");
    auto found = survey.next();
    if (!found) return std::unexpected(found.error());
    records += survey.items().size();
    if (!survey.bad().empty()) fault = survey.bad().front().fault;
    if (*found == SegmentSurvey::Found::end) fault = "it ends without a seal";
    if (*found == SegmentSurvey::Found::seal) break;
  }
  if (fault == nullptr && records != static_cast<std::uint64_t>(segment.counts.records)) {
    fault = "records are missing";
  }
  if (fault != nullptr) {
    return fail(Code::corrupt, "no backup is made of damaged data: corrupt segment " +
                                   segment.name() + " at offset " +
                                   std::to_string(survey.offset_bytes()) + ": " + fault);
  }
  return checksum_of(segment.file(), segment.end_bytes(), request_.cancelled);
}

Result<BackupSummary> Backup::finish() {
  BackupSummary summary{.position = manifest_.position};
  for (const SegmentPtr& segment : segments_) {
    BackupEntry entry{.segment = describe(*segment)};
    const std::string name = segment->name();
    const BackupEntry* const before = known(entry.segment);
    ++summary.files;
    summary.bytes += entry.segment.bytes;
    if (before != nullptr) {
      entry.crc = before->crc;
    } else {
      auto crc = vouch_for(*segment);
      if (!crc) return std::unexpected(crc.error());
      entry.crc = *crc;
      ++summary.new_files;
      summary.new_bytes += entry.segment.bytes;
    }
    if (std::find(made_.begin(), made_.end(), name) == made_.end()) {
      // On another file system: from the newest backup if that has it, else byte by byte.
      Result<void> linked = fail(Code::invalid, "not there");
      if (before != nullptr) linked = newest_directory_->link(name, *directory_, name);
      made_.push_back(name);
      if (!linked) {
        auto copied = copy_contents(segment->file(), entry.segment.bytes, *directory_, name,
                                    request_.cancelled);
        if (!copied) return std::unexpected(copied.error());
        if (*copied != entry.crc) {
          return fail(Code::corrupt, "segment " + name + " changed while it was copied");
        }
        summary.copied_bytes += entry.segment.bytes;
      }
    }
    manifest_.files.push_back(entry);
  }
  if (auto synced = directory_->sync(); !synced) return std::unexpected(synced.error());
  Health unused;  // a failure is reported, and nothing else depends on it
  made_.emplace_back(backup_manifest_name);
  auto written =
      replace_file(*directory_, backup_manifest_name, encode_backup_manifest(manifest_), unused);
  if (!written) return std::unexpected(written.error());
  complete_ = true;
  return summary;
}

}  // namespace kvs::log
