// recovery.h - from a directory to an index: what open() does with a log that is there.
//
// Two halves. recover() only reads: sealed segments through their hints (hint_loader.h) or, where
// a hint is missing or cannot be believed, whole and with all checksums; and the end of the log,
// which has no hint, always whole. It decides where the log ends, fills the index, and fails on
// anything that a crash cannot have caused. What it reads through a hint has its values checked
// when they are read. Several threads share the work; what comes out does not depend on it.
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

#include "storage/database_map.h"
#include "storage/log/catalog.h"
#include "storage/log/clears.h"
#include "storage/log/keydir.h"
#include "storage/log/load_meter.h"
#include "storage/log/manifest.h"

namespace kvs::log {

struct Recovered {
  std::vector<SegmentPtr> segments;  // in MANIFEST's order
  SegmentPtr active;                 // null: the last one is sealed
  SegmentPtr prepared;               // empty, behind `active`; may be null
  std::vector<SegmentPtr> unneeded;  // further empty ones
  Lsn last_lsn = 0;                  // the greatest ever used
  UnixMs clock = 0;                  // the newest in a frame or in MANIFEST
  DatabaseMap databases;             // as the newest swap says; clears.newest(swap) is its LSN
  std::uint64_t records = 0;
  std::uint64_t torn_bytes = 0;
  std::size_t hints_used = 0;
  std::size_t hints_bad = 0;  // there, but not to be believed

  // For repair().
  SegmentPtr tail;  // the last segment with anything in it; null after clean stop
  std::uint64_t unsure_from_bytes = 0;  // of `tail`: from here on it may not be on stable storage
};

// On `threads` threads; 0: as many as there are cores, if there is enough to read. Errors: corrupt,
// naming segment, offset and the LSNs affected; io; cancelled.
Result<Recovered> recover(Directory& directory, const Manifest& manifest, Keydir& keydir,
                          Clears& clears, LoadMeter& meter, unsigned threads);

Result<void> repair(Recovered& recovered, std::uint64_t segment_bytes);

}  // namespace kvs::log
