// write_amplification.cc - what an engine writes per byte that it was given, and the disk it takes.
//
//   write-amplification kvs|rocksdb DIRECTORY uniform|zipf KEYS SPACE_PERCENT
//
// Loads KEYS values of 1000 bytes, overwrites them four times over with the given distribution
// (zipf: exponent 0.99) and prints "write_amplification space_max space_end": bytes written to logs
// and tables per byte of key and value during the overwrites, and the disk taken per byte of live
// data at most (looked at 200 times) and at the end. kvs holds SPACE_PERCENT; RocksDB is left as it
// comes, but uncompressed like kvs, and its own statistics are believed.
#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <random>
#include <rocksdb/db.h>
#include <rocksdb/statistics.h>
#include <rocksdb/write_batch.h>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "storage/options.h"

namespace {

constexpr std::size_t value_bytes = 1000;
constexpr std::uint64_t session_writes = 64;
constexpr std::uint64_t looks = 200;

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "write-amplification: %s\n", what.c_str());
  std::exit(1);
}

std::string key_of(std::uint64_t number) {
  char key[32];
  std::snprintf(key, sizeof key, "key:%012llu", static_cast<unsigned long long>(number));
  return key;
}

// Keys in a random order; with skew the first ones far more often.
class Keys {
 public:
  Keys(std::uint64_t count, double skew) : scattered_(count) {
    double sum = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
      scattered_[i] = static_cast<std::uint32_t>(i);
      sum += 1 / std::pow(static_cast<double>(i + 1), skew);
      upto_.push_back(sum);
    }
    std::shuffle(scattered_.begin(), scattered_.end(), random_);
  }
  std::string next() {
    std::uniform_real_distribution<double> pick(0, upto_.back());
    const auto at = std::lower_bound(upto_.begin(), upto_.end(), pick(random_)) - upto_.begin();
    return key_of(scattered_[std::min(static_cast<std::size_t>(at), scattered_.size() - 1)]);
  }

 private:
  std::mt19937_64 random_{1};
  std::vector<double> upto_;
  std::vector<std::uint32_t> scattered_;
};

class Store {
 public:
  virtual ~Store() = default;
  virtual void write(const std::vector<std::string>& keys, std::string_view value) = 0;
  virtual std::uint64_t written_bytes() = 0;  // to logs and tables, since the start
  virtual std::uint64_t disk_bytes() = 0;
};

class KvsStore final : public Store {
 public:
  KvsStore(const std::string& directory, unsigned space_percent, std::uint64_t data_bytes) {
    kvs::EngineOptions options;
    options.directory = directory;
    // As many segments as 64 MiB make of 20 GB: what is allocated ahead must not be the figure.
    options.segment_bytes = std::clamp<std::uint64_t>(data_bytes / 320, 64 << 10, 64 << 20);
    options.cache_bytes = 0;
    options.space_amplification_percent = space_percent;
    auto engine = kvs::open_engine("kvs", options);
    if (!engine) fail(engine.error().message());
    engine_ = std::move(*engine);
    maintenance_ = std::thread([this] {
      using namespace std::chrono_literals;
      while (!stop_) {
        std::this_thread::sleep_for(engine_->maintain(1ms) ? engine_->maintenance_rest() : 1ms);
      }
    });
  }
  ~KvsStore() override {
    stop_ = true;
    maintenance_.join();
    (void)engine_->close();
  }
  void write(const std::vector<std::string>& keys, std::string_view value) override {
    auto session = engine_->begin();
    if (!session) fail(session.error().message());
    for (const std::string& key : keys) (*session)->put({0, key}, value, kvs::never);
    if (auto done = (*session)->commit(); !done) fail(done.error().message());
  }
  std::uint64_t written_bytes() override {
    const kvs::EngineStats stats = engine_->stats();
    return stats.written_bytes + stats.compacted_bytes;
  }
  std::uint64_t disk_bytes() override { return engine_->stats().disk_bytes; }

 private:
  std::unique_ptr<kvs::Engine> engine_;
  std::atomic<bool> stop_ = false;
  std::thread maintenance_;
};

class RocksStore final : public Store {
 public:
  explicit RocksStore(const std::string& directory) : directory_(directory) {
    rocksdb::Options options;
    options.create_if_missing = true;
    options.compression = rocksdb::kNoCompression;
    options.statistics = statistics_ = rocksdb::CreateDBStatistics();
    options.IncreaseParallelism(2);
    rocksdb::DB* db = nullptr;
    if (const auto opened = rocksdb::DB::Open(options, directory, &db); !opened.ok()) {
      fail(opened.ToString());
    }
    db_.reset(db);
  }
  void write(const std::vector<std::string>& keys, std::string_view value) override {
    rocksdb::WriteBatch batch;
    for (const std::string& key : keys) batch.Put(key, {value.data(), value.size()});
    if (const auto done = db_->Write({}, &batch); !done.ok()) fail(done.ToString());
  }
  std::uint64_t written_bytes() override {
    return statistics_->getTickerCount(rocksdb::WAL_FILE_BYTES) +
           statistics_->getTickerCount(rocksdb::FLUSH_WRITE_BYTES) +
           statistics_->getTickerCount(rocksdb::COMPACT_WRITE_BYTES);
  }
  std::uint64_t disk_bytes() override {
    std::uint64_t bytes = 0;
    std::error_code ignored;  // files come and go
    for (const auto& entry : std::filesystem::directory_iterator(directory_, ignored)) {
      const auto size = entry.file_size(ignored);
      if (!ignored) bytes += size;
    }
    return bytes;
  }

 private:
  const std::string directory_;
  std::shared_ptr<rocksdb::Statistics> statistics_;
  std::unique_ptr<rocksdb::DB> db_;
};

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size()) fail("not a number");
  return value;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) fail("usage: kvs|rocksdb DIRECTORY uniform|zipf KEYS SPACE_PERCENT");
  const std::uint64_t keys = number(argv[4]);
  const auto space_percent = static_cast<unsigned>(number(argv[5]));
  Keys draw(keys, std::string_view(argv[3]) == "zipf" ? 0.99 : 0);
  const std::uint64_t pair_bytes = key_of(0).size() + value_bytes;
  std::unique_ptr<Store> store;
  if (std::string_view(argv[1]) == "kvs") {
    store = std::make_unique<KvsStore>(argv[2], space_percent, keys * pair_bytes);
  } else {
    store = std::make_unique<RocksStore>(argv[2]);
  }
  std::mt19937_64 random(2);
  std::string value(value_bytes, '\0');
  std::vector<std::string> batch;
  std::uint64_t before = 0;
  double space_max = 0;
  double space = 0;
  const std::uint64_t overwrites = 4 * keys;
  const std::uint64_t look_every = std::max<std::uint64_t>(session_writes, overwrites / looks);
  std::uint64_t next_look = look_every;
  for (std::uint64_t i = 0; i < keys + overwrites; i += batch.size()) {
    batch.clear();
    const bool loading = i < keys;
    if (!loading && before == 0) before = store->written_bytes();
    for (std::uint64_t n = 0; n < session_writes && (!loading || i + n < keys); ++n) {
      batch.push_back(loading ? key_of(i + n) : draw.next());
    }
    for (std::size_t at = 0; at + 8 <= value.size(); at += 8) {
      const std::uint64_t bits = random();
      value.replace(at, 8, reinterpret_cast<const char*>(&bits), 8);
    }
    store->write(batch, value);
    if (!loading && i - keys >= next_look) {
      next_look += look_every;
      space = static_cast<double>(store->disk_bytes()) / static_cast<double>(keys * pair_bytes);
      space_max = std::max(space_max, space);
    }
  }
  const auto written = static_cast<double>(store->written_bytes() - before);
  std::printf("%.3f %.3f %.3f\n", written / static_cast<double>(overwrites * pair_bytes), space_max,
              space);
  return 0;
}
