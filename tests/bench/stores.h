// stores.h - what the engine benchmarks measure, behind one small interface.
//
// The engines of kvs are used as the daemon uses them: a session for each write. Their peers are
// the libraries themselves, with nothing of ours around them: RocksDB with the options of our
// engine that concern speed, LMDB with a transaction for each write. All of them promise the same:
// with Durability::process a write survives the death of the process (it is in the kernel), with
// Durability::disk it is on stable storage when put() returns.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace kvs::bench {

enum class Durability : std::uint8_t { process, disk };

// Thread: one. A failure ends the program: a benchmark of something broken says nothing.
class Store {
 public:
  virtual ~Store() = default;
  virtual void put(std::string_view key, std::string_view value) = 0;
  // False: there is no such key.
  virtual bool get(std::string_view key, std::string& value) = 0;
};

// `kind`: kvs and rocksdb are our engines, rocksdb-library and lmdb the libraries.
// `directory` exists and is empty.
std::unique_ptr<Store> open_store(std::string_view kind, const std::filesystem::path& directory,
                                  Durability durability);

// Says what went wrong and ends the program.
[[noreturn]] void give_up(std::string_view what);

}  // namespace kvs::bench
