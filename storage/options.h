// options.h - how a data directory is opened.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "storage/engine.h"
#include "storage/limits.h"

namespace kvs {

class Fs;  // storage/fs.h: where the I/O calls live; tests replace it

// How far an open has come.
struct LoadProgress {
  std::uint64_t bytes_done = 0;
  std::uint64_t bytes_total = 0;  // of the log
  std::uint64_t keys = 0;         // in the index so far
};

struct EngineOptions {
  std::filesystem::path directory = ".";
  std::uint64_t segment_bytes = limits::segment_bytes_default;
  std::uint64_t cache_bytes = std::uint64_t{256} << 20;  // values kept in memory; 0: none
  // How much disk the log may take, as a share of its live data; a few segments are always allowed.
  // Compaction works so that the bound is held, and writers are slowed when it does not keep up.
  unsigned space_amplification_percent = 200;
  // A sealed segment of which at least this share is dead is rewritten before the bound asks for
  // it.
  unsigned compact_dead_percent = 90;
  // A value from this size on that is put to last (WriteSession::put_lasting) is not copied.
  std::size_t lasting_value_bytes = std::size_t{64} << 10;
  // What compaction may write per second; 0: as much as it needs.
  std::uint64_t compact_rate_limit_bytes = 0;
  // Threads that open() reads the log with; 0: one per core.
  unsigned recovery_threads = 0;
  // Told about every 100 ms while the log is read, on the thread that reads. May be empty.
  std::function<void(const LoadProgress&)> on_load_progress;
  // Ends the reading early: load() fails with Code::cancelled and has changed nothing.
  std::stop_token stop_loading;
  // Sealed segments are read and verified once a day at this rate; 0: only when asked to.
  std::uint64_t scrub_bytes_per_second = 0;
  // Told what an operator should know (torn tail cut, compaction done); any thread. May be empty.
  enum class Severity : std::uint8_t { info, warning, error };
  std::function<void(Severity, std::string_view)> log;
  // Told of each key that expire() or maintain() has removed because its time was over; on the
  // thread that called. May be empty.
  std::function<void(Key)> on_expired;
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

// The same in two steps, for who wants to answer somebody meanwhile: everything but reading the
// data, which is Engine::load(). Engines may have read it already.
Result<std::unique_ptr<Engine>> prepare_engine(std::string_view name, EngineOptions options);

// Names that open_engine takes, in the order in which --help lists them.
std::string_view engine_names();

}  // namespace kvs
