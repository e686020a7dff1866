// open_engine.cc - which engine a directory gets, and the file ENGINE that remembers it.
//
// ENGINE is one line, "<name> <format version>", written once, before any data. A directory that
// has data but no such line is somebody else's and is left alone.
#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "storage/fs.h"
#include "storage/log/health.h"
#include "storage/log/log_engine.h"
#include "storage/log/manifest.h"
#include "storage/options.h"
#include "storage/rocksdb/rocksdb_engine.h"

namespace kvs {
namespace {

constexpr std::string_view marker_name = "ENGINE";
constexpr std::string_view lock_name = "LOCK";
constexpr std::string_view known_names = "kvs, rocksdb";
constexpr std::string_view default_name = "kvs";
constexpr std::string_view rocksdb_name = "rocksdb";
constexpr std::size_t marker_bytes_max = 64;

struct EngineKind {
  std::string_view name;
  std::string_view format;  // the only one that this build reads and writes
};
constexpr std::array<EngineKind, 2> kinds{{{default_name, "1"}, {rocksdb_name, "1"}}};

// Null: there is no engine of this name.
const EngineKind* find_kind(std::string_view name) {
  const auto* const found = std::find_if(
      kinds.begin(), kinds.end(), [name](const EngineKind& kind) { return kind.name == name; });
  return found == kinds.end() ? nullptr : found;
}

// Returns the name in the marker, or an empty one when there is no marker.
Result<std::string> read_marker(Directory& directory) {
  auto text = log::read_file(directory, marker_name, marker_bytes_max);
  if (!text && text.error().code() == Code::not_found) return std::string();
  if (!text) return std::unexpected(text.error());
  const std::string path = directory.path() + "/" + std::string(marker_name);
  const std::size_t space = text->find(' ');
  const bool shaped = space != std::string::npos && space > 0 && text->back() == '\n' &&
                      std::count(text->begin(), text->end(), ' ') == 1 &&
                      std::count(text->begin(), text->end(), '\n') == 1;
  if (!shaped) return fail(Code::corrupt, path + " is not readable as an engine marker");
  std::string name = text->substr(0, space);
  const std::string format = text->substr(space + 1, text->size() - space - 2);
  const EngineKind* const kind = find_kind(name);
  if (kind != nullptr && format != kind->format) {
    return fail(Code::wrong_engine,
                path + ": format " + format + " of engine " + name + " is not known to this build");
  }
  return name;
}

bool is_digit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

// Names that only a key/value store's data directory has: ours, LevelDB's and RocksDB's.
bool looks_like_data(std::string_view name) {
  if (name == log::manifest_name || name == "CURRENT" || name.starts_with("MANIFEST-")) return true;
  if (name == rocks::folder_name) return true;
  if (!name.ends_with(".log")) return false;
  const std::string_view stem = name.substr(0, name.size() - 4);
  return stem.size() >= 6 && std::all_of(stem.begin(), stem.end(), is_digit);
}

Result<void> refuse_foreign_data(Directory& directory) {
  auto names = directory.list();
  if (!names) return std::unexpected(names.error());
  for (const std::string& name : *names) {
    if (!looks_like_data(name)) continue;
    return fail(Code::wrong_engine, "directory " + directory.path() + " holds data (" + name +
                                        ") but no marker " + std::string(marker_name) +
                                        " of an engine of kvs; it is left as it is");
  }
  return {};
}

// Decides by `asked` (may be empty) and by what is in the directory. Changes nothing.
Result<std::string> choose_engine(Directory& directory, std::string_view asked) {
  auto written = read_marker(directory);
  if (!written) return written;
  if (written->empty()) {
    if (auto ours = refuse_foreign_data(directory); !ours) return std::unexpected(ours.error());
    return std::string();
  }
  if (!asked.empty() && asked != *written) {
    return fail(Code::wrong_engine, "directory " + directory.path() + " was written by engine '" +
                                        *written + "', not '" + std::string(asked) + "'");
  }
  if (find_kind(*written) == nullptr) {
    return fail(Code::wrong_engine,
                "directory " + directory.path() + " was written by engine '" + *written +
                    "', which this build does not have (known: " + std::string(known_names) + ")");
  }
  return written;
}

Result<std::unique_ptr<Directory>> open_or_create(Fs& fs, const std::filesystem::path& path) {
  auto directory = fs.open_directory(path);
  if (directory || directory.error().code() != Code::not_found) return directory;
  if (auto created = fs.create_directory(path); !created) return std::unexpected(created.error());
  return fs.open_directory(path);
}

}  // namespace

std::string_view engine_names() {
  return known_names;
}

Result<std::unique_ptr<Engine>> open_engine(std::string_view name, EngineOptions options) {
  auto engine = prepare_engine(name, std::move(options));
  if (!engine) return engine;
  if (auto loaded = (*engine)->load(); !loaded) return std::unexpected(loaded.error());
  return engine;
}

Result<std::unique_ptr<Engine>> prepare_engine(std::string_view name, EngineOptions options) {
  if (!name.empty() && find_kind(name) == nullptr) {
    return fail(Code::invalid, "unknown engine '" + std::string(name) +
                                   "' (known: " + std::string(known_names) + ")");
  }
  const bool replaced_fs = options.fs != nullptr;
  const auto fits = [replaced_fs](std::string_view engine) -> Result<void> {
    if (engine != rocksdb_name || !replaced_fs) return {};
    return fail(Code::invalid, "engine rocksdb does its own I/O: no file system can be set");
  };
  if (auto fit = fits(name); !fit) return std::unexpected(fit.error());
  if (!replaced_fs) options.fs = real_fs();
  auto opened = open_or_create(*options.fs, options.directory);
  if (!opened) return std::unexpected(opened.error());
  std::unique_ptr<Directory> directory = std::move(*opened);

  // Once to leave a directory alone that is not ours, and again when nobody else can change it.
  if (auto chosen = choose_engine(*directory, name); !chosen) {
    return std::unexpected(chosen.error());
  }
  auto lock = directory->lock(lock_name);
  if (!lock) return std::unexpected(lock.error());
  auto chosen = choose_engine(*directory, name);
  if (!chosen) return std::unexpected(chosen.error());
  const bool fresh = chosen->empty();
  if (fresh) *chosen = name.empty() ? default_name : name;
  if (auto fit = fits(*chosen); !fit) return std::unexpected(fit.error());
  if (fresh) {
    log::Health unused;  // nothing depends on the marker yet
    const std::string marker = *chosen + " " + std::string(find_kind(*chosen)->format) + "\n";
    if (auto marked = log::replace_file(*directory, marker_name, marker, unused); !marked) {
      return std::unexpected(marked.error());
    }
  }
  if (*chosen == rocksdb_name) {
    // A first start that ended half-way may have left a marker whose name a power cut takes.
    if (auto synced = directory->sync(); !synced) return std::unexpected(synced.error());
    return rocks::RocksEngine::open(std::move(*lock), std::move(options));
  }
  return log::LogEngine::prepare(std::move(directory), std::move(*lock), std::move(options));
}

}  // namespace kvs
