// writer.h - the end of the log: appends frames, goes from segment to segment, syncs.
//
// The holder of the writer's place (one thread at a time, whoever gives it out) appends; any thread
// may sync meanwhile. Order of things that a crash must not change:
// - the next segment is created, synced and named in MANIFEST before the current one is sealed;
// - the current one is sealed and synced before the next one is used.
//
// When the disk is full, only frames that help to empty it go on being written (reserve.h).
//
// A frame that could not be written whole is cut off again, so that the log stays a row of valid
// frames; what cannot be cut off closes `health`.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "storage/log/catalog.h"
#include "storage/log/frame.h"
#include "storage/log/health.h"
#include "storage/log/reserve.h"

namespace kvs::log {

// What a frame does to the log, when all is said and done.
enum class Purpose : std::uint8_t {
  growth,     // it holds values
  shrinking,  // it holds removals only: they may use the reserve
};

class Writer {
 public:
  // Where append() put a frame.
  struct Placed {
    SegmentPtr segment;
    std::uint64_t payload_offset_bytes = 0;
    Lsn first_lsn = 0;
    Lsn last_lsn = 0;
  };

  // All must outlive this.
  Writer(Catalog& catalog, Progress& progress, Health& health, Reserve& reserve,
         std::uint64_t segment_bytes);

  // Takes over what a recovery found: `active` ends at its end_bytes(). `prepared` may be null.
  void start(SegmentPtr active, SegmentPtr prepared, Lsn next_lsn);

  // --- by the holder of the writer's place ---

  // LSN of the first record of the next append.
  Lsn next_lsn() const { return next_lsn_; }

  // Writes `frame`: frame_header_bytes of room, then `records` records as append_record wrote them,
  // then `last_value`, the value of the last of them if append_record_head wrote that. The caller
  // sets progress.committed and then publishes. Errors: no_space, io, read_only, too_large; nothing
  // was written then.
  Result<Placed> append(std::string& frame, std::string_view last_value, std::uint32_t records,
                        UnixMs clock, Purpose purpose);

  // Seals the active segment, if there is anything in it, and goes on in another.
  Result<void> seal_active(UnixMs clock);

  // --- by any thread ---

  // Makes everything committed before the call durable and returns the new synced position.
  Result<Position> sync();
  // The same, and everything already written but not yet published too.
  Result<Position> sync_written();

  // Prepares the next segment, unless it is there; so that the writer need not wait for that.
  Result<void> prepare_next();
  // Will it be needed soon?
  bool next_is_due() const;

  SegmentPtr active() const;
  // The newest LSN committed.
  Lsn newest_lsn() const { return progress_.committed.load(std::memory_order_relaxed); }
  std::uint64_t syncs() const { return syncs_.load(std::memory_order_relaxed); }
  std::uint64_t sync_failures() const { return sync_failures_.load(std::memory_order_relaxed); }

 private:
  Result<void> make_room(std::uint64_t frame_bytes, UnixMs clock, Purpose purpose);
  Result<void> move_on(std::uint64_t capacity_needed, UnixMs clock, Purpose purpose);
  Result<SegmentPtr> ensure_next(Purpose purpose);
  Result<SegmentPtr> create_next(Purpose purpose);
  Result<void> grow(Segment& segment, std::uint64_t capacity_needed);
  Result<void> write_at_end(std::string_view bytes, std::string_view rest = {});
  Result<void> sync_locked(Segment& segment, Position upto);

  Catalog& catalog_;
  Progress& progress_;
  Health& health_;
  Reserve& reserve_;
  const std::uint64_t segment_bytes_;

  // Of the holder of the writer's place.
  Lsn next_lsn_ = 1;
  std::uint64_t writeback_from_bytes_ = 0;  // the kernel was asked to write what lies before

  // Held while the disk works: one sync at a time, and no error of one is reported to another.
  std::mutex sync_mutex_;

  // Changed by the holder of the place with both locked; so each of them is enough to read it.
  mutable std::mutex active_mutex_;
  SegmentPtr active_;

  // Held while the next segment is being created, so that it is not created twice.
  std::mutex next_mutex_;
  SegmentPtr next_;

  std::atomic<std::uint64_t> syncs_ = 0;
  std::atomic<std::uint64_t> sync_failures_ = 0;
};

}  // namespace kvs::log
