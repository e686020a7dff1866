#include "storage/log/restore.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "storage/log/catalog.h"
#include "storage/log/check.h"
#include "storage/log/copy_file.h"

namespace kvs::log {
namespace {

constexpr std::string_view mark_name = "RESTORE";
constexpr std::string_view mark_text = "A restore was begun here and has not ended.\n";
constexpr std::string_view lock_name = "LOCK";
constexpr std::uint64_t first_capacity_bytes = 4096;  // the first open makes it longer

std::unexpected<Error> damaged(const Directory& backup, const BackupEntry& entry,
                               std::string_view what) {
  return fail(Code::corrupt, "the backup is damaged: " + backup.path() + "/" +
                                 segment_name(entry.segment.id) + ": " + std::string(what));
}

Result<std::unique_ptr<File>> open_file(Directory& backup, const BackupEntry& entry) {
  auto file = backup.open(segment_name(entry.segment.id), OpenMode::read_only);
  if (!file && file.error().code() == Code::not_found) return damaged(backup, entry, "is missing");
  if (!file) return file;
  auto size = (*file)->size();
  if (!size) return std::unexpected(size.error());
  if (*size != entry.segment.bytes) {
    return damaged(backup, entry,
                   "length is " + std::to_string(*size) + ", should be " +
                       std::to_string(entry.segment.bytes));
  }
  return file;
}

// Makes sure that nothing is in the way.
Result<void> clear_target(Directory& target) {
  auto names = target.list();
  if (!names) return std::unexpected(names.error());
  const bool begun = std::find(names->begin(), names->end(), mark_name) != names->end();
  const bool opened = std::find(names->begin(), names->end(), manifest_name) != names->end();
  for (const std::string& name : *names) {
    if (name == lock_name || name == "RESTORE.tmp") continue;
    if (begun && !opened) {
      const bool ours = name == mark_name || name == "ENGINE" || name == "ENGINE.tmp" ||
                        name == "MANIFEST.tmp" || parse_segment_name(name).has_value();
      if (ours) continue;
    }
    return fail(Code::invalid, target.path() + " is not empty: it holds " + name);
  }
  for (const std::string& name : *names) {
    if (name == lock_name || name == mark_name) continue;
    if (auto removed = target.remove(name); !removed) return removed;
  }
  return {};
}

Result<SegmentPtr> adopt(Directory& target, const BackupEntry& entry) {
  const std::string name = segment_name(entry.segment.id);
  auto file = target.open(name, OpenMode::read_only);
  if (!file) return std::unexpected(file.error());
  char bytes[segment_header_bytes];
  auto got = (*file)->read_at(0, bytes);
  if (!got) return std::unexpected(got.error());
  const ParsedSegmentHeader parsed = parse_segment_header({bytes, *got});
  if (parsed.fault != nullptr) return fail(Code::corrupt, name + ": " + parsed.fault);
  auto segment = std::make_shared<Segment>(parsed.header, std::move(*file), entry.segment.bytes);
  segment->counts.add_records(entry.segment.records, 0, entry.segment.min_lsn,
                              entry.segment.max_lsn);
  segment->set_end_bytes(entry.segment.bytes);
  segment->set_sealed();
  return segment;
}

}  // namespace

Result<BackupManifest> verify_backup(Directory& directory) {
  auto manifest = read_backup_manifest(directory);
  if (!manifest) {
    if (manifest.error().code() != Code::corrupt) return manifest;
    return fail(Code::corrupt,
                "the backup is damaged: " + directory.path() + "/" + manifest.error().message());
  }
  for (const BackupEntry& entry : manifest->files) {
    auto file = open_file(directory, entry);
    if (!file) return std::unexpected(file.error());
    auto crc = checksum_of(**file, entry.segment.bytes);
    if (!crc) return std::unexpected(crc.error());
    if (*crc != entry.crc) return damaged(directory, entry, "checksum does not match");
  }
  return manifest;
}

Result<RestoreSummary> restore(Fs& fs, const std::filesystem::path& backup,
                               const std::filesystem::path& target) {
  auto from = fs.open_directory(backup);
  if (!from) return std::unexpected(from.error());
  auto manifest = verify_backup(**from);
  if (!manifest) return std::unexpected(manifest.error());

  auto opened = fs.open_directory(target);
  if (!opened && opened.error().code() == Code::not_found) {
    if (auto created = fs.create_directory(target); !created) {
      return std::unexpected(created.error());
    }
    opened = fs.open_directory(target);
  }
  if (!opened) return std::unexpected(opened.error());
  Directory& to = **opened;
  // Before the lock, which leaves a file, is tried on a directory that is somebody's.
  if (auto names = to.list();
      names && std::find(names->begin(), names->end(), manifest_name) != names->end()) {
    return fail(Code::invalid, to.path() + " is not empty: it holds " + std::string(manifest_name));
  }
  auto lock = to.lock(lock_name);
  if (!lock) return std::unexpected(lock.error());
  if (auto cleared = clear_target(to); !cleared) return std::unexpected(cleared.error());
  Health health;
  if (auto marked = replace_file(to, mark_name, mark_text, health); !marked) {
    return std::unexpected(marked.error());
  }

  RestoreSummary summary{.position = manifest->position, .created = manifest->created};
  std::vector<SegmentPtr> segments;
  SegmentId next_id = 1;
  for (const BackupEntry& entry : manifest->files) {
    auto file = open_file(**from, entry);
    if (!file) return std::unexpected(file.error());
    auto crc = copy_contents(**file, entry.segment.bytes, to, segment_name(entry.segment.id));
    if (!crc) return std::unexpected(crc.error());
    if (*crc != entry.crc) return damaged(**from, entry, "checksum does not match any more");
    auto segment = adopt(to, entry);
    if (!segment) return std::unexpected(segment.error());
    segments.push_back(std::move(*segment));
    next_id = std::max(next_id, entry.segment.id + 1);
    ++summary.files;
    summary.bytes += entry.segment.bytes;
  }
  if (auto marked = replace_file(to, "ENGINE", engine_marker, health); !marked) {
    return std::unexpected(marked.error());
  }
  Progress progress;
  progress.synced = manifest->position;
  Catalog catalog(to, HashKey::random(), progress, health, [&] { return manifest->clock; });
  catalog.adopt(std::move(segments), next_id, manifest->position);
  auto log = catalog.create(SegmentKind::log, first_capacity_bytes);
  if (!log) return std::unexpected(log.error());
  if (auto named = catalog.change({&*log, 1}, {}); !named) return std::unexpected(named.error());
  if (auto removed = to.remove(mark_name); !removed) return std::unexpected(removed.error());
  if (auto synced = to.sync(); !synced) return std::unexpected(synced.error());
  return summary;
}

}  // namespace kvs::log
