// hint_loader.h - fills the index from the hints of sealed segments.
//
// Group by group (hint.h): one group of all hints is one task, so that threads work on different
// parts of the index. A hint that turns out to be bad on the way has fed nothing wrong, since every
// chunk is checked before it is fed; but it may have fed too little, so its segment is scanned.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "storage/log/hint.h"
#include "storage/log/index_feed.h"
#include "storage/log/load_meter.h"
#include "storage/log/manifest.h"

namespace kvs::log {

class HintLoader {
 public:
  // Returned by plan().
  enum class Found { usable, missing, bad };

  // All outlive this.
  HintLoader(Directory& directory, Keydir& keydir, FoundClears& clears,
             const SegmentTable& segments, LoadMeter& meter)
      : directory_(directory),
        keydir_(keydir),
        clears_(clears),
        segments_(segments),
        meter_(meter) {}

  // Looks for a hint that agrees with what MANIFEST says of the segment, with the segment's header
  // and with its seal. Clears are noted at once. Thread: one, before load().
  Found plan(std::size_t index, const ManifestEntry& entry);

  std::size_t planned() const { return hints_.size(); }

  // Feeds group number `group` of all hints; [0, hint_groups). Thread: any.
  void load(unsigned group);

  // After all groups: takes over the counts of the hints that were good, and returns the indexes
  // of the segments whose hints were not.
  std::vector<std::size_t> conclude();

  // Of the good ones, after conclude().
  UnixMs newest_clock() const { return newest_clock_; }
  Lsn synced_upto() const { return synced_upto_; }
  std::uint64_t records() const { return records_; }

 private:
  struct Totals {
    std::uint64_t records = 0;
    std::uint64_t record_bytes = 0;
    std::uint64_t tombstones = 0;
    std::uint64_t tombstone_bytes = 0;
    Lsn min_lsn = 0;
    Lsn max_lsn = 0;

    void add(const HintRecord& record, std::uint64_t bytes);
    void add(const Totals& other);
  };
  struct Hint {
    std::size_t index = 0;  // of the segment
    std::unique_ptr<HintFile> file;
    std::array<std::vector<const HintChunk*>, hint_groups + 1> chunks;  // by group
    std::atomic<bool> bad = false;
    std::mutex mutex;
    Totals totals;  // guarded by mutex
  };

  bool load_chunks(Hint& hint, unsigned group, std::string& buffer, IndexFeed& feed);
  bool seal_agrees(const Segment& segment, const ManifestEntry& entry) const;

  Directory& directory_;
  Keydir& keydir_;
  FoundClears& clears_;
  const SegmentTable& segments_;
  LoadMeter& meter_;
  std::vector<std::unique_ptr<Hint>> hints_;
  UnixMs newest_clock_ = 0;
  Lsn synced_upto_ = 0;
  std::uint64_t records_ = 0;
};

}  // namespace kvs::log
