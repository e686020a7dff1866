// catalog.h - the set of segments, in memory and in MANIFEST.
//
// Two lists, changed in this order: what MANIFEST names (the log, as a restart will see it) and
// what readers can find. A segment is findable before the index points into it, and stays so until
// nothing points into it any more; its file goes last. Readers share ownership, so a file outlives
// its name for those who hold it.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "storage/fs.h"
#include "storage/log/health.h"
#include "storage/log/hint_writer.h"
#include "storage/log/manifest.h"
#include "storage/log/segment.h"
#include "storage/log/space_bound.h"

namespace kvs::log {

using SegmentPtr = std::shared_ptr<Segment>;

// Thread: every member function may be called from any thread, unless it says more.
class Catalog {
 public:
  // All must outlive this. `clock` is the engine's.
  Catalog(Directory& directory, const HashKey& hash_key, Progress& progress, Health& health,
          std::function<UnixMs()> clock);

  // Takes over what a recovery found; before any other thread uses this.
  void adopt(std::vector<SegmentPtr> segments, SegmentId next_id, Lsn dropped);

  // Creates the file of a new segment: header written, space allocated (log segments), synced. It
  // is in neither list.
  Result<SegmentPtr> create(SegmentKind kind, std::uint64_t capacity_bytes);

  // Makes `add` findable and, in one atomic step on disk, replaces `drop` by `add` in MANIFEST.
  // Dropped segments stay findable. After an error nothing has changed (or health is closed).
  Result<void> change(std::span<const SegmentPtr> add, std::span<const SegmentPtr> drop,
                      std::optional<CleanStop> clean_stop = std::nullopt);

  // Forgets segments that MANIFEST does not name and removes their files. A file that cannot be
  // removed now is removed by the next open.
  void retire(std::span<const SegmentPtr> segments);

  // Removes the files of segments that create() made and change() refused, unless MANIFEST might
  // name them after all.
  void discard(std::span<const SegmentPtr> segments);

  // Begins the hint of a sealed segment; it goes when the segment's file does.
  std::unique_ptr<HintWriter> write_hint(const SegmentPtr& segment);

  // Whether hints are made now. Dropping them removes all there are and makes no more, until they
  // are wanted again. Thread: maintenance.
  bool hints_wanted() const { return hints_wanted_; }
  void want_hints() { hints_wanted_ = true; }
  void drop_hints();

  // Null when there is none (any more).
  SegmentPtr find(SegmentId id) const;

  const HashKey& hash_key() const { return hash_key_; }

  // What MANIFEST names, log segments in their order.
  std::vector<SegmentPtr> listed() const;

  // What those take (without their hints), and what the file system has left.
  SpaceUse space_use() const;
  std::uint64_t free_bytes() const;  // UINT64_MAX when unknown

 private:
  void remove_files(std::span<const SegmentPtr> segments);
  Manifest describe(const std::vector<SegmentPtr>& segments, Lsn dropped,
                    std::optional<CleanStop> clean_stop) const;

  Directory& directory_;
  const HashKey hash_key_;
  Progress& progress_;
  Health& health_;
  const std::function<UnixMs()> clock_;

  bool hints_wanted_ = true;  // maintenance

  // One change of MANIFEST at a time; held across I/O, never by readers.
  std::mutex change_mutex_;

  // Guards the rest; held for memory work only.
  mutable std::shared_mutex mutex_;
  SegmentId next_id_ = 1;
  Lsn dropped_ = 0;  // the greatest LSN of log segments that are listed no more
  std::vector<SegmentPtr> listed_;
  std::unordered_map<SegmentId, SegmentPtr> findable_;
};

}  // namespace kvs::log
