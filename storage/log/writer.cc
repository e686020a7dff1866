#include "storage/log/writer.h"

#include <cassert>
#include <utility>

#include "storage/limits.h"
#include "storage/log/record.h"

namespace kvs::log {

Writer::Writer(Catalog& catalog, Progress& progress, Health& health, Reserve& reserve,
               std::uint64_t segment_bytes)
    : catalog_(catalog),
      progress_(progress),
      health_(health),
      reserve_(reserve),
      segment_bytes_(segment_bytes) {}

void Writer::start(SegmentPtr active, SegmentPtr prepared, Lsn next_lsn) {
  std::scoped_lock lock(sync_mutex_, active_mutex_, next_mutex_);
  active_ = std::move(active);
  next_ = std::move(prepared);
  next_lsn_ = next_lsn;
  writeback_from_bytes_ = active_->end_bytes();
}

SegmentPtr Writer::active() const {
  std::scoped_lock lock(active_mutex_);
  return active_;
}

Result<Writer::Placed> Writer::append(std::string& frame, std::string_view last_value,
                                      std::uint32_t records, UnixMs clock, Purpose purpose) {
  assert(records > 0);
  assert(frame.size() >= frame_header_bytes + records * record_bytes_min);
  const Lsn first = next_lsn_;
  if (first + records > limits::lsn_max) return fail(Code::too_large, "the log is used up");
  const std::uint64_t frame_bytes = frame.size() + last_value.size();
  if (frame_bytes - frame_header_bytes > limits::session_bytes_max) {
    return fail(Code::too_large, "the writes of one session exceed 2 GiB");
  }
  if (auto healthy = health_.check(); !healthy) return std::unexpected(healthy.error());
  if (purpose == Purpose::growth && reserve_.released()) {
    if (auto taken = reserve_.take(); !taken) return std::unexpected(taken.error());
  }
  if (auto room = make_room(frame_bytes, clock, purpose); !room) {
    return std::unexpected(room.error());
  }

  Segment& segment = *active_;
  const std::uint64_t frame_offset = segment.end_bytes();
  std::size_t at = frame_header_bytes;
  for (std::uint32_t i = 0; i < records; ++i) {
    const bool last = i + 1 == records;
    const std::size_t bytes =
        appended_record_bytes(frame.data() + at) - (last ? last_value.size() : 0);
    stamp_record(frame.data() + at, bytes, segment.seed(), frame_offset + at, first + i,
                 last ? last_value : std::string_view());
    at += bytes;
  }
  assert(at == frame.size());
  const FrameHeader header{
      .payload_bytes = static_cast<std::uint32_t>(frame_bytes - frame_header_bytes),
      .records = records,
      .first_lsn = first,
      .clock = clock,
      .synced_upto = progress_.synced.load(std::memory_order_acquire)};
  encode_frame_header(frame.data(), header, segment.seed(), frame_offset);
  next_lsn_ += records;  // even if the write fails: some of it may have reached the disk
  if (auto written = write_at_end(frame, last_value); !written) {
    return std::unexpected(written.error());
  }

  segment.counts.add_records(records, header.payload_bytes, first, first + records - 1);
  return Placed{.segment = active_,
                .payload_offset_bytes = frame_offset + frame_header_bytes,
                .first_lsn = first,
                .last_lsn = first + records - 1};
}

Result<void> Writer::make_room(std::uint64_t frame_bytes, UnixMs clock, Purpose purpose) {
  const std::uint64_t seal_bytes = frame_header_bytes;
  if (active_->end_bytes() + frame_bytes + seal_bytes <= active_->capacity_bytes()) return {};
  const std::uint64_t needed = segment_header_bytes + frame_bytes + seal_bytes;
  if (active_->end_bytes() == segment_header_bytes) return grow(*active_, needed);
  return move_on(needed, clock, purpose);
}

Result<void> Writer::seal_active(UnixMs clock) {
  if (auto healthy = health_.check(); !healthy) return healthy;
  if (active_->end_bytes() == segment_header_bytes) return {};
  return move_on(0, clock, Purpose::growth);
}

Result<void> Writer::move_on(std::uint64_t capacity_needed, UnixMs clock, Purpose purpose) {
  SegmentPtr next;
  {
    std::scoped_lock preparing(next_mutex_);
    auto ensured = ensure_next(purpose);
    if (!ensured) return std::unexpected(ensured.error());
    if ((*ensured)->capacity_bytes() < capacity_needed) {
      if (auto grown = grow(**ensured, capacity_needed); !grown) return grown;
    }
    next = next_;
  }
  // From here on the only thing that can fail harmlessly is the seal itself.
  char seal[frame_header_bytes];
  const FrameHeader header{.first_lsn = next_lsn_,
                           .clock = clock,
                           .synced_upto = progress_.synced.load(std::memory_order_acquire)};
  encode_frame_header(seal, header, active_->seed(), active_->end_bytes());
  if (auto written = write_at_end({seal, sizeof seal}); !written) return written;
  if (auto cut = active_->file().truncate(active_->end_bytes()); !cut) {
    health_.fail(cut.error().message());
    return cut;
  }
  active_->set_capacity_bytes(active_->end_bytes());
  {
    std::scoped_lock syncing(sync_mutex_);
    auto synced = sync_locked(*active_, progress_.committed.load(std::memory_order_acquire));
    if (!synced) return synced;
    active_->set_sealed();
    std::scoped_lock lock(active_mutex_);
    active_ = std::move(next);
  }
  writeback_from_bytes_ = active_->end_bytes();
  std::scoped_lock preparing(next_mutex_);
  next_ = nullptr;
  return {};
}

// Called with next_mutex_ held.
Result<SegmentPtr> Writer::ensure_next(Purpose purpose) {
  if (next_ != nullptr) return next_;
  auto created = create_next(purpose);
  if (!created) return std::unexpected(created.error());
  if (auto named = catalog_.change({&*created, 1}, {}); !named) {
    catalog_.discard({&*created, 1});
    return std::unexpected(named.error());
  }
  next_ = *created;
  return next_;
}

Result<SegmentPtr> Writer::create_next(Purpose purpose) {
  if (purpose == Purpose::growth) {
    // The reserve first: whoever lets the log grow leaves enough to shrink it again.
    if (auto taken = reserve_.take(); !taken) return std::unexpected(taken.error());
    return catalog_.create(SegmentKind::log, segment_bytes_);
  }
  auto created = catalog_.create(SegmentKind::log, segment_bytes_);
  if (created || created.error().code() != Code::no_space || !reserve_.release()) return created;
  return catalog_.create(SegmentKind::log, reserve_.removals_bytes());
}

bool Writer::next_is_due() const {
  const SegmentPtr current = active();
  return current->end_bytes() >= current->capacity_bytes() / 2;
}

Result<void> Writer::prepare_next() {
  if (auto healthy = health_.check(); !healthy) return healthy;
  std::scoped_lock preparing(next_mutex_);
  auto ensured = ensure_next(Purpose::growth);
  if (!ensured) return std::unexpected(ensured.error());
  return {};
}

Result<void> Writer::grow(Segment& segment, std::uint64_t capacity_needed) {
  if (auto allocated = segment.file().preallocate(capacity_needed); !allocated) return allocated;
  segment.set_capacity_bytes(capacity_needed);
  return {};
}

Result<void> Writer::write_at_end(std::string_view bytes, std::string_view rest) {
  Segment& segment = *active_;
  const std::uint64_t offset = segment.end_bytes();
  auto written = segment.file().write_at(offset, bytes);
  if (written && !rest.empty()) written = segment.file().write_at(offset + bytes.size(), rest);
  if (!written) {
    if (auto cut = segment.file().truncate(offset); !cut) {
      health_.fail("a frame could be neither written (" + written.error().message() +
                   ") nor cut off (" + cut.error().message() + ")");
    } else {
      // Gives back the space the cut took. Without it appends let the file grow, which works too.
      (void)segment.file().preallocate(segment.capacity_bytes());
    }
    return written;
  }
  segment.set_end_bytes(offset + bytes.size() + rest.size());
  if (segment.end_bytes() - writeback_from_bytes_ >= limits::writeback_step_bytes) {
    segment.file().start_writeback(writeback_from_bytes_,
                                   segment.end_bytes() - writeback_from_bytes_);
    writeback_from_bytes_ = segment.end_bytes();
  }
  return {};
}

Result<Position> Writer::sync() {
  std::scoped_lock syncing(sync_mutex_);
  if (auto healthy = health_.check(); !healthy) return std::unexpected(healthy.error());
  const Position upto = progress_.committed.load(std::memory_order_acquire);
  if (progress_.synced.load(std::memory_order_acquire) < upto) {
    if (auto synced = sync_locked(*active_, upto); !synced) return std::unexpected(synced.error());
  }
  return progress_.synced.load(std::memory_order_acquire);
}

Result<Position> Writer::sync_written() {
  std::scoped_lock syncing(sync_mutex_);
  if (auto healthy = health_.check(); !healthy) return std::unexpected(healthy.error());
  const Position upto = progress_.committed.load(std::memory_order_acquire);
  if (auto synced = sync_locked(*active_, upto); !synced) return std::unexpected(synced.error());
  return progress_.synced.load(std::memory_order_acquire);
}

// Called with sync_mutex_ held. Everything up to `upto` is in `segment` or in sealed ones.
Result<void> Writer::sync_locked(Segment& segment, Position upto) {
  // Another thread's sync may have failed while this one waited for its turn; the kernel would not
  // report the same failure twice.
  if (auto healthy = health_.check(); !healthy) return healthy;
  syncs_.fetch_add(1, std::memory_order_relaxed);
  if (auto synced = segment.file().sync_data(); !synced) {
    sync_failures_.fetch_add(1, std::memory_order_relaxed);
    health_.fail(synced.error().message());
    return synced;
  }
  if (upto > progress_.synced.load(std::memory_order_relaxed)) {
    progress_.synced.store(upto, std::memory_order_release);
  }
  return {};
}

}  // namespace kvs::log
