// backup.h - a copy of the log as it is after one commit, made of second names for its files.
//
// A sealed segment never changes, so a hard link is a copy that costs nothing, and a backup of what
// another backup has already costs nothing either. A backup is a directory:
//
//   BACKUP              which segments, with the checksum of each file, and itself under one
//   <16 hex digits>.log the segments
//
// BACKUP is written last, by one rename: a directory without it is no backup, and the next attempt
// under the same name starts over. Files that the newest backup of the same root does not have are
// read and verified, record by record, before they are vouched for; of the others the checksum is
// taken over, so that rot in between shows when it is restored, or checked.
//
// Where the root is on another file system the files are copied: the backup then has disk space of
// its own, and only files that are new against the newest backup are read, all others linked there.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "storage/engine.h"
#include "storage/fs.h"
#include "storage/hash.h"
#include "storage/log/catalog.h"
#include "storage/log/manifest.h"

namespace kvs::log {

inline constexpr std::string_view backup_manifest_name = "BACKUP";

struct BackupEntry {
  ManifestEntry segment;  // sealed
  std::uint32_t crc = 0;  // CRC32C of the file

  bool operator==(const BackupEntry&) const = default;
};

struct BackupManifest {
  UnixMs created = 0;
  Position position = 0;
  UnixMs clock = 0;  // the engine's
  HashKey hash_key;  // which data directory it is from
  std::vector<BackupEntry> files;
};

std::string encode_backup_manifest(const BackupManifest& manifest);
// Errors: corrupt.
Result<BackupManifest> parse_backup_manifest(std::string_view text);
// Errors: not_found (no backup), corrupt, io.
Result<BackupManifest> read_backup_manifest(Directory& directory);

// One backup in the making. Thread: one.
class Backup {
 public:
  // All must outlive this. `now` is the engine's clock.
  Backup(Fs& fs, const BackupRequest& request, const HashKey& hash_key, UnixMs now);
  // Takes back what was not finished.
  ~Backup();
  Backup(const Backup&) = delete;
  Backup& operator=(const Backup&) = delete;

  // Makes sure that there is an empty directory for it.
  Result<void> begin();
  // Gives second names to the sealed ones of `segments` with records in them; their names must be
  // theirs until this returns. `position`: what they hold.
  Result<void> link(Directory& data, std::vector<SegmentPtr> segments, Position position);
  // Everything that takes long: copies, checksums, syncs, and BACKUP.
  Result<BackupSummary> finish();

 private:
  void read_newest();
  const BackupEntry* known(const ManifestEntry& entry) const;
  Result<std::uint32_t> vouch_for(const Segment& segment) const;

  Fs& fs_;
  const BackupRequest& request_;
  std::filesystem::path path_;
  std::unique_ptr<Directory> directory_;
  BackupManifest manifest_;
  BackupManifest newest_;  // of the same root and data directory
  std::unique_ptr<Directory> newest_directory_;
  std::vector<SegmentPtr> segments_;
  std::vector<std::string> made_;  // names in directory_
  bool complete_ = false;
};

}  // namespace kvs::log
