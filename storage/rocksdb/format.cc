#include "storage/rocksdb/format.h"

#include <algorithm>
#include <cassert>

#include "storage/limits.h"

namespace kvs::rocks {
namespace {

constexpr unsigned char flag_deadline = 1;
constexpr std::size_t lsn_bytes = 6;
static_assert(limits::lsn_max < std::uint64_t{1} << (8 * lsn_bytes));
constexpr std::size_t state_bytes = 4 + 4 * 8;

char* put_big(char* at, std::uint64_t number, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) {
    *at++ = static_cast<char>(number >> (8 * (bytes - 1 - i)));
  }
  return at;
}

void append_little(std::string& out, std::uint64_t number, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) out.push_back(static_cast<char>(number >> (8 * i)));
}

std::uint64_t take_little(std::string_view& bytes, std::size_t count) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < count; ++i) {
    number |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  }
  bytes.remove_prefix(count);
  return number;
}

char* put_prefix(char* at, char tag, Database database, Epoch epoch) {
  *at++ = tag;
  *at++ = static_cast<char>(database);
  return put_big(at, epoch, sizeof epoch);
}

}  // namespace

DataKey::DataKey(Key key, Epoch epoch, std::uint64_t hash) {
  const std::size_t size = key_prefix_bytes + key.name.size();
  char* begin = short_.data();
  if (size > short_.size()) {
    long_.resize(size);
    begin = long_.data();
  }
  char* at = put_prefix(begin, tag_data, key.database, epoch);
  at = put_big(at, hash, sizeof hash);
  std::copy(key.name.begin(), key.name.end(), at);
  view_ = {begin, size};
}

std::string range_prefix(char tag, Database database, Epoch epoch) {
  std::string prefix(range_prefix_bytes, '\0');
  put_prefix(prefix.data(), tag, database, epoch);
  return prefix;
}

std::string numbered_prefix(char tag, Database database, Epoch epoch, std::uint64_t number) {
  std::string prefix(key_prefix_bytes, '\0');
  put_big(put_prefix(prefix.data(), tag, database, epoch), number, sizeof number);
  return prefix;
}

std::string deadline_key(Key key, Epoch epoch, UnixMs deadline) {
  assert(deadline > 0);
  std::string text =
      numbered_prefix(tag_deadline, key.database, epoch, static_cast<std::uint64_t>(deadline));
  return text.append(key.name);
}

std::string state_key(Database database) {
  return {tag_state, static_cast<char>(database)};
}

std::string secret_key() {
  return {tag_secret};
}

std::string map_key() {
  return {tag_map};
}

std::uint64_t number_of(std::string_view key) {
  assert(key.size() >= key_prefix_bytes);
  std::uint64_t number = 0;
  for (std::size_t i = range_prefix_bytes; i < key_prefix_bytes; ++i) {
    number = number << 8 | static_cast<unsigned char>(key[i]);
  }
  return number;
}

std::string encode_header(const Header& header) {
  assert(header.lsn <= limits::lsn_max);
  std::string text;
  text.reserve(header_bytes_max);
  text.push_back(header.expire_at == never ? 0 : flag_deadline);
  append_little(text, header.lsn, lsn_bytes);
  if (header.expire_at != never) {
    append_little(text, static_cast<std::uint64_t>(header.expire_at), sizeof header.expire_at);
  }
  return text;
}

std::optional<DataRecord> parse_data(std::string_view bytes) {
  if (bytes.size() < 1 + lsn_bytes) return std::nullopt;
  const auto flags = static_cast<unsigned char>(take_little(bytes, 1));
  if ((flags & ~flag_deadline) != 0) return std::nullopt;
  DataRecord record;
  record.header.lsn = take_little(bytes, lsn_bytes);
  if (flags == flag_deadline) {
    if (bytes.size() < sizeof(UnixMs)) return std::nullopt;
    record.header.expire_at = static_cast<UnixMs>(take_little(bytes, sizeof(UnixMs)));
    if (record.header.expire_at <= 0) return std::nullopt;
  }
  record.value = bytes;
  return record;
}

std::string encode_state(const State& state) {
  std::string text;
  text.reserve(state_bytes);
  append_little(text, state.epoch, sizeof state.epoch);
  append_little(text, state.keys, sizeof state.keys);
  append_little(text, state.volatiles, sizeof state.volatiles);
  append_little(text, state.last_lsn, sizeof state.last_lsn);
  append_little(text, static_cast<std::uint64_t>(state.clock), sizeof state.clock);
  return text;
}

std::optional<State> parse_state(std::string_view bytes) {
  if (bytes.size() != state_bytes) return std::nullopt;
  State state;
  state.epoch = static_cast<Epoch>(take_little(bytes, sizeof state.epoch));
  state.keys = take_little(bytes, sizeof state.keys);
  state.volatiles = take_little(bytes, sizeof state.volatiles);
  state.last_lsn = take_little(bytes, sizeof state.last_lsn);
  state.clock = static_cast<UnixMs>(take_little(bytes, sizeof state.clock));
  if (state.volatiles > state.keys || state.last_lsn > limits::lsn_max) return std::nullopt;
  return state;
}

std::optional<HashKey> parse_secret(std::string_view bytes) {
  HashKey secret;
  if (bytes.size() != secret.bytes.size()) return std::nullopt;
  std::copy(bytes.begin(), bytes.end(), secret.bytes.begin());
  return secret;
}

std::string encode_map(const MapState& state) {
  const DatabaseMap::Encoded map = state.map.encoded();
  std::string text(map.begin(), map.end());
  append_little(text, state.lsn, sizeof state.lsn);
  append_little(text, state.last_lsn, sizeof state.last_lsn);
  return text;
}

std::optional<MapState> parse_map(std::string_view bytes) {
  if (bytes.size() != DatabaseMap::bytes + 2 * sizeof(Lsn)) return std::nullopt;
  const auto map = DatabaseMap::parse(bytes.substr(0, DatabaseMap::bytes));
  if (!map) return std::nullopt;
  bytes.remove_prefix(DatabaseMap::bytes);
  MapState state{.map = *map};
  state.lsn = take_little(bytes, sizeof state.lsn);
  state.last_lsn = take_little(bytes, sizeof state.last_lsn);
  if (state.lsn == 0 || state.lsn > state.last_lsn || state.last_lsn > limits::lsn_max) {
    return std::nullopt;
  }
  return state;
}

}  // namespace kvs::rocks
