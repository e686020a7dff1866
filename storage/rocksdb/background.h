// background.h - what RocksDB tells from threads of its own: its log, finished compactions, errors.
//
// Shared by the engine and the objects that RocksDB calls, since those may live longer.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <rocksdb/env.h>
#include <rocksdb/listener.h>
#include <rocksdb/status.h>
#include <string_view>

#include "storage/log/health.h"
#include "storage/options.h"

namespace kvs::rocks {

// Thread: any.
struct Background {
  using Report = std::function<void(EngineOptions::Severity, std::string_view)>;

  explicit Background(Report told) : report(std::move(told)) {}

  const Report report;  // may be empty
  log::Health health;
  std::atomic<std::uint64_t> compactions = 0;
  std::atomic<std::uint64_t> compacted_bytes = 0;

  void tell(EngineOptions::Severity severity, std::string_view text) const {
    if (report) report(severity, text);
  }
};

// What `status` means to us; not for one that is ok.
Error to_error(const rocksdb::Status& status, std::string_view what);

// RocksDB's warnings and errors go to `background->report`; it writes no log file of its own.
std::shared_ptr<rocksdb::Logger> make_logger(std::shared_ptr<Background> background);

// Counts compactions. An error behind the scenes ends the writes for good, but for a full disk.
std::shared_ptr<rocksdb::EventListener> make_listener(std::shared_ptr<Background> background);

}  // namespace kvs::rocks
