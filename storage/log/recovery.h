// recovery.h - from a directory to an index: what open() does with a log that is there.
//
// Two halves. recover() only reads: it checks every byte that MANIFEST vouches for, decides where
// the log ends, and fills the index; it fails on anything that a crash cannot have caused.
// repair() then makes the directory what recover() has found: cuts the torn tail, and writes again
// what may have been lost to a sync that failed. Running both twice is the same as once.
//
// Torn tail or corruption (reliability.md 1): damage in the newest segment behind everything that
// was known durable (by a later frame, by a seal, by MANIFEST) is what a crash leaves: it is cut.
// Any other damage is corruption: open fails and nothing is changed.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "storage/log/catalog.h"
#include "storage/log/clears.h"
#include "storage/log/keydir.h"
#include "storage/log/manifest.h"

namespace kvs::log {

struct Recovered {
  std::vector<SegmentPtr> segments;  // in MANIFEST's order
  SegmentPtr active;                 // null: the last one is sealed
  SegmentPtr prepared;               // empty, behind `active`; may be null
  std::vector<SegmentPtr> unneeded;  // further empty ones
  Lsn last_lsn = 0;                  // the greatest ever used
  UnixMs clock = 0;                  // the newest in a frame or in MANIFEST
  std::uint64_t records = 0;
  std::uint64_t torn_bytes = 0;

  // For repair().
  SegmentPtr tail;  // the last segment with anything in it; null after clean stop
  std::uint64_t unsure_from_bytes = 0;  // of `tail`: from here on it may not be on stable storage
};

// Errors: corrupt, naming segment, offset and the LSNs affected; io.
Result<Recovered> recover(Directory& directory, const Manifest& manifest, Keydir& keydir,
                          Clears& clears);

Result<void> repair(Recovered& recovered, std::uint64_t segment_bytes);

}  // namespace kvs::log
