// format.h - the records that the engine "rocksdb" keeps in RocksDB; README.md describes them.
//
// All of them are in one column family, told apart by their first byte. Numbers in keys are
// big-endian, so that RocksDB's order is theirs; numbers in values are little-endian.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "storage/database_map.h"
#include "storage/engine.h"
#include "storage/hash.h"

namespace kvs::rocks {

// A database is emptied by going to the next epoch; the keys of older ones are dead.
using Epoch = std::uint32_t;

inline constexpr char tag_data = 'd';
inline constexpr char tag_secret = 'h';
inline constexpr char tag_state = 's';
inline constexpr char tag_deadline = 't';
inline constexpr char tag_map = 'm';

// tag, database, epoch; then hash and name of a data key, deadline and name of a deadline key.
inline constexpr std::size_t range_prefix_bytes = 1 + 1 + 4;
inline constexpr std::size_t key_prefix_bytes = range_prefix_bytes + 8;

// A key of a data record; short ones are not allocated.
class DataKey {
 public:
  DataKey(Key key, Epoch epoch, std::uint64_t hash);
  DataKey(const DataKey&) = delete;
  DataKey& operator=(const DataKey&) = delete;

  std::string_view view() const { return view_; }

 private:
  std::array<char, 256> short_;
  std::string long_;
  std::string_view view_;
};

// Where the records of one tag, database and epoch begin; the next epoch's end them.
std::string range_prefix(char tag, Database database, Epoch epoch);
// The first possible data key with `hash`, and deadline key with `deadline`.
std::string numbered_prefix(char tag, Database database, Epoch epoch, std::uint64_t number);
std::string deadline_key(Key key, Epoch epoch, UnixMs deadline);
std::string state_key(Database database);
std::string secret_key();
std::string map_key();

// The hash of a data key, the deadline of a deadline key. `key` has at least key_prefix_bytes.
std::uint64_t number_of(std::string_view key);
inline std::string_view name_of(std::string_view key) {
  return key.substr(key_prefix_bytes);
}

// What is before the value in a data record.
struct Header {
  Lsn lsn = 0;
  UnixMs expire_at = never;
};

inline constexpr std::size_t header_bytes_max = 1 + 6 + 8;
std::string encode_header(const Header& header);

struct DataRecord {
  Header header;
  std::string_view value;  // into what was parsed
};

// Nullopt: these bytes are no data record.
std::optional<DataRecord> parse_data(std::string_view bytes);

// What is known of a database, written with every commit that touches it.
struct State {
  Epoch epoch = 0;
  std::uint64_t keys = 0;
  std::uint64_t volatiles = 0;
  Lsn last_lsn = 0;  // of the whole engine; the largest of all databases counts
  UnixMs clock = 0;  // when it was written; likewise
};

std::string encode_state(const State& state);
std::optional<State> parse_state(std::string_view bytes);
std::optional<HashKey> parse_secret(std::string_view bytes);

// Which database is which, written with every commit that exchanges two.
struct MapState {
  DatabaseMap map;
  Lsn lsn = 0;       // of the exchange
  Lsn last_lsn = 0;  // as in State
};

std::string encode_map(const MapState& state);
std::optional<MapState> parse_map(std::string_view bytes);

}  // namespace kvs::rocks
