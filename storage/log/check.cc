#include "storage/log/check.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "storage/database_map.h"
#include "storage/limits.h"
#include "storage/log/check_hint.h"
#include "storage/log/clears.h"
#include "storage/log/hint.h"
#include "storage/log/keydir.h"
#include "storage/log/load_meter.h"
#include "storage/log/recovery.h"
#include "storage/printable.h"

namespace kvs {

std::string to_text(const Damage& damage) {
  std::string text = damage.file;
  if (damage.bytes > 0 || damage.offset_bytes > 0) {
    text += " at offset " + std::to_string(damage.offset_bytes);
    if (damage.bytes > 0) text += ", " + std::to_string(damage.bytes) + " bytes";
  }
  if (!text.empty()) text += ": ";
  text += damage.what;
  if (damage.first_lsn != 0 || damage.last_lsn != 0) {
    text += "; LSN " + std::to_string(damage.first_lsn);
    text += damage.last_lsn < damage.first_lsn ? " and above"
                                               : " to " + std::to_string(damage.last_lsn);
  }
  if (!damage.key.empty()) text += "; key " + damage.key;
  return text;
}

}  // namespace kvs

namespace kvs::log {
namespace {

constexpr std::size_t manifest_bytes_max = std::size_t{256} << 20;
constexpr std::size_t marker_bytes_max = 64;

class Check {
 public:
  explicit Check(Directory& directory) : directory_(directory) {}

  Result<CheckReport> run() {
    auto names = directory_.list();
    if (!names) return std::unexpected(names.error());
    for (const std::string& name : *names) {
      if (const auto id = parse_segment_name(name)) present_.insert(*id);
    }
    auto marker = read_marker(directory_);
    if (!marker) return std::unexpected(marker.error());
    auto text = read_file(directory_, manifest_name, manifest_bytes_max);
    const bool no_manifest = !text && text.error().code() == Code::not_found;
    if (!text && !no_manifest && text.error().code() != Code::corrupt) {
      return std::unexpected(text.error());
    }
    if (no_manifest && present_.empty()) {
      return fail(Code::not_found, "there is no log of engine kvs in " + directory_.path());
    }
    if (*marker != Marker::ours) {
      add({.file = "ENGINE",
           .what = *marker == Marker::missing ? "is missing" : "is not readable as a marker"});
    }
    Result<Manifest> manifest = fail(Code::corrupt, "MANIFEST is missing");
    if (!no_manifest) manifest = text ? parse_manifest(*text) : fail(Code::corrupt, "is too long");
    if (!manifest) {
      add({.file = std::string(manifest_name), .what = manifest.error().message()});
      report_.refusal = directory_.path() + "/" + manifest.error().message();
    }
    if (auto surveyed = survey_all(manifest ? &*manifest : nullptr); !surveyed) {
      return std::unexpected(surveyed.error());
    }
    name_databases();
    if (manifest) {
      if (auto judged = judge(*manifest); !judged) return std::unexpected(judged.error());
    }
    report_.damages_count = std::max<std::uint64_t>(report_.damages_count, report_.damages.size());
    if (report_.damages_count > 0) report_.verdict = Verdict::corrupt;
    return std::move(report_);
  }

 private:
  void add(Damage damage) {
    ++report_.damages_count;
    if (report_.damages.size() < check_damages_max) report_.damages.push_back(std::move(damage));
  }

  void add(const std::string& file, const BadPlace& place) {
    Damage damage{.file = file,
                  .offset_bytes = place.offset_bytes,
                  .bytes = place.bytes,
                  .first_lsn = place.first_lsn,
                  .last_lsn = place.last_lsn,
                  .what = place.fault};
    if (place.key_readable) {
      damage.key = printable(place.key);
      stored_in_.emplace(report_.damages.size(), place.database);
    }
    add(std::move(damage));
  }

  // Which database a key is of is known when the newest swap is.
  void name_databases() {
    for (std::size_t i = 0; i < report_.damages.size(); ++i) {
      const auto stored = stored_in_.find(i);
      if (stored == stored_in_.end()) continue;
      report_.damages[i].key += " of database " + std::to_string(databases_.named(stored->second));
    }
  }

  Result<void> survey_all(const Manifest* manifest) {
    if (manifest == nullptr) {
      for (const SegmentId id : present_) {
        if (auto surveyed = survey({.id = id}, false); !surveyed) return surveyed;
      }
      return {};
    }
    for (const ManifestEntry& entry : manifest->segments) {
      if (auto surveyed = survey(entry, true); !surveyed) return surveyed;
      present_.erase(entry.id);
    }
    report_.leftover_files = present_.size();
    return {};
  }

  // `named`: MANIFEST speaks of it, and what it says counts.
  Result<void> survey(const ManifestEntry& entry, bool named) {
    const std::string name = segment_name(entry.id);
    const bool sealed = named && entry.sealed;
    auto file = directory_.open(name, OpenMode::read_only);
    if (!file) {
      if (file.error().code() != Code::not_found) return std::unexpected(file.error());
      add({.file = name,
           .first_lsn = entry.min_lsn,
           .last_lsn = entry.max_lsn,
           .what = "named in MANIFEST but missing"});
      return {};
    }
    ++report_.segments;
    const std::uint64_t damages_before = report_.damages_count;
    const ForgivingFile forgiving(**file);
    auto size = forgiving.size();
    if (!size) return std::unexpected(size.error());
    report_.bytes += *size;
    auto identity = identify_segment(forgiving, entry.id);
    if (!identity) return std::unexpected(identity.error());
    if (named && identity->fault == nullptr && identity->kind != entry.kind) {
      identity->fault = "kind is not MANIFEST's";
    }
    if (identity->fault != nullptr) {
      add({.file = name,
           .bytes = segment_header_bytes,
           .first_lsn = entry.min_lsn,
           .last_lsn = entry.max_lsn,
           .what = identity->fault});
    }
    if (sealed && *size != entry.bytes) {
      add({.file = name,
           .offset_bytes = std::min(*size, entry.bytes),
           .first_lsn = entry.min_lsn,
           .last_lsn = entry.max_lsn,
           .what = "length is " + std::to_string(*size) + ", should be " +
                   std::to_string(entry.bytes)});
    }
    if (identity->readable) {
      if (auto walked = walk(name, forgiving, *identity, *size, sealed ? &entry : nullptr);
          !walked) {
        return walked;
      }
    }
    if (sealed && identity->fault == nullptr && report_.damages_count == damages_before) {
      if (auto compared = compare_hint(forgiving, entry.id); !compared) return compared;
    }
    if (forgiving.first_error()) {
      add({.file = name, .what = forgiving.first_error()->message()});
    }
    return {};
  }

  Result<void> walk(const std::string& name, const File& file, const SegmentIdentity& identity,
                    std::uint64_t file_bytes, const ManifestEntry* sealed) {
    const std::uint64_t damages_before = report_.damages_count;
    SegmentCounts counts;
    SegmentSurvey survey(file, identity, file_bytes);
    Lsn last_lsn = 0;
    std::uint64_t seal_end = 0;
    for (;;) {
      auto found = survey.next();
      if (!found) return std::unexpected(found.error());
      for (BadPlace place : survey.bad()) {
        if (*found == SegmentSurvey::Found::gap) place.first_lsn = 0;
        add(name, place);
      }
      if (*found == SegmentSurvey::Found::end) break;
      if (*found == SegmentSurvey::Found::gap) continue;
      const FrameHeader& frame = survey.frame();
      if (seal_end != 0) {
        add({.file = name,
             .offset_bytes = survey.offset_bytes(),
             .bytes = survey.next_offset_bytes() - survey.offset_bytes(),
             .what = "a frame behind the seal"});
      }
      if (identity.kind == SegmentKind::log) {
        if (frame.first_lsn <= last_lsn) {
          add({.file = name,
               .offset_bytes = survey.offset_bytes(),
               .first_lsn = frame.first_lsn,
               .last_lsn = frame.first_lsn,
               .what = "LSN out of order"});
        }
        last_lsn = frame.first_lsn + (frame.is_seal() ? 0 : frame.records - 1);
      }
      if (*found == SegmentSurvey::Found::seal) {
        seal_end = survey.next_offset_bytes();
        continue;
      }
      ++report_.frames;
      for (const SegmentSurvey::Item& item : survey.items()) {
        counts.add_record(item.bytes, item.lsn);
        const RecordKind kind = item.record.kind;
        ++(kind == RecordKind::value       ? report_.values
           : kind == RecordKind::tombstone ? report_.tombstones
           : kind == RecordKind::clear     ? report_.clears
                                           : report_.swaps);
        if (kind != RecordKind::swap || item.lsn < swapped_) continue;
        swapped_ = item.lsn;
        databases_ = *DatabaseMap::parse(item.record.key);
      }
    }
    // What has been named is not named again by its consequences.
    if (sealed == nullptr || report_.damages_count != damages_before) return {};
    if (seal_end == 0) {
      add({.file = name, .offset_bytes = survey.offset_bytes(), .what = "it ends without a seal"});
    } else if (seal_end != sealed->bytes) {
      add({.file = name, .offset_bytes = seal_end, .what = "sealed too early"});
    } else if (static_cast<std::uint64_t>(counts.records) != sealed->records ||
               counts.min_lsn != sealed->min_lsn || counts.max_lsn != sealed->max_lsn) {
      add({.file = name, .what = "its records are not those that MANIFEST speaks of"});
    }
    return {};
  }

  Result<void> compare_hint(const File& file, SegmentId id) {
    auto verdict = check_hint(directory_, file, id);
    if (!verdict) return std::unexpected(verdict.error());
    switch (verdict->kind) {
      case HintVerdict::Kind::missing:
        break;
      case HintVerdict::Kind::right:
        ++report_.hints;
        break;
      case HintVerdict::Kind::unusable:
        report_.unusable_hints.push_back(hint_name(id) + ": " + verdict->fault);
        break;
      case HintVerdict::Kind::wrong:
        add({.file = hint_name(id), .what = verdict->fault});
        break;
    }
    return {};
  }

  // What recovery says: whether it opens, and what it would cut off.
  Result<void> judge(const Manifest& manifest) {
    Keydir keydir(manifest.hash_key, 0);
    Clears clears;
    LoadMeter meter({}, {}, keydir);
    auto recovered = recover(directory_, manifest, keydir, clears, meter, 1);
    if (!recovered) {
      if (recovered.error().code() == Code::corrupt) {
        report_.refusal = recovered.error().message();
        // Something that only the whole shows: the log ends before what was known to be durable.
        if (report_.damages_count == 0) add({.what = recovered.error().message()});
        return {};
      }
      // What cannot be read was named by the survey.
      if (report_.damages_count > 0) {
        report_.refusal = recovered.error().message();
        return {};
      }
      return std::unexpected(recovered.error());
    }
    report_.last_lsn = recovered->last_lsn;
    for (const SegmentPtr& segment : recovered->segments) {
      const SegmentCounts& counts = segment->counts;
      report_.live_bytes +=
          static_cast<std::uint64_t>(std::max<std::int64_t>(0, counts.live_bytes));
      report_.dead_bytes +=
          static_cast<std::uint64_t>(std::max<std::int64_t>(0, counts.dead_bytes()));
    }
    for (unsigned database = 0; database < databases_count; ++database) {
      report_.keys += keydir.keys(static_cast<Database>(database));
    }
    if (recovered->torn_bytes > 0) {
      tear(*recovered->tail, recovered->torn_bytes);
    }
    // After a clean stop recovery does not look behind the end, since nothing there can count.
    if (recovered->active != nullptr) tear(*recovered->active, 0);
    if (recovered->prepared != nullptr) tear(*recovered->prepared, 0);
    return {};
  }

  // Whatever was found behind the end of `segment` is a torn tail.
  void tear(const Segment& segment, std::uint64_t torn_bytes) {
    const std::uint64_t end = segment.end_bytes();
    const std::size_t erased = std::erase_if(report_.damages, [&](const Damage& damage) {
      if (damage.file != segment.name() || damage.offset_bytes < end) return false;
      torn_bytes = std::max(torn_bytes, damage.offset_bytes + damage.bytes - end);
      return true;
    });
    report_.damages_count -= erased;
    if (torn_bytes == 0 || report_.verdict == Verdict::torn_tail) return;
    report_.verdict = Verdict::torn_tail;
    report_.torn_file = segment.name();
    report_.torn_offset_bytes = end;
    report_.torn_bytes = torn_bytes;
  }

  Directory& directory_;
  std::set<SegmentId> present_;
  std::map<std::size_t, Database> stored_in_;  // the databases of the keys in report_.damages
  Lsn swapped_ = 0;                            // of the newest swap
  DatabaseMap databases_;                      // as it says
  CheckReport report_;
};

}  // namespace

Result<std::unique_ptr<File>> ReadOnlyDirectory::open(std::string_view name, OpenMode mode) {
  if (mode != OpenMode::existing && mode != OpenMode::read_only) {
    return fail(Code::read_only, "opened for reading only");
  }
  return directory_.open(name, OpenMode::read_only);
}

Result<std::unique_ptr<DirectoryLock>> ReadOnlyDirectory::lock(std::string_view) {
  return fail(Code::read_only, "opened for reading only");
}

Result<Marker> read_marker(Directory& directory) {
  auto text = read_file(directory, "ENGINE", marker_bytes_max);
  if (!text && text.error().code() == Code::not_found) return Marker::missing;
  if (!text && text.error().code() == Code::corrupt) return Marker::damaged;
  if (!text) return std::unexpected(text.error());
  if (*text == engine_marker) return Marker::ours;
  // Another engine's name, and not ours with one byte changed?
  const std::size_t space = text->find(' ');
  const bool shaped = space != std::string::npos && space > 0 && text->back() == '\n';
  std::size_t changed = 0;
  for (std::size_t i = 0; i < std::min(text->size(), engine_marker.size()); ++i) {
    if ((*text)[i] != engine_marker[i]) ++changed;
  }
  if (shaped && (changed > 1 || text->size() != engine_marker.size())) {
    return fail(Code::wrong_engine, "directory " + directory.path() + " was written by engine " +
                                        printable(text->substr(0, text->size() - 1)));
  }
  return Marker::damaged;
}

Result<CheckReport> check(Directory& directory) {
  ReadOnlyDirectory reading(directory);
  return Check(reading).run();
}

}  // namespace kvs::log
