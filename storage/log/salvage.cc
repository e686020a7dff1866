#include "storage/log/salvage.h"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "storage/database_map.h"
#include "storage/limits.h"
#include "storage/log/catalog.h"
#include "storage/log/compaction_output.h"
#include "storage/log/copy_file.h"
#include "storage/log/survey.h"
#include "storage/printable.h"

namespace kvs::log {
namespace {

constexpr std::string_view plan_name = "SALVAGE";
constexpr std::string_view report_name = "REPORT.txt";
constexpr std::string_view plan_version = "kvs-salvage 1";
constexpr std::string_view lost_line = "Result: records were lost.";
constexpr std::size_t small_file_bytes_max = std::size_t{64} << 20;
constexpr std::size_t manifest_bytes_max = std::size_t{256} << 20;
constexpr std::uint64_t first_capacity_bytes = 4096;  // the next open makes it as long as it likes

using NamedKey = std::pair<Database, std::string>;

// One damaged place that held, or may have held, records.
struct Loss {
  std::string file;
  BadPlace place;
};

// A file of the log as the survey found it.
struct Source {
  ManifestEntry entry;  // as in MANIFEST, or made up
  std::string name;
  bool present = false;
  bool perfect = false;  // stays as it is
  bool empty = false;    // no records were ever in it
  std::shared_ptr<File> file;
  std::uint64_t file_bytes = 0;
  SegmentIdentity identity;
  // Of its readable records.
  SegmentCounts counts;
};

// What tells one run from the next, if it was interrupted.
struct Plan {
  std::string quarantine;
  SegmentId first_id = 0;
};

std::string encode_plan(const Plan& plan) {
  return std::string(plan_version) + "\nquarantine " + plan.quarantine + "\nfirst-segment " +
         std::to_string(plan.first_id) + "\n";
}

std::optional<Plan> parse_plan(std::string_view text) {
  const std::string head = std::string(plan_version) + "\nquarantine ";
  if (!text.starts_with(head) || text.back() != '\n') return std::nullopt;
  text.remove_prefix(head.size());
  Plan plan;
  plan.quarantine = text.substr(0, text.find('\n'));
  text.remove_prefix(plan.quarantine.size());
  constexpr std::string_view word = "\nfirst-segment ";
  if (!text.starts_with(word) || plan.quarantine.find('/') != std::string::npos) {
    return std::nullopt;
  }
  text.remove_prefix(word.size());
  const char* const end = text.data() + text.size() - 1;
  const auto [stop, error] = std::from_chars(text.data(), end, plan.first_id);
  if (error != std::errc() || stop != end || plan.first_id == 0) return std::nullopt;
  return plan;
}

std::string quarantine_name(UnixMs now) {
  const auto seconds = static_cast<std::time_t>(now / 1000);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[64] = "";
  std::strftime(text, sizeof text, "quarantine-%Y%m%dT%H%M%SZ", &parts);
  return text;
}

class Salvage {
 public:
  Salvage(Fs& fs, const std::filesystem::path& path, Directory& directory, UnixMs now)
      : fs_(fs), path_(path), directory_(directory), now_(now), newest_clock_(now) {}

  Result<SalvageReport> run() {
    auto marker = read_marker(directory_);
    if (!marker) return std::unexpected(marker.error());
    if (auto read = read_manifest(); !read) return std::unexpected(read.error());
    auto finished = settle_earlier_run();
    if (!finished) return std::unexpected(finished.error());
    if (*finished) return std::move(report_);
    auto checked = check(directory_);
    if (!checked) return std::unexpected(checked.error());
    if (checked->verdict != Verdict::corrupt) {
      report_.text = "The log opens as it is; nothing was changed.\n";
      return std::move(report_);
    }
    refusal_ = checked->refusal;
    for (const Damage& damage : checked->damages) found_.push_back(to_text(damage));
    found_count_ = checked->damages_count;

    if (auto surveyed = survey_all(); !surveyed) return std::unexpected(surveyed.error());
    if (auto planned = make_plan(); !planned) return std::unexpected(planned.error());
    if (auto done = replace(*marker != Marker::ours); !done) return std::unexpected(done.error());
    return std::move(report_);
  }

 private:
  Result<void> read_manifest() {
    auto text = read_file(directory_, manifest_name, manifest_bytes_max);
    if (!text && text.error().code() != Code::not_found && text.error().code() != Code::corrupt) {
      return std::unexpected(text.error());
    }
    if (!text) return {};
    if (auto manifest = parse_manifest(*text)) manifest_ = std::move(*manifest);
    return {};
  }

  // Finishes a run that has come as far as its swap, and returns true; takes back one that has not.
  Result<bool> settle_earlier_run() {
    auto text = read_file(directory_, plan_name, small_file_bytes_max);
    if (!text && text.error().code() == Code::not_found) return false;
    if (!text) return std::unexpected(text.error());
    plan_ = parse_plan(*text);
    if (!plan_) return false;
    const bool swapped =
        manifest_ && std::any_of(manifest_->segments.begin(), manifest_->segments.end(),
                                 [this](const auto& e) { return e.id >= plan_->first_id; });
    if (!swapped) {
      auto names = directory_.list();
      if (!names) return std::unexpected(names.error());
      for (const std::string& name : *names) {
        const auto id = parse_segment_name(name);
        if (!id || *id < plan_->first_id) continue;
        if (auto removed = directory_.remove(name); !removed) {
          return std::unexpected(removed.error());
        }
      }
      return false;
    }
    auto quarantine = fs_.open_directory(path_ / plan_->quarantine);
    if (!quarantine) return std::unexpected(quarantine.error());
    auto written = read_file(**quarantine, report_name, small_file_bytes_max);
    if (!written) return std::unexpected(written.error());
    report_.quarantine = (*quarantine)->path();
    report_.text = std::move(*written);
    const bool lost = report_.text.find(lost_line) != std::string::npos;
    report_.outcome = lost ? SalvageReport::Outcome::lost : SalvageReport::Outcome::nothing_lost;
    if (lost)
      report_.losses.push_back("see " + report_.quarantine + "/" + std::string(report_name));
    auto kept = (*quarantine)->list();
    if (!kept) return std::unexpected(kept.error());
    if (auto tidied = tidy(*kept); !tidied) return std::unexpected(tidied.error());
    return true;
  }

  // --- finding out what is there ---

  Result<void> survey_all() {
    auto names = directory_.list();
    if (!names) return std::unexpected(names.error());
    std::set<SegmentId> present;
    for (const std::string& name : *names) {
      if (const auto id = parse_segment_name(name)) present.insert(*id);
    }
    if (!present.empty()) next_id_ = std::max(next_id_, *present.rbegin() + 1);
    if (manifest_) {
      // Files that it does not name are no part of the log: an old segment among them could bring
      // back what was deleted.
      next_id_ = std::max(next_id_, manifest_->next_id);
      last_lsn_ = std::max(manifest_->durable, manifest_->dropped);
      newest_clock_ = std::max(newest_clock_, manifest_->clock);
      for (const ManifestEntry& entry : manifest_->segments) {
        last_lsn_ = std::max(last_lsn_, entry.max_lsn);
        sources_.push_back(std::make_unique<Source>());
        sources_.back()->entry = entry;
      }
    } else {
      for (const SegmentId id : present) {
        sources_.push_back(std::make_unique<Source>());
        sources_.back()->entry.id = id;
      }
    }
    for (const auto& source : sources_) {
      source->name = segment_name(source->entry.id);
      if (auto surveyed = survey(*source); !surveyed) return surveyed;
    }
    order_log();
    bound_losses();
    return {};
  }

  Result<void> survey(Source& source) {
    auto file = directory_.open(source.name, OpenMode::read_only);
    if (!file) {
      if (file.error().code() != Code::not_found) return std::unexpected(file.error());
      lose(source, {.first_lsn = source.entry.min_lsn,
                    .last_lsn = source.entry.max_lsn,
                    .fault = "the file is missing"});
      return {};
    }
    source.present = true;
    source.file = std::move(*file);
    const ForgivingFile forgiving(*source.file);
    auto size = forgiving.size();
    if (!size) return std::unexpected(size.error());
    source.file_bytes = *size;
    auto identity = identify_segment(forgiving, source.entry.id);
    if (!identity) return std::unexpected(identity.error());
    source.identity = *identity;
    if (!manifest_) source.entry.kind = identity->kind;
    if (!identity->readable) {
      auto empty = only_zeros(forgiving, *size);
      if (!empty) return std::unexpected(empty.error());
      source.empty = *empty;
      if (!source.empty) {
        lose(source, {.bytes = *size,
                      .first_lsn = source.entry.min_lsn,
                      .last_lsn = source.entry.max_lsn,
                      .fault = identity->fault});
      }
      return {};
    }
    const std::size_t losses_before = losses_.size();
    bool good = identity->fault == nullptr && identity->kind == source.entry.kind;
    bool sealed = false;
    Lsn last = 0;
    SegmentSurvey survey(forgiving, source.identity, *size);
    for (;;) {
      auto found = survey.next();
      if (!found) return std::unexpected(found.error());
      for (const BadPlace& place : survey.bad()) lose(source, place);
      if (*found == SegmentSurvey::Found::end) break;
      if (*found == SegmentSurvey::Found::gap) continue;
      const FrameHeader& frame = survey.frame();
      newest_clock_ = std::max(newest_clock_, frame.clock);
      last_lsn_ = std::max(last_lsn_, frame.synced_upto);
      if (sealed) good = false;
      if (identity->kind == SegmentKind::log) {
        if (frame.first_lsn <= last) good = false;
        const Lsn first = frame.first_lsn;
        // Gaps in front of this frame held what is between the last one's LSNs and its own.
        for (std::size_t i = losses_before; i < losses_.size(); ++i) {
          BadPlace& place = losses_[i].place;
          if (place.last_lsn != 0 || place.first_lsn != 0) continue;
          if (place.offset_bytes >= survey.offset_bytes()) continue;
          place.first_lsn = last + 1;
          place.last_lsn = first - 1;
        }
        last = first + (frame.is_seal() ? 0 : frame.records - 1);
        last_lsn_ = std::max(last_lsn_, last);
      }
      if (*found == SegmentSurvey::Found::seal) {
        sealed = survey.next_offset_bytes() == *size;
        continue;
      }
      for (const SegmentSurvey::Item& item : survey.items()) {
        source.counts.add_record(item.bytes, item.lsn);
        last_lsn_ = std::max(last_lsn_, item.lsn);
        if (item.record.kind != RecordKind::swap || item.lsn < swapped_) continue;
        swapped_ = item.lsn;
        databases_ = *DatabaseMap::parse(item.record.key);
      }
    }
    if (forgiving.first_error()) good = false;
    const auto records = static_cast<std::uint64_t>(source.counts.records);
    const ManifestEntry& entry = source.entry;
    const bool described = entry.records == records && entry.min_lsn == source.counts.min_lsn &&
                           entry.max_lsn == source.counts.max_lsn;
    if (manifest_ && entry.sealed && described) {
      // All its records are here: what is damaged is a seal, or bytes behind it.
      losses_.resize(losses_before);
    } else if (manifest_ && entry.sealed && losses_.size() == losses_before) {
      lose(source, {.offset_bytes = *size,
                    .first_lsn = std::max<Lsn>(entry.min_lsn, source.counts.max_lsn + 1),
                    .last_lsn = entry.max_lsn,
                    .fault = "records that MANIFEST speaks of are missing"});
    }
    source.empty = records == 0 && losses_.size() == losses_before && good;
    source.perfect = good && sealed && records > 0 && losses_.size() == losses_before;
    if (manifest_ && entry.sealed && !(described && *size == entry.bytes)) source.perfect = false;
    return {};
  }

  static Result<bool> only_zeros(const File& file, std::uint64_t file_bytes) {
    FileWindow window(file, file_bytes);
    for (std::uint64_t at = segment_header_bytes; at < file_bytes;) {
      auto bytes = window.view(at, limits::scan_read_bytes);
      if (!bytes) return std::unexpected(bytes.error());
      if (bytes->empty()) break;
      if (bytes->find_first_not_of('\0') != std::string_view::npos) return false;
      at += bytes->size();
    }
    return true;
  }

  void lose(const Source& source, BadPlace place) {
    losses_.push_back({source.name, std::move(place)});
    if (losses_.back().place.key_readable) {
      named_[{losses_.back().place.database, losses_.back().place.key}] = 0;
    }
  }

  // Log segments that stay must follow one another.
  void order_log() {
    std::stable_sort(sources_.begin(), sources_.end(), [](const auto& a, const auto& b) {
      return a->counts.min_lsn < b->counts.min_lsn;
    });
    Lsn last = 0;
    for (const auto& source : sources_) {
      if (!source->perfect || source->identity.kind != SegmentKind::log) continue;
      if (source->counts.min_lsn <= last) source->perfect = false;
      last = std::max<Lsn>(last, source->counts.max_lsn);
    }
  }

  // What was lost at the end of a segment lies before what the next one begins with.
  void bound_losses() {
    const Lsn promised = last_lsn_;
    for (Loss& loss : losses_) {
      BadPlace& place = loss.place;
      if (place.first_lsn != 0 || place.last_lsn != 0) continue;
      const auto of = std::find_if(sources_.begin(), sources_.end(),
                                   [&](const auto& source) { return source->name == loss.file; });
      const Source& source = **of;
      if (source.identity.kind != SegmentKind::log) {
        place.first_lsn = source.entry.min_lsn;
        place.last_lsn = source.entry.max_lsn;
        continue;
      }
      const Lsn last = source.counts.max_lsn;
      Lsn next = promised + 1;
      for (const auto& other : sources_) {
        const Lsn lowest = other->counts.min_lsn;
        if (other->identity.kind == SegmentKind::log && lowest > last)
          next = std::min(next, lowest);
      }
      place.first_lsn = last + 1;
      place.last_lsn = next - 1;
    }
    // A gap between two frames whose LSNs follow one another held no record: a seal, say.
    std::erase_if(losses_, [this](const Loss& loss) {
      const BadPlace& place = loss.place;
      return place.first_lsn != 0 && place.last_lsn < place.first_lsn &&
             place.first_lsn <= last_lsn_;
    });
  }

  // --- making it whole ---

  Result<void> make_plan() {
    if (!plan_) {
      const std::string base = quarantine_name(now_);
      std::string name = base;
      for (int number = 2;; ++number) {
        auto existing = fs_.open_directory(path_ / name);
        if (!existing && existing.error().code() == Code::not_found) break;
        name = base + "-" + std::to_string(number);
      }
      plan_ = Plan{.quarantine = name, .first_id = next_id_};
      Health unused;  // nothing depends on it yet
      auto written = replace_file(directory_, plan_name, encode_plan(*plan_), unused);
      if (!written) return written;
    }
    next_id_ = std::max(next_id_, plan_->first_id);
    if (auto made = fs_.create_directory(path_ / plan_->quarantine); !made) return made;
    auto opened = fs_.open_directory(path_ / plan_->quarantine);
    if (!opened) return std::unexpected(opened.error());
    quarantine_ = std::move(*opened);
    report_.quarantine = quarantine_->path();
    return {};
  }

  Result<void> replace(bool write_marker) {
    Progress progress;
    progress.synced = last_lsn_;
    progress.committed = last_lsn_;
    Health health;
    const HashKey hash_key = manifest_ ? manifest_->hash_key : HashKey::random();
    const auto clock = [this] { return newest_clock_; };
    Catalog catalog(directory_, hash_key, progress, health, clock);
    std::vector<SegmentPtr> kept;
    for (const auto& source : sources_) {
      if (!source->perfect) continue;
      auto segment = adopt(*source);
      if (!segment) return std::unexpected(segment.error());
      kept.push_back(std::move(*segment));
    }
    report_.segments_kept = kept.size();
    catalog.adopt(std::move(kept), next_id_, last_lsn_);

    CompactionOutput output(catalog, limits::segment_bytes_default, 1, clock);
    for (const auto& source : sources_) {
      if (auto rescued = rescue(*source, output); !rescued) return rescued;
    }
    if (auto finished = output.finish(); !finished) return finished;
    auto log = catalog.create(SegmentKind::log, first_capacity_bytes);
    if (!log) return std::unexpected(log.error());
    std::vector<SegmentPtr> added = output.segments();
    added.push_back(*log);

    std::vector<std::string> replaced;
    auto preserved = keep(replaced, write_marker);
    if (!preserved) return preserved;
    if (write_marker) {
      auto marked = replace_file(directory_, "ENGINE", engine_marker, health);
      if (!marked) return marked;
    }
    if (auto swapped = catalog.change(added, {}); !swapped) return swapped;
    return tidy(replaced);
  }

  static Result<SegmentPtr> adopt(const Source& source) {
    char bytes[segment_header_bytes];
    auto got = source.file->read_at(0, bytes);
    if (!got) return std::unexpected(got.error());
    const ParsedSegmentHeader parsed = parse_segment_header({bytes, *got});
    if (parsed.fault != nullptr) return fail(Code::io, source.name + " changed while it was read");
    // Nobody reads through this one: what counts is what MANIFEST says of it.
    auto segment = std::make_shared<Segment>(
        parsed.header, std::make_unique<ForgivingFile>(*source.file), source.file_bytes);
    const SegmentCounts& counts = source.counts;
    segment->counts.add_records(static_cast<std::uint64_t>(counts.records),
                                static_cast<std::uint64_t>(counts.record_bytes), counts.min_lsn,
                                counts.max_lsn);
    segment->set_end_bytes(source.file_bytes);
    segment->set_sealed();
    return segment;
  }

  // Copies what is readable of a damaged segment; notes the newest record of every key that a
  // damaged record seems to name, wherever it lies.
  Result<void> rescue(const Source& source, CompactionOutput& output) {
    if (!source.present || !source.identity.readable || source.empty) return {};
    if (source.perfect && named_.empty()) return {};
    if (!source.perfect) ++report_.segments_rewritten;
    const ForgivingFile forgiving(*source.file);
    SegmentSurvey survey(forgiving, source.identity, source.file_bytes);
    for (;;) {
      auto found = survey.next();
      if (!found) return std::unexpected(found.error());
      if (*found == SegmentSurvey::Found::end) return {};
      if (*found != SegmentSurvey::Found::frame) continue;
      for (const SegmentSurvey::Item& item : survey.items()) {
        note(item);
        if (source.perfect) continue;
        Record record = item.record;
        record.own_lsn = item.lsn;
        if (auto added = output.add(record); !added) return added;
        ++report_.records_rescued;
      }
    }
  }

  void note(const SegmentSurvey::Item& item) {
    if (named_.empty() || item.record.key.size() > survey_key_bytes_max) return;
    if (!is_of_a_key(item.record.kind)) return;
    const auto named = named_.find({item.record.database, std::string(item.record.key)});
    if (named != named_.end()) named->second = std::max(named->second, item.lsn);
  }

  // Second names for what is replaced, the old MANIFEST, and the report.
  Result<void> keep(std::vector<std::string>& replaced, bool marker_damaged) {
    for (const auto& source : sources_) {
      if (source->perfect || !source->present) continue;
      replaced.push_back(source->name);
      if (auto kept = keep_file(source->name); !kept) return kept;
    }
    for (const std::string_view name : {manifest_name, std::string_view("ENGINE")}) {
      if (name == "ENGINE" && !marker_damaged) continue;
      auto kept = keep_file(name);
      if (!kept && kept.error().code() != Code::not_found) return kept;
    }
    Health unused;
    report_.outcome =
        losses_.empty() ? SalvageReport::Outcome::nothing_lost : SalvageReport::Outcome::lost;
    for (const Loss& loss : losses_) report_.losses.push_back(describe(loss));
    report_.text = compose();
    if (auto written = replace_file(*quarantine_, report_name, report_.text, unused); !written) {
      return written;
    }
    return {};
  }

  Result<void> keep_file(std::string_view name) {
    // MANIFEST and ENGINE are copied, since their names will be given to others; so is what cannot
    // be linked. A file that an earlier run has kept is the same.
    if (auto there = quarantine_->open(name, OpenMode::read_only)) return {};
    if (parse_segment_name(name)) {
      auto linked = directory_.link(name, *quarantine_, name);
      if (linked || linked.error().code() != Code::invalid) return linked;
    }
    return copy_file(directory_, name, *quarantine_, name);
  }

  Result<void> tidy(const std::vector<std::string>& kept) {
    for (const std::string& name : kept) {
      if (!parse_segment_name(name)) continue;
      auto there = directory_.open(name, OpenMode::read_only);
      if (!there && there.error().code() == Code::not_found) continue;
      if (auto removed = directory_.remove(name); !removed) return removed;
    }
    if (auto removed = directory_.remove(plan_name); !removed) return removed;
    return directory_.sync();
  }

  // --- for people ---

  std::string describe(const Loss& loss) const {
    const BadPlace& place = loss.place;
    Damage damage{.file = loss.file,
                  .offset_bytes = place.offset_bytes,
                  .bytes = place.bytes,
                  .first_lsn = place.first_lsn,
                  .last_lsn = place.last_lsn,
                  .what = place.fault};
    if (!place.key_readable) return to_text(damage) + "; its keys cannot be read";
    damage.key = printable(place.key, survey_key_bytes_max) + " of database " +
                 std::to_string(databases_.named(place.database));
    const Lsn newest = named_.at({place.database, place.key});
    const std::string text = to_text(damage);
    if (newest == 0) return text + " (if that is right): no other record of it is there";
    if (newest > place.first_lsn) {
      return text + " (if that is right): it was written again later, LSN " +
             std::to_string(newest);
    }
    return text + " (if that is right): an older record, LSN " + std::to_string(newest) +
           ", is what is left of it";
  }

  std::string compose() const {
    std::string text = "Salvage of the kvs log in " + directory_.path() + "\n\n";
    text += losses_.empty() ? std::string("Result: no record was lost.") : std::string(lost_line);
    text += refusal_.empty() ? "\n\nIt opened, and answered errors for what was damaged.\n"
                             : "\n\nWhy it did not open: " + refusal_ + "\n";
    text += "Damaged places found: " + std::to_string(found_count_) + "\n";
    for (const std::string& damage : found_) text += "  " + damage + "\n";
    text += "\nSegments kept as they are: " + std::to_string(report_.segments_kept) +
            "\nSegments rewritten: " + std::to_string(report_.segments_rewritten) +
            "\nRecords copied from them: " + std::to_string(report_.records_rescued) +
            "\nOriginals: " + quarantine_->path() + "\n";
    if (!manifest_) {
      text +=
          "\nMANIFEST could not be read: every segment file in the directory was taken for part of "
          "the log.\nIf one of them was about to be removed, values in it that had been deleted "
          "may "
          "be back.\n";
    }
    if (losses_.empty()) return text;
    Lsn last_unknown = 0;
    text += "\nLost, or possibly outdated:\n";
    for (const std::string& loss : report_.losses) text += "  " + loss + "\n";
    bool unknown = false;
    for (const Loss& loss : losses_) {
      if (loss.place.key_readable) continue;
      unknown = true;
      last_unknown = std::max(last_unknown, loss.place.last_lsn);
    }
    if (unknown) {
      text +=
          "\nWhere keys cannot be read: any key whose newest record has an LSN below " +
          std::to_string(last_unknown == 0 ? last_lsn_ : last_unknown) +
          " may be outdated, or may\nhave been deleted. So may whole databases, by FLUSHDB; and "
          "by SWAPDB, two of them may have had each\nother's numbers.\n";
    }
    text +=
        "\nA key that is named here was read from a damaged record: if the damage lies in the key, "
        "another\none, which looks like it, is meant.\n";
    return text;
  }

  Fs& fs_;
  const std::filesystem::path path_;
  Directory& directory_;
  const UnixMs now_;
  UnixMs newest_clock_;
  SalvageReport report_;

  std::optional<Manifest> manifest_;  // if it is valid
  std::optional<Plan> plan_;
  std::vector<std::unique_ptr<Source>> sources_;
  std::vector<Loss> losses_;
  std::map<NamedKey, Lsn> named_;  // the newest readable record of each; 0: none
  Lsn swapped_ = 0;                // of the newest readable swap
  DatabaseMap databases_;          // as it says
  std::vector<std::string> found_;
  std::uint64_t found_count_ = 0;
  std::string refusal_;
  SegmentId next_id_ = 1;
  Lsn last_lsn_ = 0;
  std::unique_ptr<Directory> quarantine_;
};

}  // namespace

Result<SalvageReport> salvage(Fs& fs, const std::filesystem::path& path, Directory& directory,
                              UnixMs now) {
  return Salvage(fs, path, directory, now).run();
}

}  // namespace kvs::log
