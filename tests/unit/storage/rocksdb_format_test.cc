// rocksdb_format_test.cc - the records of the engine rocksdb, byte for byte.
#include <string>

#include <doctest/doctest.h>

#include "storage/rocksdb/format.h"

using namespace kvs;
using namespace kvs::rocks;

namespace {

std::string hex(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    text += digits[static_cast<unsigned char>(c) >> 4];
    text += digits[static_cast<unsigned char>(c) & 15];
  }
  return text;
}

}  // namespace

TEST_CASE("the keys of rocksdb's records are frozen") {
  const DataKey data({3, "name"}, 0x01020304, 0x1122334455667788);
  CHECK(hex(data.view()) ==
        "6403"
        "01020304"
        "1122334455667788"
        "6e616d65");
  CHECK(hex(deadline_key({3, "name"}, 0x01020304, 0x0a0b)) ==
        "7403"
        "01020304"
        "0000000000000a0b"
        "6e616d65");
  CHECK(hex(state_key(15)) == "730f");
  CHECK(hex(secret_key()) == "68");
  CHECK(hex(map_key()) == "6d");
  CHECK(hex(range_prefix('d', 3, 7)) ==
        "6403"
        "00000007");
  CHECK(number_of(data.view()) == 0x1122334455667788);
  CHECK(name_of(data.view()) == "name");
}

TEST_CASE("a key is whole, however long its name is") {
  for (const std::size_t size : {0, 241, 242, 243, 1000, 100'000}) {
    CAPTURE(size);
    const std::string name(size, 'n');
    const DataKey data({0, name}, 1, 2);
    CHECK(name_of(data.view()) == name);
    CHECK(number_of(data.view()) == 2);
  }
}

TEST_CASE("the values of rocksdb's records are frozen") {
  CHECK(hex(encode_header({.lsn = 0x010203040506})) ==
        "00"
        "060504030201");
  CHECK(hex(encode_header({.lsn = 1, .expire_at = 0x0a0b})) ==
        "01"
        "010000000000"
        "0b0a000000000000");
  CHECK(hex(encode_state({.epoch = 1, .keys = 2, .volatiles = 1, .last_lsn = 4, .clock = 5})) ==
        "01000000"
        "0200000000000000"
        "0100000000000000"
        "0400000000000000"
        "0500000000000000");
  MapState exchanged{.lsn = 6, .last_lsn = 7};
  exchanged.map.swap(0, 3);
  CHECK(hex(encode_map(exchanged)) ==
        "1302547698badcfe"
        "0600000000000000"
        "0700000000000000");
}

TEST_CASE("what was encoded is parsed, and what was not is refused") {
  const std::string bytes = encode_header({.lsn = 7, .expire_at = 9}) + "value";
  const auto record = parse_data(bytes);
  REQUIRE(record);
  CHECK(record->header.lsn == 7);
  CHECK(record->header.expire_at == 9);
  CHECK(record->value == "value");
  const std::string plain = encode_header({.lsn = 7});
  REQUIRE(parse_data(plain));
  CHECK(parse_data(plain)->value.empty());
  for (std::size_t size = 0; size < plain.size(); ++size) {
    CHECK_FALSE(parse_data(plain.substr(0, size)));
  }
  const std::string timed = encode_header({.lsn = 7, .expire_at = 9});
  for (std::size_t size = 0; size < timed.size(); ++size) {
    CHECK_FALSE(parse_data(timed.substr(0, size)));
  }
  CHECK_FALSE(parse_data("\x02" + plain.substr(1)));
  CHECK_FALSE(parse_data(std::string(15, '\xff')));

  const std::string state = encode_state({.keys = 2, .volatiles = 1, .last_lsn = 4});
  REQUIRE(parse_state(state));
  CHECK(parse_state(state)->keys == 2);
  CHECK_FALSE(parse_state(state + "x"));
  CHECK_FALSE(parse_state(state.substr(1)));
  CHECK_FALSE(parse_state(encode_state({.keys = 1, .volatiles = 2})));
  CHECK_FALSE(parse_state(encode_state({.last_lsn = std::uint64_t{1} << 48})));
  const std::string map = encode_map({.lsn = 6, .last_lsn = 7});
  REQUIRE(parse_map(map));
  CHECK(parse_map(map)->lsn == 6);
  CHECK(parse_map(map)->last_lsn == 7);
  CHECK_FALSE(parse_map(map + "x"));
  CHECK_FALSE(parse_map(map.substr(1)));
  CHECK_FALSE(parse_map("\x11" + map.substr(1)));
  CHECK_FALSE(parse_map(encode_map({.lsn = 8, .last_lsn = 7})));
  CHECK(parse_secret(std::string(16, 's')));
  CHECK_FALSE(parse_secret(std::string(15, 's')));
}
