// salvage.h - makes a log that does not open one that does, and says what was lost.
//
// Nothing is destroyed: every file that is replaced goes to DIR/quarantine-<time>/ first. Segments
// in which everything is right stay as they are. Of the others every record whose checksum is right
// is copied, with its LSN, into new compacted segments (for which order does not matter),
// tombstones and clears included: so the rule "the greatest LSN counts" decides as it always does,
// and what was deleted stays deleted as long as its tombstone can be read. Then one replacement of
// MANIFEST makes the new set of segments the log.
//
// Order, so that it may be interrupted at every call and started again:
//
//   plan      the file SALVAGE names the quarantine and the first id of the new segments
//   copy      new segments, synced; a leftover of them is removed by the next run
//   keep      second names for (or copies of) the damaged files in the quarantine; the report;
//   synced swap      MANIFEST (and ENGINE, if it was damaged): from here on the directory opens
//   tidy      the damaged files lose their old names, SALVAGE goes
//
// What cannot be known is said, not guessed: where records are lost whose keys cannot be read, any
// key last written before them may be outdated, or have been deleted.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "storage/fs.h"
#include "storage/log/check.h"

namespace kvs::log {

using kvs::SalvageReport;

// Salvages the log in `directory`, which the caller has locked and `path` leads to. `now` is the
// wall clock. Errors: not_found, wrong_engine, io, no_space; the log is as it was then, or a new
// run finishes what this one has begun.
Result<SalvageReport> salvage(Fs& fs, const std::filesystem::path& path, Directory& directory,
                              UnixMs now);

}  // namespace kvs::log
