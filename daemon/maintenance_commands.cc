#include "daemon/maintenance_commands.h"

#include <cstdio>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "daemon/log.h"
#include "storage/offline.h"

namespace kvs::daemon {
namespace {

constexpr int failed_exit_code = 3;

int failed(const Error& error) {
  log_error("{}", error.message());
  return failed_exit_code;
}

// A JSON string; bytes above ASCII do not occur in what is printed here but in paths, where they
// are passed through.
std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char character : text) {
    if (character == '"' || character == '\\') {
      out.append(1, '\\').append(1, character);
    } else if (static_cast<unsigned char>(character) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(character));
    } else {
      out += character;
    }
  }
  return out + "\"";
}

std::string_view word_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::good:
      return "good";
    case Verdict::torn_tail:
      return "torn tail";
    case Verdict::corrupt:
      return "corrupt";
  }
  return "corrupt";
}

std::string json_of(const CheckReport& report) {
  std::string damages;
  for (const Damage& damage : report.damages) {
    damages += fmt::format(
        R"({}{{"file":{},"offset":{},"bytes":{},"first_lsn":{},"last_lsn":{},"key":{},"what":{}}})",
        damages.empty() ? "" : ",", json_string(damage.file), damage.offset_bytes, damage.bytes,
        damage.first_lsn, damage.last_lsn, json_string(damage.key), json_string(damage.what));
  }
  return fmt::format(
      R"({{"verdict":{},"refusal":{},"segments":{},"bytes":{},"frames":{},"values":{},)"
      R"("tombstones":{},"clears":{},"swaps":{},"keys":{},"live_bytes":{},"dead_bytes":{},)"
      R"("last_lsn":{},)"
      R"("hints":{},"unusable_hints":{},"torn_file":{},"torn_offset":{},"torn_bytes":{},)"
      R"("leftover_files":{},)"
      R"("damages_count":{},"damages":[{}]}})",
      json_string(word_of(report.verdict)), json_string(report.refusal), report.segments,
      report.bytes, report.frames, report.values, report.tombstones, report.clears, report.swaps,
      report.keys, report.live_bytes, report.dead_bytes, report.last_lsn, report.hints,
      report.unusable_hints.size(), json_string(report.torn_file), report.torn_offset_bytes,
      report.torn_bytes, report.leftover_files, report.damages_count, damages);
}

void print_report(const std::string& path, const CheckReport& report) {
  fmt::print("{}: {}\n", path, word_of(report.verdict));
  fmt::print(
      "{} segments, {} bytes; {} frames with {} values, {} tombstones, {} clears, {} swaps\n",
      report.segments, report.bytes, report.frames, report.values, report.tombstones, report.clears,
      report.swaps);
  if (report.verdict != Verdict::corrupt) {
    fmt::print("{} keys, {} bytes live, {} bytes dead, last LSN {}\n", report.keys,
               report.live_bytes, report.dead_bytes, report.last_lsn);
  }
  for (const std::string& hint : report.unusable_hints) {
    fmt::print("unusable hint, which a server makes anew: {}\n", hint);
  }
  if (report.leftover_files > 0) {
    fmt::print("{} leftover files, which the next start removes\n", report.leftover_files);
  }
  if (report.verdict == Verdict::torn_tail) {
    fmt::print("torn tail: the next start cuts {} bytes off {} at offset {}\n", report.torn_bytes,
               report.torn_file, report.torn_offset_bytes);
  }
  for (const Damage& damage : report.damages) {
    fmt::print("damaged: {}\n", to_text(damage));
  }
  if (report.damages_count > report.damages.size()) {
    fmt::print("and {} more damaged places\n", report.damages_count - report.damages.size());
  }
  if (!report.refusal.empty()) {
    fmt::print("a server refuses to open it: {}\n", report.refusal);
  } else if (report.verdict == Verdict::corrupt) {
    fmt::print("a server opens it, and answers an error for what is damaged\n");
  }
}

int check(const Config& config) {
  auto report = check_directory(config.one_shot.path);
  if (!report) return failed(report.error());
  if (config.one_shot.json) {
    fmt::print("{}\n", json_of(*report));
  } else {
    print_report(config.one_shot.path.string(), *report);
  }
  return static_cast<int>(report->verdict);
}

int salvage(const Config& config) {
  auto report = salvage_directory(config.one_shot.path);
  if (!report) return failed(report.error());
  fmt::print("{}", report->text);
  if (report->outcome != SalvageReport::Outcome::lost) return 0;
  for (const std::string& loss : report->losses) log_warning("lost: {}", loss);
  log_warning("records were lost; the report and the damaged files are in {}", report->quarantine);
  return 1;
}

int restore(const Config& config, const EngineOptions& options) {
  auto summary = restore_backup(config.one_shot.path, config.dir);
  if (!summary) {
    log_error("{}", summary.error().message());
    return 1;
  }
  // Only now is it known to be what a server can use.
  auto engine = open_engine("", options);
  if (!engine) {
    log_error("{}", engine.error().message());
    return 1;
  }
  std::uint64_t keys = 0;
  for (unsigned database = 0; database < databases_count; ++database) {
    keys += (*engine)->database_stats(static_cast<Database>(database)).keys;
  }
  if (auto closed = (*engine)->close(); !closed) {
    log_error("{}", closed.error().message());
    return 1;
  }
  fmt::print("restored {} keys, {} files of {} bytes, as of position {}, into {}\n", keys,
             summary->files, summary->bytes, summary->position, config.dir.string());
  return 0;
}

}  // namespace

int run_one_shot(const Config& config, const EngineOptions& options) {
  switch (config.one_shot.kind) {
    case OneShot::Kind::none:
      return failed_exit_code;
    case OneShot::Kind::check:
      return check(config);
    case OneShot::Kind::salvage:
      return salvage(config);
    case OneShot::Kind::restore:
      return restore(config, options);
  }
  return failed_exit_code;
}

}  // namespace kvs::daemon
