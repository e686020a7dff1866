// engine_store.h - the AsyncEngine as a store of the suite: any form, pool and engine.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "storage/async_engine.h"
#include "storage/options.h"
#include "tests/support/pools.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/forms/forms.h"
#include "tests/unit/forms/store_suite.h"

namespace kvs::test {

template <class Form>
class EngineStore : FormStore<Form> {
 public:
  EngineStore(std::string_view engine_name, const PoolKind& kind, Reads reads)
      // A thread per job: a thousand threads prove as much as ten thousand.
      : FormStore<Form>({}, kind.name == "thread_per_job" ? 500 : 10'000),
        engine_name_(engine_name),
        pool_(open_pool(kind)),
        reads_(reads) {
    open();
  }
  ~EngineStore() { close(); }

  auto get(std::string key) { return this->get_by(*engine_, std::move(key)); }
  auto set(std::string key, std::string value) {
    return this->set_by(*engine_, std::move(key), std::move(value));
  }
  auto remove(std::string key) { return this->remove_by(*engine_, std::move(key)); }
  auto set_all(const std::vector<KeyValue>& pairs) {
    maintain(std::chrono::milliseconds(5));
    return this->all_of(pairs.size(), [&](std::size_t i) {
      return Form::set(*engine_, pairs[i].first, pairs[i].second);
    });
  }
  auto get_all(const std::vector<std::string>& keys) {
    return this->all_of(keys.size(), [&](std::size_t i) { return Form::get(*engine_, keys[i]); });
  }
  void reopen() {
    close();
    open();
  }
  std::optional<StoreSpace> compact() {
    engine_->engine().request_compaction();
    maintain(std::chrono::seconds(30));
    // RocksDB allocates its files ahead, in tens of megabytes: its size says nothing here.
    if (engine_name_ != "kvs") return std::nullopt;
    const EngineStats stats = engine_->engine().stats();
    return StoreSpace{.disk_bytes = stats.disk_bytes, .written_bytes = stats.written_bytes};
  }

 private:
  void open() {
    EngineOptions options;
    options.directory = dir_.path();
    options.segment_bytes = 128 << 10;  // several even in a small run
    options.cache_bytes = 1 << 20;
    auto opened = open_engine(engine_name_, std::move(options));
    REQUIRE(opened);
    engine_.emplace(std::shared_ptr<Engine>(std::move(*opened)), pool_, reads_);
  }
  void close() {
    const Result<void> closed = engine_->engine().close();
    CHECK(closed);
    engine_.reset();
  }
  void maintain(std::chrono::milliseconds at_most) {
    const auto deadline = std::chrono::steady_clock::now() + at_most;
    while (engine_->engine().maintain(std::chrono::milliseconds(1))) {
      if (std::chrono::steady_clock::now() > deadline) return;
    }
  }

  const TempDir dir_;
  const std::string engine_name_;
  const ThreadPool pool_;
  const Reads reads_;
  std::optional<AsyncEngine> engine_;
};

// The names in engine_names(), however they are listed.
inline std::vector<std::string> all_engines() {
  std::vector<std::string> names;
  std::string name;
  for (const char c : std::string(engine_names()) + " ") {
    if (c == ' ' || c == ',' || c == '|') {
      if (!name.empty()) names.push_back(std::move(name));
      name.clear();
    } else {
      name += c;
    }
  }
  return names;
}

}  // namespace kvs::test
