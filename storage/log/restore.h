// restore.h - from a backup to a data directory.
//
// Everything is verified before the target is touched. The files are copied, not linked, so that
// the backup stays what it is whatever becomes of the copy. MANIFEST comes last: what an
// interrupted restore leaves does not open, and the next attempt, which knows it by the file
// RESTORE, starts over. The new directory gets a hash key of its own, since from then on it is
// another one than that of which the backup was made.
#pragma once

#include <cstdint>
#include <filesystem>

#include "storage/fs.h"
#include "storage/log/backup.h"
#include "storage/offline.h"

namespace kvs::log {

using kvs::RestoreSummary;

// Makes `target`, which is empty or does not exist, a data directory with the contents of `backup`.
// Errors: not_found (no backup), corrupt (it is damaged; the target is untouched), invalid (the
// target is not empty), busy, no_space, io.
Result<RestoreSummary> restore(Fs& fs, const std::filesystem::path& backup,
                               const std::filesystem::path& target);

// Verifies the checksum of every file of the backup in `directory`. Errors: as above.
Result<BackupManifest> verify_backup(Directory& directory);

}  // namespace kvs::log
