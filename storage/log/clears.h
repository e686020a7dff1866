// clears.h - the newest clear record of each database, and the newest swap record.
//
// A clear is what keeps a database empty after a restart, and the newest swap says which database
// is which. So they are live, and compaction carries them along for ever: at most
// databases_count + 1 of them. Thread: any.
#pragma once

#include <array>
#include <mutex>

#include "storage/engine.h"
#include "storage/log/catalog.h"

namespace kvs::log {

class Clears {
 public:
  // Which of them: a database for its clear, or this one.
  static constexpr unsigned swap = databases_count;

  // Of the newest; 0: there was none.
  Lsn newest(unsigned which) const {
    std::scoped_lock lock(mutex_);
    return newest_[which].lsn;
  }

  // A record was written or found: it counts as live if it is the newest, and the one that it
  // replaces does no longer.
  void add(unsigned which, Lsn lsn, const SegmentPtr& segment, std::uint64_t bytes) {
    std::scoped_lock lock(mutex_);
    Newest& newest = newest_[which];
    if (lsn <= newest.lsn) return;
    if (newest.segment != nullptr) newest.segment->counts.remove_live(newest.bytes);
    newest = {.lsn = lsn, .bytes = bytes, .segment = segment};
    segment->counts.add_live(bytes);
  }

  // Compaction copied the record to `segment`, if it still is the newest.
  void move(unsigned which, Lsn lsn, const SegmentPtr& segment, std::uint64_t bytes) {
    std::scoped_lock lock(mutex_);
    Newest& newest = newest_[which];
    if (lsn != newest.lsn) return;
    if (newest.segment != nullptr) newest.segment->counts.remove_live(newest.bytes);
    newest.bytes = bytes;
    newest.segment = segment;
    segment->counts.add_live(bytes);
  }

 private:
  struct Newest {
    Lsn lsn = 0;
    std::uint64_t bytes = 0;
    SegmentPtr segment;
  };

  mutable std::mutex mutex_;
  std::array<Newest, databases_count + 1> newest_;
};

}  // namespace kvs::log
