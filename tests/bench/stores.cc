#include "tests/bench/stores.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <lmdb.h>
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <utility>

#include "storage/options.h"

namespace kvs::bench {

void give_up(std::string_view what) {
  std::fprintf(stderr, "bench: %.*s\n", static_cast<int>(what.size()), what.data());
  std::exit(1);
}

namespace {

constexpr std::uint64_t cache_bytes = std::uint64_t{256} << 20;  // as EngineOptions

// --- ours ---

class EngineStore final : public Store {
 public:
  EngineStore(std::string_view kind, const std::filesystem::path& directory, Durability durability)
      : durability_(durability) {
    auto opened = open_engine(kind, {.directory = directory, .cache_bytes = cache_bytes});
    if (!opened) give_up(opened.error().message());
    engine_ = std::move(*opened);
  }

  void put(std::string_view key, std::string_view value) override {
    {
      auto session = engine_->begin();
      if (!session) give_up(session.error().message());
      (*session)->put({0, key}, value, never);
      if (auto done = (*session)->commit(); !done) give_up(done.error().message());
    }
    if (durability_ == Durability::disk) {
      if (auto synced = engine_->sync(); !synced) give_up(synced.error().message());
    }
    maintain();
  }

  bool get(std::string_view key, std::string& value) override {
    auto found = engine_->get({0, key}, Access::may_block, value);
    if (!found) give_up(found.error().message());
    return found->has_value();
  }

 private:
  // The daemon does it on another thread, every few milliseconds; here the one thread pays for it.
  void maintain() {
    if (++writes_ % writes_per_slice == 0) engine_->maintain(std::chrono::milliseconds(1));
  }

  static constexpr std::uint64_t writes_per_slice = 1000;
  const Durability durability_;
  std::unique_ptr<Engine> engine_;
  std::uint64_t writes_ = 0;
};

// --- RocksDB itself ---

class RocksStore final : public Store {
 public:
  RocksStore(const std::filesystem::path& directory, Durability durability) {
    rocksdb::Options options;
    options.create_if_missing = true;
    options.max_background_jobs = 2;
    options.level_compaction_dynamic_level_bytes = true;
    options.allow_concurrent_memtable_write = false;
    options.enable_write_thread_adaptive_yield = false;
    options.compression = rocksdb::kLZ4Compression;
    options.stats_dump_period_sec = 0;
    options.stats_persist_period_sec = 0;
    rocksdb::BlockBasedTableOptions table;
    table.block_cache = rocksdb::NewLRUCache(cache_bytes);
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    table.format_version = 5;
    options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    rocksdb::DB* opened = nullptr;
    check(rocksdb::DB::Open(options, directory.string(), &opened));
    db_.reset(opened);
    write_.sync = durability == Durability::disk;
  }

  void put(std::string_view key, std::string_view value) override {
    check(db_->Put(write_, {key.data(), key.size()}, {value.data(), value.size()}));
  }

  bool get(std::string_view key, std::string& value) override {
    rocksdb::PinnableSlice slice;
    const auto status = db_->Get({}, db_->DefaultColumnFamily(), {key.data(), key.size()}, &slice);
    if (status.IsNotFound()) return false;
    check(status);
    value.assign(slice.data(), slice.size());
    return true;
  }

 private:
  static void check(const rocksdb::Status& status) {
    if (!status.ok()) give_up(status.ToString());
  }

  std::unique_ptr<rocksdb::DB> db_;
  rocksdb::WriteOptions write_;
};

// --- LMDB ---

class LmdbStore final : public Store {
 public:
  LmdbStore(const std::filesystem::path& directory, Durability durability) {
    check(mdb_env_create(&environment_));
    check(mdb_env_set_mapsize(environment_, std::size_t{16} << 30));
    const unsigned flags = durability == Durability::disk ? 0 : MDB_NOSYNC;
    check(mdb_env_open(environment_, directory.c_str(), flags, 0600));
    MDB_txn* transaction = nullptr;
    check(mdb_txn_begin(environment_, nullptr, 0, &transaction));
    check(mdb_dbi_open(transaction, nullptr, 0, &table_));
    check(mdb_txn_commit(transaction));
    check(mdb_txn_begin(environment_, nullptr, MDB_RDONLY, &reading_));
    mdb_txn_reset(reading_);
  }
  ~LmdbStore() override {
    mdb_txn_abort(reading_);
    mdb_env_close(environment_);
  }
  LmdbStore(const LmdbStore&) = delete;
  LmdbStore& operator=(const LmdbStore&) = delete;

  void put(std::string_view key, std::string_view value) override {
    MDB_txn* transaction = nullptr;
    check(mdb_txn_begin(environment_, nullptr, 0, &transaction));
    MDB_val k = to_value(key);
    MDB_val v = to_value(value);
    check(mdb_put(transaction, table_, &k, &v, 0));
    check(mdb_txn_commit(transaction));
  }

  // A transaction that is renewed for each read, as a reader of LMDB does it.
  bool get(std::string_view key, std::string& value) override {
    check(mdb_txn_renew(reading_));
    MDB_val k = to_value(key);
    MDB_val v{};
    const int status = mdb_get(reading_, table_, &k, &v);
    if (status != MDB_NOTFOUND) {
      check(status);
      value.assign(static_cast<const char*>(v.mv_data), v.mv_size);
    }
    mdb_txn_reset(reading_);
    return status != MDB_NOTFOUND;
  }

 private:
  static void check(int status) {
    if (status != MDB_SUCCESS) give_up(mdb_strerror(status));
  }
  static MDB_val to_value(std::string_view text) {
    return {.mv_size = text.size(), .mv_data = const_cast<char*>(text.data())};
  }

  MDB_env* environment_ = nullptr;
  MDB_dbi table_ = 0;
  MDB_txn* reading_ = nullptr;
};

}  // namespace

std::unique_ptr<Store> open_store(std::string_view kind, const std::filesystem::path& directory,
                                  Durability durability) {
  if (kind == "kvs" || kind == "rocksdb") {
    return std::make_unique<EngineStore>(kind, directory, durability);
  }
  if (kind == "rocksdb-library") return std::make_unique<RocksStore>(directory, durability);
  if (kind == "lmdb") return std::make_unique<LmdbStore>(directory, durability);
  give_up("no such store: " + std::string(kind));
}

}  // namespace kvs::bench
