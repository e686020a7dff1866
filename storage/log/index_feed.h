// index_feed.h - how the threads of a recovery bring records into the index.
//
// The index decides by LSN alone, so threads feed what they have read in any order and the result
// is the same. What is shared beside the index: the newest clear of each database, since records
// below it need not be fed at all; it is applied once, at the end. And the newest swap.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "storage/database_map.h"
#include "storage/log/catalog.h"
#include "storage/log/clears.h"
#include "storage/log/hint.h"
#include "storage/log/keydir.h"
#include "storage/log/record.h"

namespace kvs::log {

// The newest clear of each database, and the newest swap, that a recovery has met so far. Thread:
// any.
class FoundClears {
 public:
  void note(Database database, Lsn lsn, const SegmentPtr& segment, std::uint64_t record_bytes);
  void note_swap(const DatabaseMap& map, Lsn lsn, const SegmentPtr& segment,
                 std::uint64_t record_bytes);
  Lsn newest(Database database) const { return newest_[database].load(std::memory_order_relaxed); }
  // Tells the index and `clears`. After all records have been fed.
  void apply(Keydir& keydir, Clears& clears) const;
  // What the newest swap says.
  DatabaseMap map() const {
    std::scoped_lock lock(mutex_);
    return map_;
  }

 private:
  struct Found {
    Lsn lsn = 0;
    SegmentPtr segment;
    std::uint64_t record_bytes = 0;
  };
  std::array<std::atomic<Lsn>, databases_count> newest_{};
  mutable std::mutex mutex_;
  std::array<Found, databases_count> clears_;  // guarded by mutex_, as what follows
  Found swap_;
  DatabaseMap map_;
};

// The segments of a recovery by their ids. Constant; any thread.
class SegmentTable {
 public:
  explicit SegmentTable(const std::vector<SegmentPtr>& segments);
  std::size_t size() const { return segments_.size(); }
  const SegmentPtr& at(std::size_t index) const { return segments_[index]; }
  std::size_t index_of(SegmentId id) const { return indexes_.at(id); }

 private:
  const std::vector<SegmentPtr> segments_;
  std::unordered_map<SegmentId, std::size_t> indexes_;
};

// One record on its way into the index.
struct FedRecord {
  RecordKind kind = RecordKind::value;
  Database database = 0;
  Lsn lsn = 0;
  std::uint64_t offset_bytes = 0;
  std::uint64_t record_bytes = 0;
  std::uint64_t value_bytes = 0;
  UnixMs expire_at = never;
  std::string_view key;  // must live until flush()
};

// Gathers records and feeds them in batches; keeps count of what is live where. Of the counts of a
// segment it touches those alone. Thread: one; several feeds may work on one index.
class IndexFeed {
 public:
  // All outlive this.
  IndexFeed(Keydir& keydir, FoundClears& clears, const SegmentTable& segments);
  // Adds to the segments' counts what the feed has found.
  ~IndexFeed();
  IndexFeed(const IndexFeed&) = delete;
  IndexFeed& operator=(const IndexFeed&) = delete;

  void add(const SegmentPtr& segment, const FedRecord& record);
  void flush();

 private:
  struct Live {
    std::int64_t bytes = 0;
    std::int64_t records = 0;
  };
  Live& live_in(SegmentId id);

  Keydir& keydir_;
  FoundClears& clears_;
  const SegmentTable& segments_;
  std::vector<Change> changes_;
  std::vector<Live> live_;  // per segment
  SegmentId last_id_ = 0;   // the last one that was asked for
  Live* last_ = nullptr;
};

// Copies of records, by the groups of their keys' hashes (hint.h). Threads that feed the index with
// one group each never wait for each other's locks; one that feeds records as they lie in a segment
// would wait for all of them, again and again. Thread: one, but for feed_group.
class GroupedRecords {
 public:
  explicit GroupedRecords(const Keydir& keydir) : keydir_(keydir) {}

  // `record` is of a key.
  void add(const SegmentPtr& segment, const FedRecord& record);
  std::size_t size() const noexcept { return size_; }
  // Any thread; not two with the same group.
  void feed_group(unsigned group, IndexFeed& feed) const;
  // Feeds all and forgets them.
  void feed_all(IndexFeed& feed);

 private:
  struct Group {
    std::vector<std::pair<const SegmentPtr*, FedRecord>> records;  // their keys are in `keys`
    std::string keys;
  };

  const Keydir& keydir_;
  std::array<Group, hint_groups> groups_;
  std::size_t size_ = 0;
};

}  // namespace kvs::log
