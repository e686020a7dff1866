#include "storage/log/recovery.h"

#include <algorithm>
#include <cassert>
#include <string>
#include <thread>
#include <utility>

#include "storage/limits.h"
#include "storage/log/hint_loader.h"
#include "storage/log/index_feed.h"
#include "storage/log/parallel.h"
#include "storage/log/scanner.h"

namespace kvs::log {
namespace {

// How finely the offsets of frames are remembered for repair().
constexpr std::uint64_t checkpoint_step_bytes = std::uint64_t{64} << 10;

struct Checkpoint {
  Lsn last_lsn;  // of the frame that ends at the offset
  std::uint64_t offset_bytes;
};

// Less than this per thread is read before a thread has started.
constexpr std::uint64_t bytes_per_thread_min = std::uint64_t{4} << 20;

// So many records, of some 100 bytes in memory, a scan gathers before the index gets them: of the
// tail as a rule all, since they are fed when nobody else feeds any more.
constexpr std::size_t sealed_records_max = std::size_t{1} << 17;
constexpr std::size_t tail_records_max = std::size_t{1} << 20;

// Neighbouring groups share a shard of the index and its lock: threads take every other one first.
unsigned group_of_task(std::size_t task) {
  constexpr std::size_t half = hint_groups / 2;
  return static_cast<unsigned>(task < half ? 2 * task : 2 * (task - half) + 1);
}

// What the scan of one segment has found, and how it ended.
struct Scanned {
  SegmentScanner::Found found = SegmentScanner::Found::end;
  std::uint64_t offset_bytes = 0;       // where what was found begins
  std::uint64_t next_offset_bytes = 0;  // behind a seal
  const char* fault = nullptr;
  UnixMs clock = 0;
  Lsn synced_upto = 0;  // the highest of a log segment
  Lsn last_lsn = 0;     // the greatest of a log segment, or of those before it
  std::uint64_t records = 0;
  std::vector<Checkpoint> checkpoints;
};

class Recovery {
 public:
  Recovery(Directory& directory, const Manifest& manifest, Keydir& keydir, Clears& clears,
           LoadMeter& meter)
      : directory_(directory),
        manifest_(manifest),
        keydir_(keydir),
        clears_(clears),
        meter_(meter) {
    result_.clock = manifest.clock;
    promised_ = manifest.durable;
    log_end_ = manifest.dropped;
  }

  Result<Recovered> run(unsigned threads) {
    if (auto opened = open_segments(); !opened) return std::unexpected(opened.error());
    const SegmentTable segments(result_.segments);
    segments_ = &segments;
    HintLoader hints(directory_, keydir_, found_clears_, segments, meter_);
    plan(hints);

    // The tail first: it cannot be divided. Then segments without a hint, then the small tasks.
    if (threads == 0) threads = threads_for(total_bytes_);
    const std::size_t groups = hints.planned() > 0 ? hint_groups : 0;
    Result<void> tail;
    run_in_parallel(threads, 1 + to_scan_.size() + groups, [&](std::size_t task) {
      if (task == 0) {
        tail = read_tail();
      } else if (task <= to_scan_.size()) {
        outcomes_[to_scan_[task - 1]] = read_sealed(to_scan_[task - 1]);
      } else {
        hints.load(group_of_task(task - 1 - to_scan_.size()));
      }
    });
    run_in_parallel(threads, hint_groups, [&](std::size_t task) {
      if (meter_.stopped()) return;
      IndexFeed feed(keydir_, found_clears_, segments);
      tail_records_.feed_group(group_of_task(task), feed);
    });
    if (meter_.stopped()) return fail(Code::cancelled, "the log was not read to its end");
    const std::vector<std::size_t> bad = hints.conclude();
    result_.hints_used = hints.planned() - bad.size();
    result_.hints_bad += bad.size();
    run_in_parallel(threads, bad.size(),
                    [&](std::size_t task) { outcomes_[bad[task]] = read_sealed(bad[task]); });
    if (meter_.stopped()) return fail(Code::cancelled, "the log was not read to its end");

    // In one order, whichever thread was first.
    for (const SegmentKind kind : {SegmentKind::compacted, SegmentKind::log}) {
      for (std::size_t i = 0; i < manifest_.segments.size(); ++i) {
        const bool failed = manifest_.segments[i].kind == kind && !outcomes_[i];
        if (failed) return std::unexpected(outcomes_[i].error());
      }
    }
    if (!tail) return std::unexpected(tail.error());
    result_.clock = std::max(result_.clock, hints.newest_clock());
    result_.records += hints.records();
    promised_ = std::max(promised_, hints.synced_upto());
    for (const Result<Scanned>& outcome : outcomes_) {
      result_.clock = std::max(result_.clock, outcome->clock);
      result_.records += outcome->records;
      promised_ = std::max(promised_, outcome->synced_upto);
    }
    if (auto ended = check_end(); !ended) return std::unexpected(ended.error());
    found_clears_.apply(keydir_, clears_);
    result_.databases = found_clears_.map();
    drain_cleared();
    result_.last_lsn = std::max({log_end_, compacted_end_, promised_});
    meter_.finish();
    return std::move(result_);
  }

 private:
  std::unexpected<Error> corrupt(const Segment& segment, std::uint64_t offset,
                                 std::string_view what) const {
    std::string message = "corrupt segment " + directory_.path() + "/" + segment.name() +
                          " at offset " + std::to_string(offset) + ": ";
    return fail(Code::corrupt, message.append(what));
  }

  static std::string lsn_range(Lsn from, Lsn to) {
    if (to < from) return "";
    return "; records with LSN " + std::to_string(from) + " to " + std::to_string(to) +
           " are affected";
  }

  // The last LSN that can be missing when `next` (0: unknown) is there again.
  static Lsn before(Lsn next) { return next == 0 ? 0 : next - 1; }

  Result<void> open_segments() {
    for (const ManifestEntry& entry : manifest_.segments) {
      const std::string name = segment_name(entry.id);
      const std::string path = directory_.path() + "/" + name;
      auto file = directory_.open(name, OpenMode::existing);
      if (!file) {
        if (file.error().code() != Code::not_found) return std::unexpected(file.error());
        return fail(Code::corrupt, "segment " + path + " is named in MANIFEST but missing");
      }
      auto size = (*file)->size();
      if (!size) return std::unexpected(size.error());
      char bytes[segment_header_bytes];
      auto got = (*file)->read_at(0, bytes);
      if (!got) return std::unexpected(got.error());
      const ParsedSegmentHeader parsed = parse_segment_header({bytes, *got});
      const char* fault = parsed.fault;
      if (fault == nullptr && parsed.header.id != entry.id) fault = "it is another segment's";
      if (fault == nullptr && parsed.header.kind != entry.kind) fault = "kind is not MANIFEST's";
      if (fault == nullptr && *size > UINT32_MAX) fault = "file is too long";
      if (fault != nullptr) {
        return fail(Code::corrupt, "corrupt segment " + path + " at offset 0: " + fault);
      }
      auto segment = std::make_shared<Segment>(parsed.header, std::move(*file), *size);
      if (entry.sealed && *size != entry.bytes) {
        return corrupt(*segment, std::min(*size, entry.bytes),
                       "length is " + std::to_string(*size) + ", should be " +
                           std::to_string(entry.bytes) + lsn_range(entry.min_lsn, entry.max_lsn));
      }
      result_.segments.push_back(std::move(segment));
    }
    return {};
  }

  static unsigned threads_for(std::uint64_t bytes) {
    const std::uint64_t useful = 1 + bytes / bytes_per_thread_min;
    return static_cast<unsigned>(
        std::min<std::uint64_t>(useful, std::max(1U, std::thread::hardware_concurrency())));
  }

  // Decides what is read how, and what MANIFEST alone says of sealed segments.
  void plan(HintLoader& hints) {
    const std::size_t count = manifest_.segments.size();
    outcomes_.resize(count);
    after_.resize(count);
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const ManifestEntry& entry = manifest_.segments[i];
      bytes += result_.segments[i]->capacity_bytes();
      if (!entry.sealed) continue;
      bool ordered = true;
      if (entry.kind == SegmentKind::log) {
        after_[i] = sealed_end_;
        ordered = entry.min_lsn > sealed_end_ || entry.records == 0;
        sealed_end_ = std::max(sealed_end_, entry.max_lsn);
      } else {
        compacted_end_ = std::max(compacted_end_, entry.max_lsn);
      }
      const auto found = ordered ? hints.plan(i, entry) : HintLoader::Found::missing;
      if (found == HintLoader::Found::bad) ++result_.hints_bad;
      if (found != HintLoader::Found::usable) to_scan_.push_back(i);
    }
    log_end_ = std::max(log_end_, sealed_end_);
    total_bytes_ = bytes;
    meter_.set_total(bytes);
  }

  // Gathers what all frames of a segment say of keys; the index gets it when it has become too
  // much. Any thread; one per segment.
  Result<Scanned> scan(const SegmentPtr& segment, Lsn after, GroupedRecords& gathered,
                       std::size_t gathered_max) {
    SegmentScanner scanner(segment, segment->capacity_bytes(), after);
    IndexFeed feed(keydir_, found_clears_, *segments_);
    Scanned scanned{.last_lsn = after};
    for (;;) {
      if (meter_.stopped()) return fail(Code::cancelled, "the log was not read to its end");
      auto found = scanner.next();
      if (!found) return std::unexpected(found.error());
      scanned.found = *found;
      scanned.offset_bytes = scanner.offset_bytes();
      scanned.next_offset_bytes = scanner.next_offset_bytes();
      scanned.fault = scanner.fault();
      meter_.add(scanned.next_offset_bytes - scanned.offset_bytes);
      if (*found == SegmentScanner::Found::end || *found == SegmentScanner::Found::damage) break;
      scanned.clock = std::max(scanned.clock, scanner.frame().clock);
      if (segment->kind() == SegmentKind::log) {
        scanned.synced_upto = std::max(scanned.synced_upto, scanner.frame().synced_upto);
      }
      if (*found == SegmentScanner::Found::seal) break;
      scanned.records += scanner.items().size();
      for (const SegmentScanner::Item& item : scanner.items()) {
        const Record& record = item.record;
        segment->counts.add_record(item.bytes, item.lsn);
        if (record.kind == RecordKind::tombstone) segment->counts.add_tombstone(item.bytes);
        const FedRecord fed{.kind = record.kind,
                            .database = record.database,
                            .lsn = item.lsn,
                            .offset_bytes = item.offset_bytes,
                            .record_bytes = item.bytes,
                            .value_bytes = record.value.size(),
                            .expire_at = record.expire_at,
                            .key = record.key};
        if (is_of_a_key(record.kind)) {
          gathered.add(segment, fed);
        } else {
          feed.add(segment, fed);
        }
      }
      if (gathered.size() >= gathered_max) gathered.feed_all(feed);
      if (segment->kind() == SegmentKind::log) {
        scanned.last_lsn = scanner.last_lsn();
        const std::uint64_t last =
            scanned.checkpoints.empty() ? 0 : scanned.checkpoints.back().offset_bytes;
        if (scanner.next_offset_bytes() - last >= checkpoint_step_bytes) {
          scanned.checkpoints.push_back({scanner.last_lsn(), scanner.next_offset_bytes()});
        }
      }
    }
    return scanned;
  }

  void drain_cleared() {
    const auto visit = [this](const Entry& entry) {
      const std::size_t index = segments_->index_of(entry.location.segment);
      segments_->at(index)->counts.remove_live(entry.location.record_bytes);
    };
    while (keydir_.drain_cleared(4096, visit) > 0) {
    }
  }

  // Any thread; one per segment.
  Result<Scanned> read_sealed(std::size_t index) {
    const ManifestEntry& entry = manifest_.segments[index];
    const SegmentPtr& segment = result_.segments[index];
    GroupedRecords records(keydir_);
    auto scanned = scan(segment, after_[index], records, sealed_records_max);
    if (!scanned) return scanned;
    IndexFeed feed(keydir_, found_clears_, *segments_);
    records.feed_all(feed);
    const SegmentCounts& counts = segment->counts;
    const char* fault = scanned->fault;
    if (scanned->found == SegmentScanner::Found::end) fault = "it ends without a seal";
    if (scanned->found == SegmentScanner::Found::seal &&
        scanned->next_offset_bytes != entry.bytes) {
      fault = "sealed too early";
    }
    if (fault == nullptr && (static_cast<std::uint64_t>(counts.records) != entry.records ||
                             counts.min_lsn != entry.min_lsn || counts.max_lsn != entry.max_lsn)) {
      fault = "its records are not those that MANIFEST speaks of";
    }
    if (fault != nullptr) {
      const Lsn from = entry.kind == SegmentKind::log
                           ? std::max(entry.min_lsn, scanned->last_lsn + 1)
                           : entry.min_lsn;
      return corrupt(*segment, scanned->offset_bytes, fault + lsn_range(from, entry.max_lsn));
    }
    segment->set_end_bytes(entry.bytes);
    segment->set_sealed();
    return scanned;
  }

  // All open segments, in their order. One thread.
  Result<void> read_tail() {
    for (std::size_t i = 0; i < manifest_.segments.size(); ++i) {
      if (manifest_.segments[i].sealed) continue;
      if (auto read = read_open(i); !read) return read;
    }
    return {};
  }

  // Segments that were open when MANIFEST was written: a row of sealed ones, the one that was being
  // written, and empty ones.
  Result<void> read_open(std::size_t index) {
    const SegmentPtr& segment = result_.segments[index];
    const std::uint64_t file_bytes = segment->capacity_bytes();
    if (result_.active != nullptr) {
      if (manifest_.clean_stop) return add_empty(segment);
      auto rest = examine_tail(*segment, segment_header_bytes, file_bytes);
      if (!rest) return std::unexpected(rest.error());
      if (rest->used_bytes != segment_header_bytes) {
        return corrupt(*result_.active, newest_.offset_bytes,
                       std::string(newest_.fault ? newest_.fault : "it ends without a seal") +
                           ", though its successor is in use" +
                           lsn_range(log_end_ + 1, std::max(promised_, before(rest->next_lsn))));
      }
      return add_empty(segment);
    }
    auto scanned = scan(segment, sealed_end_, tail_records_, tail_records_max);
    if (!scanned) return std::unexpected(scanned.error());
    sealed_end_ = scanned->last_lsn;
    log_end_ = std::max(log_end_, sealed_end_);
    promised_ = std::max(promised_, scanned->synced_upto);
    result_.clock = std::max(result_.clock, scanned->clock);
    result_.records += scanned->records;
    const bool sealed = scanned->found == SegmentScanner::Found::seal;
    const bool clean = manifest_.clean_stop && manifest_.clean_stop->segment == segment->id();
    const std::uint64_t end = sealed ? scanned->next_offset_bytes : scanned->offset_bytes;
    TailFindings rest{.used_bytes = end};
    if (!(clean && scanned->found == SegmentScanner::Found::end)) {
      auto examined = examine_tail(*segment, end, file_bytes);
      if (!examined) return std::unexpected(examined.error());
      rest = *examined;
      promised_ = std::max(promised_, rest.synced_upto);
    }
    const bool anything = end > segment_header_bytes || rest.used_bytes > end;
    if (anything && unfinished_ != nullptr) {
      return corrupt(*unfinished_, unfinished_->end_bytes(),
                     "bytes behind the seal, though its successor is in use");
    }
    segment->set_end_bytes(end);
    if (anything) {
      result_.tail = segment;
      result_.torn_bytes = rest.used_bytes - end;
      tail_checkpoints_ = std::move(scanned->checkpoints);
    }
    if (sealed) {
      segment->set_sealed();
      if (end != file_bytes) unfinished_ = segment;
    } else {
      result_.active = segment;
    }
    newest_ = std::move(*scanned);
    newest_next_lsn_ = rest.next_lsn;
    newest_segment_ = segment;
    return {};
  }

  Result<void> add_empty(const SegmentPtr& segment) {
    if (result_.prepared == nullptr) {
      result_.prepared = segment;
    } else {
      result_.unneeded.push_back(segment);
    }
    return {};
  }

  Result<void> check_end() {
    assert(newest_segment_ != nullptr);  // the manifest's parser refuses one without
    if (promised_ > log_end_) {
      const char* fault = newest_.fault != nullptr ? newest_.fault : "the log ends too early";
      return corrupt(
          *newest_segment_, newest_.offset_bytes,
          fault + lsn_range(log_end_ + 1, std::max(promised_, before(newest_next_lsn_))));
    }
    if (manifest_.clean_stop) {
      const CleanStop& stop = *manifest_.clean_stop;
      if (result_.active == nullptr || result_.active->id() != stop.segment ||
          result_.active->end_bytes() != stop.offset_bytes || result_.torn_bytes != 0) {
        return corrupt(*newest_segment_, newest_.offset_bytes,
                       "the log does not end where it was closed, at offset " +
                           std::to_string(stop.offset_bytes) + " of segment " +
                           segment_name(stop.segment));
      }
      result_.tail = nullptr;
      return {};
    }
    result_.unsure_from_bytes = segment_header_bytes;
    for (const Checkpoint& checkpoint : tail_checkpoints_) {
      if (checkpoint.last_lsn <= promised_) result_.unsure_from_bytes = checkpoint.offset_bytes;
    }
    return {};
  }

  Directory& directory_;
  const Manifest& manifest_;
  Keydir& keydir_;
  Clears& clears_;
  LoadMeter& meter_;
  FoundClears found_clears_;
  GroupedRecords tail_records_{keydir_};
  const SegmentTable* segments_ = nullptr;  // those of result_
  Recovered result_;

  // Constant while threads run.
  std::vector<std::size_t> to_scan_;  // sealed segments without a usable hint
  std::vector<Lsn> after_;            // per sealed log segment: the greatest LSN before it
  std::uint64_t total_bytes_ = 0;
  Lsn compacted_end_ = 0;  // the greatest LSN in compacted segments

  // Of sealed segments that were scanned; each written by one thread.
  std::vector<Result<Scanned>> outcomes_;

  // Written by the one thread that reads the tail, and after it.
  Lsn promised_ = 0;    // the highest LSN that anything says is durable
  Lsn log_end_ = 0;     // the greatest LSN of the log, dropped segments included
  Lsn sealed_end_ = 0;  // the greatest LSN in log segments before the one that is read

  // The last open segment that was scanned: the newest one.
  SegmentPtr newest_segment_;
  Scanned newest_;
  Lsn newest_next_lsn_ = 0;
  SegmentPtr unfinished_;  // sealed, but not cut to its length
  std::vector<Checkpoint> tail_checkpoints_;
};

// Writes a range again as it is. After a sync that failed, the kernel takes pages for clean that
// never reached the disk: reading them back proves nothing, and only writing makes them dirty.
Result<void> write_again(File& file, std::uint64_t from_bytes, std::uint64_t to_bytes) {
  std::string buffer;
  for (std::uint64_t at = from_bytes; at < to_bytes;) {
    const std::uint64_t wanted = std::min<std::uint64_t>(limits::scan_read_bytes, to_bytes - at);
    buffer.resize(static_cast<std::size_t>(wanted));
    auto got = file.read_at(at, buffer);
    if (!got) return std::unexpected(got.error());
    if (*got != buffer.size()) return fail(Code::io, "the log shrank while it was being opened");
    if (auto written = file.write_at(at, buffer); !written) return written;
    at += wanted;
  }
  return {};
}

}  // namespace

Result<Recovered> recover(Directory& directory, const Manifest& manifest, Keydir& keydir,
                          Clears& clears, LoadMeter& meter, unsigned threads) {
  keydir.begin_recovery();
  auto recovered = Recovery(directory, manifest, keydir, clears, meter).run(threads);
  keydir.end_recovery();
  return recovered;
}

Result<void> repair(Recovered& recovered, std::uint64_t segment_bytes) {
  if (recovered.tail != nullptr) {
    Segment& tail = *recovered.tail;
    const std::uint64_t end = tail.end_bytes();
    // Durable before anything is appended: what lies behind the cut must not come back behind a
    // frame that happens to end where it begins.
    if (recovered.torn_bytes > 0 || tail.sealed()) {
      if (auto cut = tail.file().truncate(end); !cut) return cut;
      tail.set_capacity_bytes(end);
    }
    if (auto again = write_again(tail.file(), recovered.unsure_from_bytes, end); !again) {
      return again;
    }
    if (auto synced = tail.file().sync_data(); !synced) return synced;
  }
  for (const SegmentPtr& segment : {recovered.active, recovered.prepared}) {
    if (segment == nullptr || segment->capacity_bytes() >= segment_bytes) continue;
    // Only an optimisation: without the space, appends fail later, and say so.
    (void)segment->file().preallocate(segment_bytes);
    segment->set_capacity_bytes(segment_bytes);
  }
  return {};
}

}  // namespace kvs::log
