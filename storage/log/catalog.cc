#include "storage/log/catalog.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include <sodium/randombytes.h>

namespace kvs::log {

Catalog::Catalog(Directory& directory, const HashKey& hash_key, Progress& progress, Health& health,
                 std::function<UnixMs()> clock)
    : directory_(directory),
      hash_key_(hash_key),
      progress_(progress),
      health_(health),
      clock_(std::move(clock)) {}

void Catalog::adopt(std::vector<SegmentPtr> segments, SegmentId next_id, Lsn dropped) {
  std::unique_lock lock(mutex_);
  listed_ = std::move(segments);
  next_id_ = next_id;
  dropped_ = dropped;
  for (const SegmentPtr& segment : listed_) findable_[segment->id()] = segment;
}

Result<SegmentPtr> Catalog::create(SegmentKind kind, std::uint64_t capacity_bytes) {
  SegmentHeader header{.kind = kind, .created = clock_()};
  {
    std::unique_lock lock(mutex_);
    if (next_id_ == UINT32_MAX) return fail(Code::too_large, "segment ids are used up");
    header.id = next_id_++;
  }
  randombytes_buf(&header.salt, sizeof header.salt);

  const std::string name = segment_name(header.id);
  auto file = directory_.open(name, OpenMode::create_new);
  if (!file) return std::unexpected(file.error());
  char bytes[segment_header_bytes];
  encode_segment_header(bytes, header);
  auto done = (*file)->write_at(0, {bytes, sizeof bytes});
  // An output of compaction is written once and synced once: it gains nothing from space ahead, and
  // must not need more of a full disk than it is going to use.
  if (done && kind == SegmentKind::log) done = (*file)->preallocate(capacity_bytes);
  if (done) done = (*file)->sync_data();
  if (!done) {
    file->reset();
    (void)directory_.remove(name);
    return std::unexpected(done.error());
  }
  return std::make_shared<Segment>(header, std::move(*file), capacity_bytes);
}

Result<void> Catalog::change(std::span<const SegmentPtr> add, std::span<const SegmentPtr> drop,
                             std::optional<CleanStop> clean_stop) {
  std::scoped_lock changing(change_mutex_);
  if (auto healthy = health_.check(); !healthy) return healthy;
  std::vector<SegmentPtr> segments;
  Lsn dropped = 0;
  {
    std::shared_lock lock(mutex_);
    segments = listed_;
    dropped = dropped_;
  }
  for (const SegmentPtr& segment : drop) {
    if (segment->kind() == SegmentKind::log) {
      dropped = std::max<Lsn>(dropped, segment->counts.max_lsn);
    }
  }
  std::erase_if(segments, [drop](const SegmentPtr& segment) {
    return std::find(drop.begin(), drop.end(), segment) != drop.end();
  });
  segments.insert(segments.end(), add.begin(), add.end());

  // The names of new files must not be missing when MANIFEST speaks of them.
  if (!add.empty()) {
    if (auto synced = directory_.sync(); !synced) {
      health_.fail(synced.error().message());
      return synced;
    }
  }
  const std::string text = encode_manifest(describe(segments, dropped, clean_stop));
  if (auto replaced = replace_file(directory_, manifest_name, text, health_); !replaced) {
    return replaced;
  }
  std::unique_lock lock(mutex_);
  listed_ = std::move(segments);
  dropped_ = dropped;
  for (const SegmentPtr& segment : add) findable_[segment->id()] = segment;
  return {};
}

void Catalog::retire(std::span<const SegmentPtr> segments) {
  {
    std::unique_lock lock(mutex_);
    for (const SegmentPtr& segment : segments) {
      assert(std::find(listed_.begin(), listed_.end(), segment) == listed_.end());
      findable_.erase(segment->id());
    }
  }
  remove_files(segments);
}

void Catalog::discard(std::span<const SegmentPtr> segments) {
  if (health_.failed()) return;
  remove_files(segments);
}

void Catalog::remove_files(std::span<const SegmentPtr> segments) {
  for (const SegmentPtr& segment : segments) {
    if (segment->hint_bytes() != 0) (void)directory_.remove(hint_name(segment->id()));
    (void)directory_.remove(segment->name());
  }
}

std::unique_ptr<HintWriter> Catalog::write_hint(const SegmentPtr& segment) {
  return std::make_unique<HintWriter>(directory_, hash_key_, segment);
}

std::uint64_t Catalog::free_bytes() const {
  const auto free = directory_.free_bytes();
  return free ? *free : UINT64_MAX;
}

void Catalog::drop_hints() {
  if (!std::exchange(hints_wanted_, false)) return;
  for (const SegmentPtr& segment : listed()) {
    if (segment->hint_bytes() == 0) continue;
    if (directory_.remove(hint_name(segment->id()))) segment->set_hint_bytes(0);
  }
}

SegmentPtr Catalog::find(SegmentId id) const {
  std::shared_lock lock(mutex_);
  const auto found = findable_.find(id);
  return found == findable_.end() ? nullptr : found->second;
}

std::vector<SegmentPtr> Catalog::listed() const {
  std::shared_lock lock(mutex_);
  return listed_;
}

SpaceUse Catalog::space_use() const {
  const auto positive = [](std::int64_t value) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(0, value));
  };
  SpaceUse use;
  use.free_bytes = free_bytes();
  std::shared_lock lock(mutex_);
  for (const SegmentPtr& segment : listed_) {
    use.disk_bytes += segment->capacity_bytes();
    use.live_bytes += positive(segment->counts.live_bytes);
    use.tombstone_bytes += positive(segment->counts.tombstone_bytes);
  }
  return use;
}

Manifest Catalog::describe(const std::vector<SegmentPtr>& segments, Lsn dropped,
                           std::optional<CleanStop> clean_stop) const {
  // `durable` is read before anything else is: whatever it promises is in the segments below.
  Manifest manifest{.hash_key = hash_key_, .durable = progress_.synced.load(), .dropped = dropped};
  manifest.clock = clock_();
  {
    std::shared_lock lock(mutex_);
    manifest.next_id = next_id_;
  }
  bool any_open = false;
  for (const SegmentPtr& segment : segments) {
    ManifestEntry entry{.id = segment->id(), .kind = segment->kind()};
    // Log segments may be sealed while we look at them one by one: after the first open one the
    // rest are written as open, which is never wrong.
    entry.sealed = segment->sealed() && !(any_open && segment->kind() == SegmentKind::log);
    if (entry.sealed) {
      entry.bytes = segment->end_bytes();
      entry.records = static_cast<std::uint64_t>(segment->counts.records.load());
      entry.min_lsn = segment->counts.min_lsn;
      entry.max_lsn = segment->counts.max_lsn;
    } else {
      any_open = true;
    }
    manifest.segments.push_back(entry);
  }
  manifest.clean_stop = clean_stop;
  return manifest;
}

}  // namespace kvs::log
