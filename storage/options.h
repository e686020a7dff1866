// options.h - how a data directory is opened.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "storage/engine.h"
#include "storage/limits.h"

namespace kvs {

class Fs;  // storage/fs.h: where the I/O calls live; tests replace it

struct EngineOptions {
  std::filesystem::path directory = ".";
  std::uint64_t segment_bytes = limits::segment_bytes_default;
  std::uint64_t cache_bytes = std::uint64_t{256} << 20;  // values kept in memory; 0: none
  // A sealed segment becomes a victim when at least this share of it is dead.
  unsigned compact_dead_percent = 50;
  // Sealed segments are read and verified once a day at this rate; 0: only when asked to.
  std::uint64_t scrub_bytes_per_second = 0;
  // Told what an operator should know (torn tail cut, compaction done); any thread. May be empty.
  enum class Severity : std::uint8_t { info, warning, error };
  std::function<void(Severity, std::string_view)> log;
  // Wall clock in milliseconds; empty: the system's. Tests set it.
  std::function<UnixMs()> clock;
  // File system; null: the real one.
  std::shared_ptr<Fs> fs;
};

// Opens `options.directory` with the engine called `name` ("kvs"), or, when `name` is empty, with
// the engine that wrote the directory, or with "kvs" when nobody did. Takes the directory's lock.
// Errors: invalid (no such engine), wrong_engine, busy (another server holds the directory),
//         corrupt, io. The directory is unchanged by a failed open.
Result<std::unique_ptr<Engine>> open_engine(std::string_view name, EngineOptions options);

// Names that open_engine takes, in the order in which --help lists them.
std::string_view engine_names();

}  // namespace kvs
