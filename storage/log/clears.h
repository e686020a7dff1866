// clears.h - the newest clear record of each database.
//
// It is what keeps a database empty after a restart, so it is live, and compaction carries it along
// for ever: at most databases_count of them. Thread: any.
#pragma once

#include <array>
#include <mutex>

#include "storage/engine.h"
#include "storage/log/catalog.h"

namespace kvs::log {

class Clears {
 public:
  // Of the newest clear of `database`; 0: there was none.
  Lsn newest(Database database) const {
    std::scoped_lock lock(mutex_);
    return clears_[database].lsn;
  }

  // A clear record was written or found: it counts as live if it is the newest, and the one that it
  // replaces does no longer.
  void add(Database database, Lsn lsn, const SegmentPtr& segment, std::uint64_t bytes) {
    std::scoped_lock lock(mutex_);
    Clear& clear = clears_[database];
    if (lsn <= clear.lsn) return;
    if (clear.segment != nullptr) clear.segment->counts.remove_live(clear.bytes);
    clear = {.lsn = lsn, .bytes = bytes, .segment = segment};
    segment->counts.add_live(bytes);
  }

  // Compaction copied the record to `segment`, if it still is the newest.
  void move(Database database, Lsn lsn, const SegmentPtr& segment, std::uint64_t bytes) {
    std::scoped_lock lock(mutex_);
    Clear& clear = clears_[database];
    if (lsn != clear.lsn) return;
    if (clear.segment != nullptr) clear.segment->counts.remove_live(clear.bytes);
    clear.bytes = bytes;
    clear.segment = segment;
    segment->counts.add_live(bytes);
  }

 private:
  struct Clear {
    Lsn lsn = 0;
    std::uint64_t bytes = 0;
    SegmentPtr segment;
  };

  mutable std::mutex mutex_;
  std::array<Clear, databases_count> clears_;
};

}  // namespace kvs::log
