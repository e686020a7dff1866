// keydir_test.cc - the index of the log engine through its public interface.
#include "storage/log/keydir.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <iterator>
#include <limits>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include <doctest/doctest.h>

using kvs::Database;
using kvs::HashKey;
using kvs::Key;
using kvs::Lsn;
using kvs::never;
using kvs::UnixMs;
using kvs::log::Change;
using kvs::log::Entry;
using kvs::log::ExpiredKey;
using kvs::log::Keydir;
using kvs::log::Location;
using kvs::log::Visibility;

namespace {

constexpr std::uint64_t cache_bytes = std::uint64_t{32} << 17;  // 128 KiB per shard

std::uint64_t seed() {
  const char* given = std::getenv("KVS_SEED");
  const std::uint64_t value =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  MESSAGE("KVS_SEED=" << value);
  return value;
}

Entry entry_of(Lsn lsn, std::size_t value_bytes, UnixMs expire_at = never) {
  return {.location = {.segment = static_cast<std::uint32_t>(lsn % 7),
                       .offset_bytes = static_cast<std::uint32_t>(lsn * 16),
                       .record_bytes = static_cast<std::uint32_t>(value_bytes + 40)},
          .lsn = lsn,
          .value_bytes = value_bytes,
          .expire_at = expire_at};
}

Change put_of(Key key, Lsn lsn, std::string_view value, UnixMs expire_at = never) {
  return {.key = key, .lsn = lsn, .entry = entry_of(lsn, value.size(), expire_at), .value = value};
}

Change removal_of(Key key, Lsn lsn) {
  return {.key = key, .lsn = lsn, .entry = std::nullopt, .value = std::nullopt};
}

Change applied(Keydir& keydir, Change change) {
  keydir.apply({&change, 1}, Visibility::one_by_one);
  return change;
}

Change put(Keydir& keydir, Key key, Lsn lsn, std::string_view value, UnixMs expire_at = never) {
  return applied(keydir, put_of(key, lsn, value, expire_at));
}

Change remove(Keydir& keydir, Key key, Lsn lsn) {
  return applied(keydir, removal_of(key, lsn));
}

// Nullopt: absent or not resident.
std::optional<std::string> resident(Keydir& keydir, Key key) {
  std::string value = "untouched";
  const auto found = keydir.get(key, value);
  if (!found || !found->resident) {
    CHECK(value == "untouched");
    return std::nullopt;
  }
  return value;
}

std::multiset<std::string> scanned(const Keydir& keydir, Database database, std::size_t count) {
  std::multiset<std::string> names;
  std::uint64_t cursor = 0;
  do {
    std::size_t in_step = 0;
    cursor = keydir.scan(database, cursor, count, [&](std::string_view name, const Entry&) {
      names.emplace(name);
      ++in_step;
    });
    CHECK(cursor < std::uint64_t{1} << 41);
    if (cursor != 0) {
      CHECK(in_step >= count);
      CHECK(in_step <= count + 3);  // only equal hashes go beyond
    }
  } while (cursor != 0);
  return names;
}

}  // namespace

TEST_CASE("a key is found with what was stored and its value, until it is removed") {
  Keydir keydir(HashKey::random(), cache_bytes);
  CHECK(keydir.find({0, "a"}) == std::nullopt);
  const Change first = put(keydir, {0, "a"}, 1, "one");
  CHECK(first.applied);
  CHECK(first.replaced == std::nullopt);
  CHECK(keydir.find({0, "a"}) == entry_of(1, 3));
  CHECK(resident(keydir, {0, "a"}) == "one");

  const Change second = put(keydir, {0, "a"}, 2, "second");
  CHECK(second.replaced == entry_of(1, 3));
  CHECK(resident(keydir, {0, "a"}) == "second");
  CHECK(keydir.keys(0) == 1);

  const Change third = remove(keydir, {0, "a"}, 3);
  CHECK(third.applied);
  CHECK(third.replaced == entry_of(2, 6));
  CHECK(keydir.find({0, "a"}) == std::nullopt);
  CHECK(resident(keydir, {0, "a"}) == std::nullopt);
  CHECK(keydir.keys(0) == 0);
}

TEST_CASE("removing an absent key changes nothing") {
  Keydir keydir(HashKey::random(), cache_bytes);
  const Change change = remove(keydir, {0, "a"}, 1);
  CHECK(change.replaced == std::nullopt);
  CHECK(keydir.keys(0) == 0);
}

TEST_CASE("keys are binary, may be empty and may be long") {
  Keydir keydir(HashKey::random(), cache_bytes);
  const std::vector<std::string> names = {
      "",  std::string(1, '\0'), std::string(2, '\0'),     std::string("a\0b", 3),
      "a", "\r\n\xff",           std::string(100'000, 'k')};
  Lsn lsn = 0;
  for (const std::string& name : names) put(keydir, {0, name}, ++lsn, "v" + name.substr(0, 5));
  lsn = 0;
  for (const std::string& name : names) {
    const auto entry = keydir.find({0, name});
    REQUIRE(entry);
    CHECK(entry->lsn == ++lsn);
    CHECK(resident(keydir, {0, name}) == "v" + name.substr(0, 5));
  }
  CHECK(scanned(keydir, 0, 2) == std::multiset<std::string>(names.begin(), names.end()));
}

TEST_CASE("databases are separate") {
  Keydir keydir(HashKey::random(), cache_bytes);
  for (Database database = 0; database < kvs::databases_count; ++database) {
    put(keydir, {database, "a"}, database + 1U, std::string(database, 'v'));
  }
  remove(keydir, {5, "a"}, 100);
  for (Database database = 0; database < kvs::databases_count; ++database) {
    CAPTURE(int{database});
    if (database == 5) {
      CHECK(keydir.find({database, "a"}) == std::nullopt);
      CHECK(keydir.keys(database) == 0);
    } else {
      CHECK(resident(keydir, {database, "a"}) == std::string(database, 'v'));
      CHECK(keydir.keys(database) == 1);
    }
  }
}

TEST_CASE("a change older than the entry is ignored") {
  Keydir keydir(HashKey::random(), cache_bytes);
  put(keydir, {0, "a"}, 10, "new");
  CHECK_FALSE(put(keydir, {0, "a"}, 9, "old").applied);
  CHECK_FALSE(put(keydir, {0, "a"}, 10, "twin").applied);
  const Change removal = remove(keydir, {0, "a"}, 9);
  CHECK_FALSE(removal.applied);
  CHECK(removal.replaced == std::nullopt);
  CHECK(resident(keydir, {0, "a"}) == "new");
}

TEST_CASE("recovery gives the same result for every order of the records") {
  const std::uint64_t start = seed();
  std::mt19937_64 random(start);
  for (int round = 0; round < 50; ++round) {
    struct Record {
      Lsn lsn;
      int kind;  // 0: clear, 1: removal, else put
      Database database;
      std::string name;
    };
    std::vector<Record> records;
    std::map<std::pair<Database, std::string>, Lsn> model;
    for (Lsn lsn = 1; lsn <= 300; ++lsn) {
      const int kind = random() % 60 == 0 ? 0 : random() % 3 == 0 ? 1 : 2;
      Record record{lsn, kind, static_cast<Database>(random() % 2),
                    "k" + std::to_string(random() % 30)};
      if (kind == 0) {
        std::erase_if(model, [&](const auto& one) { return one.first.first == record.database; });
      } else if (kind == 1) {
        model.erase({record.database, record.name});
      } else {
        model[{record.database, record.name}] = lsn;
      }
      records.push_back(record);
    }
    std::shuffle(records.begin(), records.end(), random);
    Keydir keydir(HashKey::random(), cache_bytes);
    keydir.begin_recovery();
    for (const Record& record : records) {
      const Key key{record.database, record.name};
      const UnixMs expire_at = record.lsn % 3 == 0 ? static_cast<UnixMs>(record.lsn) : never;
      if (record.kind == 0) keydir.clear(record.database, record.lsn);
      if (record.kind == 1) remove(keydir, key, record.lsn);
      if (record.kind == 2) put(keydir, key, record.lsn, "v", expire_at);
    }
    keydir.end_recovery();
    std::uint64_t volatiles = 0;
    for (const auto& [key, lsn] : model) {
      const auto entry = keydir.find({key.first, key.second});
      REQUIRE(entry);
      REQUIRE(entry->lsn == lsn);
      volatiles += lsn % 3 == 0;
    }
    CHECK(keydir.keys(0) + keydir.keys(1) == model.size());
    CHECK(keydir.volatiles(0) + keydir.volatiles(1) == volatiles);
    CHECK(scanned(keydir, 0, 7).size() + scanned(keydir, 1, 7).size() == model.size());
    std::vector<ExpiredKey> expired;
    keydir.expired(1000, 1000, expired);
    CHECK(expired.size() == volatiles);
  }
}

TEST_CASE("random operations agree with a map") {
  const std::uint64_t start = seed();
  std::mt19937_64 random(start);
  Keydir keydir(HashKey::random(), 32 * 256);  // tiny rings: values come and go
  struct Content {
    Entry entry;
    std::string value;
    bool operator==(const Content&) const = default;
  };
  std::map<std::pair<Database, std::string>, Content> model;
  Lsn lsn = 0;
  for (int step = 0; step < 3000; ++step) {
    std::vector<std::string> names(random() % 40 + 1);
    std::vector<std::string> values(names.size());
    std::vector<Change> changes;
    std::vector<std::optional<Entry>> replaced;
    for (std::size_t i = 0; i < names.size(); ++i) {
      const auto database = static_cast<Database>(random() % 3);
      names[i] = "key" + std::to_string(random() % (step < 1500 ? 5000 : 50));
      values[i] = std::string(random() % 34, static_cast<char>('a' + random() % 26));
      const UnixMs expire_at = random() % 3 ? never : static_cast<UnixMs>(random() % 1000 + 1);
      auto& content = model[{database, names[i]}];
      replaced.push_back(content.entry.lsn == 0 ? std::nullopt : std::optional(content.entry));
      if (random() % 100 < 30) {
        changes.push_back(removal_of({database, names[i]}, ++lsn));
        model.erase({database, names[i]});
      } else {
        changes.push_back(put_of({database, names[i]}, ++lsn, values[i], expire_at));
        if (random() % 4 == 0) changes.back().value.reset();
        content = {*changes.back().entry, values[i]};
      }
    }
    keydir.apply(changes, random() % 2 ? Visibility::together : Visibility::one_by_one);
    for (std::size_t i = 0; i < changes.size(); ++i) {
      REQUIRE(changes[i].applied);
      REQUIRE(changes[i].replaced == replaced[i]);
    }
    std::vector<Key> hinted;  // present ones, absent ones, and those of a database without keys
    for (std::size_t i = 0; i < names.size(); ++i) {
      hinted.push_back({static_cast<Database>(random() % 4), names[i]});
    }
    if (random() % 2) {
      keydir.prefetch_entries(hinted);
    } else {
      keydir.prefetch_values(hinted);
    }
    for (int look = 0; look < 20; ++look) {
      const auto database = static_cast<Database>(random() % 3);
      const std::string name = "key" + std::to_string(random() % 5000);
      const auto expected = model.find({database, name});
      std::string value;
      const auto found = keydir.get({database, name}, value);
      REQUIRE(found.has_value() == (expected != model.end()));
      if (!found) continue;
      REQUIRE(found->entry == expected->second.entry);
      if (found->resident) {
        REQUIRE(value == expected->second.value);
      } else if (random() % 2) {
        keydir.keep_value({database, name}, found->entry.lsn, expected->second.value);
        REQUIRE(keydir.get({database, name}, value)->resident ==
                (expected->second.value.size() <= 256 / 8));
      }
      const Location to{99, static_cast<std::uint32_t>(step), found->entry.location.record_bytes};
      REQUIRE(keydir.relocate({database, name}, found->entry.lsn, found->entry.location, to));
      expected->second.entry.location = to;
      if (random() % 10 == 0) {
        REQUIRE_FALSE(keydir.remove_if({database, name}, found->entry.lsn - 1).has_value());
        REQUIRE(keydir.remove_if({database, name}, found->entry.lsn).has_value());
        model.erase(expected);
      }
    }
    if (step % 500 == 499) {
      const auto database = static_cast<Database>(random() % 3);
      keydir.clear(database, ++lsn);
      std::erase_if(model, [&](const auto& one) { return one.first.first == database; });
    }
    if (step % 100 != 0) continue;
    std::vector<std::tuple<UnixMs, Database, std::string>> deadlines;
    for (Database database = 0; database < 3; ++database) {
      std::multiset<std::string> expected;
      for (const auto& [key, content] : model) {
        if (key.first != database) continue;
        expected.insert(key.second);
        if (content.entry.expire_at != never) {
          deadlines.emplace_back(content.entry.expire_at, database, key.second);
        }
      }
      REQUIRE(keydir.keys(database) == expected.size());
      REQUIRE(scanned(keydir, database, random() % 200 + 1) == expected);
    }
    REQUIRE(keydir.volatiles(0) + keydir.volatiles(1) + keydir.volatiles(2) == deadlines.size());
    std::sort(deadlines.begin(), deadlines.end());
    REQUIRE(keydir.next_deadline() == (deadlines.empty() ? never : std::get<0>(deadlines[0])));
    std::vector<ExpiredKey> expired;
    keydir.expired(500, 10, expired);
    std::size_t due = 0;
    while (due < deadlines.size() && std::get<0>(deadlines[due]) <= 500) ++due;
    REQUIRE(expired.size() == std::min<std::size_t>(due, 10));
    for (std::size_t i = 0; i < expired.size(); ++i) {
      REQUIRE(expired[i].entry.expire_at == std::get<0>(deadlines[i]));
      REQUIRE(model.at({expired[i].database, expired[i].key}).entry == expired[i].entry);
    }
  }
}

TEST_CASE("relocating needs the very entry") {
  Keydir keydir(HashKey::random(), cache_bytes);
  put(keydir, {0, "a"}, 5, "value", 1000);
  const Location from = entry_of(5, 5).location;
  // A longer record than the key and value explain makes the node itself longer.
  const Location to{.segment = 8, .offset_bytes = 9, .record_bytes = 5000};
  CHECK_FALSE(keydir.relocate({0, "a"}, 4, from, to));
  CHECK_FALSE(keydir.relocate({0, "a"}, 5, to, to));
  CHECK_FALSE(keydir.relocate({0, "b"}, 5, from, to));
  CHECK_FALSE(keydir.relocate({1, "a"}, 5, from, to));
  CHECK(keydir.find({0, "a"})->location == from);
  CHECK(keydir.relocate({0, "a"}, 5, from, to));
  CHECK(keydir.find({0, "a"})->location == to);
  CHECK(keydir.find({0, "a"})->value_bytes == 5);
  CHECK(resident(keydir, {0, "a"}) == "value");
  std::vector<ExpiredKey> expired;
  keydir.expired(1000, 10, expired);
  REQUIRE(expired.size() == 1);
  CHECK(expired[0].entry.location == to);
}

TEST_CASE("a value is kept only for the entry that it was read for") {
  Keydir keydir(HashKey::random(), cache_bytes);
  Change change = put_of({0, "a"}, 2, "now");
  change.value.reset();
  applied(keydir, change);
  CHECK(resident(keydir, {0, "a"}) == std::nullopt);
  keydir.keep_value({0, "a"}, 1, "old");
  CHECK(resident(keydir, {0, "a"}) == std::nullopt);
  keydir.keep_value({0, "b"}, 2, "now");
  keydir.keep_value({0, "a"}, 2, "now");
  CHECK(resident(keydir, {0, "a"}) == "now");
  CHECK(keydir.find({0, "b"}) == std::nullopt);
}

TEST_CASE("empty values are kept and long ones are not") {
  Keydir keydir(HashKey::random(), cache_bytes);
  put(keydir, {0, "empty"}, 1, "");
  put(keydir, {0, "long"}, 2, std::string(64 * 1024, 'v'));
  put(keydir, {0, "under an eighth"}, 3, std::string(8000, 'v'));
  CHECK(resident(keydir, {0, "empty"}) == "");
  CHECK(resident(keydir, {0, "long"}) == std::nullopt);
  CHECK(keydir.find({0, "long"})->value_bytes == 64 * 1024);
  CHECK(resident(keydir, {0, "under an eighth"}) == std::string(8000, 'v'));
}

TEST_CASE("no copy is taken for another when the ring's positions come round") {
  std::mt19937_64 random(seed());
  // 1 KiB of ring per shard and 4096 positions of 8 bytes: used again after 32 KiB.
  Keydir keydir(HashKey::random(), 32 * 1024, 12);
  Lsn lsn = 0;
  std::map<std::string, std::string> model;
  // Written once and not again, so that positions in their nodes grow old.
  for (int i = 0; i < 2000; ++i) {
    const std::string name = "old" + std::to_string(i);
    model[name] = "old value of " + name + "!";
    put(keydir, {static_cast<Database>(i % 2), name}, ++lsn, model[name]);
  }
  std::size_t resident_olds = 0;
  for (int round = 0; round < 300'000; ++round) {
    const std::string name = "new" + std::to_string(random() % 100);
    put(keydir, {0, name}, ++lsn, std::string(random() % 128, 'n'));
    if (round % 10 != 0) continue;
    const auto number = random() % 2000;
    const std::string old = "old" + std::to_string(number);
    const auto value = resident(keydir, {static_cast<Database>(number % 2), old});
    if (!value) continue;
    ++resident_olds;
    REQUIRE(*value == model[old]);
  }
  // The newest old ones, in the first rounds: what was looked at was not nothing.
  CHECK(resident_olds > 0);
}

TEST_CASE("a large value is copied into a string that has to grow") {
  Keydir keydir(HashKey::random(), std::uint64_t{64} << 20);
  const std::string large(100'000, 'v');
  put(keydir, {0, "large"}, 1, large);
  CHECK(resident(keydir, {0, "large"}) == large);
}

TEST_CASE("without cache no value is resident") {
  Keydir keydir(HashKey::random(), 0);
  put(keydir, {0, "a"}, 1, "value");
  put(keydir, {0, "b"}, 2, "");
  CHECK(resident(keydir, {0, "a"}) == std::nullopt);
  CHECK(resident(keydir, {0, "b"}) == std::nullopt);
  CHECK(keydir.find({0, "a"}));
  CHECK(keydir.cache_bytes() == 0);
}

TEST_CASE("values that are read stay in memory while others pass through") {
  Keydir keydir(HashKey::random(), cache_bytes);
  Lsn lsn = 0;
  const std::string value(100, 'v');
  put(keydir, {0, "hot"}, ++lsn, "hot value");
  put(keydir, {0, "unread"}, ++lsn, "unread value");
  // Three times what fits; read often enough to fall into every oldest quarter.
  for (int i = 0; i < 3 * 4 * 1024 * 1024 / 100; ++i) {
    put(keydir, {0, "passing" + std::to_string(i % 1000)}, ++lsn, value);
    if (i % 1000 == 0) REQUIRE(resident(keydir, {0, "hot"}) == "hot value");
  }
  CHECK(resident(keydir, {0, "unread"}) == std::nullopt);
  CHECK(keydir.find({0, "unread"}));
  CHECK(keydir.cache_bytes() <= cache_bytes);
  CHECK(keydir.cache_bytes() > cache_bytes / 2);
}

TEST_CASE("a scan visits every key that stays exactly once while the index grows and shrinks") {
  std::mt19937_64 random(seed());
  for (const bool growing : {true, false}) {
    CAPTURE(growing);
    Keydir keydir(HashKey::random(), 0);
    Lsn lsn = 0;
    std::set<std::string> staying;
    for (int i = 0; i < 2000; ++i) {
      const std::string name = "stays" + std::to_string(i);
      staying.insert(name);
      put(keydir, {0, name}, ++lsn, "");
    }
    const int others = 60'000;
    const auto other = [](int i) { return "other" + std::to_string(i); };
    if (!growing) {
      for (int i = 0; i < others; ++i) put(keydir, {0, other(i)}, ++lsn, "");
    }
    std::map<std::string, int> visits;
    std::uint64_t cursor = 0;
    int changed = 0;
    do {
      cursor = keydir.scan(0, cursor, random() % 50, [&](std::string_view name, const Entry&) {
        ++visits[std::string(name)];
      });
      // Everything has changed well before the scan is over.
      for (int i = 0; i < 1000 && changed < others; ++i, ++changed) {
        if (growing) put(keydir, {0, other(changed)}, ++lsn, "");
        if (!growing) remove(keydir, {0, other(changed)}, ++lsn);
      }
    } while (cursor != 0);
    CHECK(changed == others);
    for (const auto& [name, times] : visits) REQUIRE(times == 1);
    for (const std::string& name : staying) REQUIRE(visits.contains(name));
  }
}

TEST_CASE("a scan with any cursor ends, and its visitor may use the index") {
  Keydir keydir(HashKey::random(), cache_bytes);
  const auto ignore = [](std::string_view, const Entry&) {};
  CHECK(keydir.scan(0, 0, 10, ignore) == 0);
  for (Lsn lsn = 1; lsn <= 100; ++lsn) put(keydir, {0, std::to_string(lsn)}, lsn, "v");
  CHECK(keydir.scan(0, std::numeric_limits<std::uint64_t>::max(), 10, ignore) == 0);
  CHECK(keydir.scan(0, std::uint64_t{1} << 41, 10, ignore) == 0);
  CHECK(keydir.scan(0, (std::uint64_t{1} << 41) - 1, 10, ignore) == 0);
  CHECK(keydir.scan(0, 0, 0, ignore) != 0);
  std::size_t visited = 0;
  CHECK(keydir.scan(0, 0, std::numeric_limits<std::size_t>::max(),
                    [&](std::string_view name, const Entry& entry) {
                      CHECK(keydir.find({0, name}) == entry);
                      CHECK(keydir.remove_if({0, name}, entry.lsn).has_value());
                      ++visited;
                    }) == 0);
  CHECK(visited == 100);
  CHECK(keydir.keys(0) == 0);
}

TEST_CASE("every key is about equally likely to be the random one") {
  Keydir keydir(HashKey::random(), 0);
  CHECK(keydir.random_key(0) == std::nullopt);
  const int keys = 200;  // some six per shard
  for (int i = 0; i < keys; ++i) put(keydir, {0, std::to_string(i)}, static_cast<Lsn>(i) + 1, "");
  CHECK(keydir.random_key(1) == std::nullopt);
  std::map<std::string, int> drawn;
  const int draws = 100'000;  // 500 per key, standard deviation 22
  for (int i = 0; i < draws; ++i) ++drawn[*keydir.random_key(0)];
  CHECK(drawn.size() == keys);
  for (const auto& [name, times] : drawn) {
    CHECK(times > 350);
    CHECK(times < 650);
  }
}

TEST_CASE("the random keys of a large database are spread over it") {
  Keydir keydir(HashKey::random(), 0);
  const Lsn keys = 50'000;
  for (Lsn lsn = 1; lsn <= keys; ++lsn) put(keydir, {0, std::to_string(lsn)}, lsn, "");
  std::set<std::string> drawn;
  for (Lsn i = 0; i < keys; ++i) drawn.insert(*keydir.random_key(0));
  // With equal chances a share of 1 - 1/e is drawn: 31606.
  CHECK(drawn.size() > 30'500);
  CHECK(drawn.size() < 32'500);
}

TEST_CASE("clearing empties one database at once and hands its entries out in slices") {
  Keydir keydir(HashKey::random(), cache_bytes);
  Lsn lsn = 0;
  std::multiset<Lsn> cleared;
  for (int i = 0; i < 5000; ++i) {
    put(keydir, {1, std::to_string(i)}, ++lsn, "v", i % 2 ? i : never);
    cleared.insert(lsn);
  }
  put(keydir, {0, "other"}, ++lsn, "v", 5000);
  CHECK(keydir.next_deadline() == 1);
  const std::uint64_t full = keydir.memory_bytes();
  keydir.clear(1, ++lsn);
  CHECK(keydir.keys(1) == 0);
  CHECK(keydir.volatiles(1) == 0);
  CHECK(keydir.find({1, "7"}) == std::nullopt);
  CHECK(scanned(keydir, 1, 10).empty());
  CHECK(keydir.random_key(1) == std::nullopt);
  CHECK(keydir.next_deadline() == 5000);
  CHECK(resident(keydir, {0, "other"}) == "v");
  // New keys of old names do not mix with what was cleared.
  CHECK(put(keydir, {1, "7"}, ++lsn, "new").replaced == std::nullopt);
  keydir.clear(2, ++lsn);

  std::multiset<Lsn> drained;
  const auto visit = [&](const Entry& entry) {
    CHECK(keydir.keys(1) == 1);  // no lock is held
    drained.insert(entry.lsn);
  };
  CHECK(keydir.drain_cleared(1000, visit) == 1000);
  CHECK(drained.size() == 1000);
  while (keydir.drain_cleared(1000, visit) != 0) {
  }
  CHECK(drained == cleared);
  CHECK(keydir.memory_bytes() < full);
  CHECK(resident(keydir, {1, "7"}) == "new");
}

TEST_CASE("several threads may feed a recovery") {
  // Every record goes to a thread of its own choice, clears included: only LSNs decide.
  const std::uint64_t start = seed();
  for (int round = 0; round < 5; ++round) {
    std::mt19937_64 random(start + static_cast<std::uint64_t>(round));
    struct Record {
      Lsn lsn;
      int kind;  // 0: clear, 1: removal, else put
      Database database;
      std::string name;
    };
    constexpr std::size_t feeders = 4;
    std::array<std::vector<Record>, feeders> records;
    std::map<std::pair<Database, std::string>, Lsn> model;
    for (Lsn lsn = 1; lsn <= 20'000; ++lsn) {
      const int kind = random() % 4000 == 0 ? 0 : random() % 3 == 0 ? 1 : 2;
      Record record{lsn, kind, static_cast<Database>(random() % 2),
                    "k" + std::to_string(random() % 3000)};
      if (kind == 0) {
        std::erase_if(model, [&](const auto& one) { return one.first.first == record.database; });
      } else if (kind == 1) {
        model.erase({record.database, record.name});
      } else {
        model[{record.database, record.name}] = lsn;
      }
      records[random() % feeders].push_back(std::move(record));
    }
    Keydir keydir(HashKey::random(), cache_bytes);
    keydir.begin_recovery();
    std::vector<std::thread> threads;
    for (const auto& share : records) {
      threads.emplace_back([&keydir, &share] {
        std::vector<Change> changes;
        for (std::size_t next = 0; next < share.size();) {
          changes.clear();
          for (; next < share.size() && changes.size() < 50; ++next) {
            const auto& [lsn, kind, database, name] = share[next];
            const UnixMs expire_at = lsn % 3 == 0 ? static_cast<UnixMs>(lsn) : never;
            if (kind == 0) keydir.clear(database, lsn);
            if (kind == 1) changes.push_back(removal_of({database, name}, lsn));
            if (kind == 2) changes.push_back(put_of({database, name}, lsn, "v", expire_at));
          }
          keydir.apply(changes, Visibility::one_by_one);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    keydir.end_recovery();
    std::uint64_t volatiles = 0;
    for (const auto& [key, lsn] : model) {
      const auto entry = keydir.find({key.first, key.second});
      REQUIRE(entry);
      REQUIRE(entry->lsn == lsn);
      volatiles += lsn % 3 == 0;
    }
    CHECK(keydir.keys(0) + keydir.keys(1) == model.size());
    CHECK(keydir.volatiles(0) + keydir.volatiles(1) == volatiles);
    CHECK(scanned(keydir, 0, 100).size() + scanned(keydir, 1, 100).size() == model.size());
  }
}

TEST_CASE("scans stay exact while keys of changing sizes come, go and are cleared elsewhere") {
  std::mt19937_64 random(seed());
  Keydir keydir(HashKey::random(), 64 * 1024);
  Lsn lsn = 0;
  std::set<std::string> staying;
  for (int i = 0; i < 3000; ++i) {
    staying.insert("stays" + std::to_string(i) + std::string(random() % 40, 's'));
  }
  // Their nodes move: deadlines come and go, and holes of their neighbours are tidied away.
  const auto touch = [&](const std::string& name) {
    ++lsn;
    put(keydir, {0, name}, lsn, "v", random() % 2 ? never : static_cast<UnixMs>(lsn));
  };
  for (const std::string& name : staying) touch(name);
  std::map<std::string, Lsn> others;
  for (int scan = 0; scan < 4; ++scan) {
    std::map<std::string, int> visits;
    std::uint64_t cursor = 0;
    do {
      cursor = keydir.scan(0, cursor, random() % 60 + 1, [&](std::string_view name, const Entry&) {
        ++visits[std::string(name)];
      });
      for (int i = 0; i < 300; ++i) {
        if (random() % 20 == 0)
          touch(*std::next(staying.begin(), static_cast<std::ptrdiff_t>(random() % 50)));
        if (random() % 2 || others.empty()) {
          const std::string name = std::to_string(++lsn) + std::string(random() % 300, 'o');
          put(keydir, {0, name}, lsn, "");
          others[name] = lsn;
        } else {
          auto victim = others.lower_bound(std::to_string(random() % (lsn + 1)));
          if (victim == others.end()) victim = others.begin();
          REQUIRE(keydir.remove_if({0, victim->first}, victim->second).has_value());
          others.erase(victim);
        }
      }
      put(keydir, {1, "cleared"}, ++lsn, "");
      keydir.clear(1, ++lsn);
    } while (cursor != 0);
    for (const std::string& name : staying) REQUIRE(visits[name] == 1);
    for (const auto& [name, times] : visits) REQUIRE(times <= 1);
    CHECK(keydir.keys(0) == staying.size() + others.size());
    CHECK(keydir.keys(1) == 0);
  }
}

TEST_CASE("records older than a clear are ignored after it") {
  Keydir keydir(HashKey::random(), cache_bytes);
  keydir.clear(0, 10);
  CHECK_FALSE(put(keydir, {0, "a"}, 9, "old").applied);
  CHECK(put(keydir, {1, "a"}, 9, "other database").applied);
  CHECK(put(keydir, {0, "a"}, 11, "new").applied);
  keydir.clear(0, 5);
  CHECK(resident(keydir, {0, "a"}) == "new");
  CHECK(keydir.keys(0) == 1);
}

TEST_CASE("expired keys come earliest first, over all databases, and stay") {
  Keydir keydir(HashKey::random(), cache_bytes);
  CHECK(keydir.next_deadline() == never);
  Lsn lsn = 0;
  for (UnixMs i = 1; i <= 1000; ++i) {
    put(keydir, {static_cast<Database>(i % 16), std::to_string(i)}, ++lsn, "v", i * 10);
  }
  put(keydir, {0, "forever"}, ++lsn, "v");
  std::vector<ExpiredKey> expired;
  keydir.expired(9, 100, expired);
  CHECK(expired.empty());
  keydir.expired(5000, 100, expired);
  REQUIRE(expired.size() == 100);
  for (std::size_t i = 0; i < 100; ++i) {
    CHECK(expired[i].key == std::to_string(i + 1));
    CHECK(expired[i].database == (i + 1) % 16);
    CHECK(expired[i].entry == keydir.find({expired[i].database, expired[i].key}));
  }
  keydir.expired(15, 100, expired);
  CHECK(expired.size() == 101);  // appended
  expired.clear();
  keydir.expired(5000, 1000, expired);
  CHECK(expired.size() == 500);
  CHECK(keydir.next_deadline() == 10);
  CHECK(keydir.remove_if({1, "1"}, 1).has_value());
  CHECK(keydir.next_deadline() == 20);
  put(keydir, {2, "2"}, ++lsn, "v");  // no deadline any more
  CHECK(keydir.next_deadline() == 30);
  put(keydir, {3, "3"}, ++lsn, "v", 100'000);
  CHECK(keydir.next_deadline() == 40);
  put(keydir, {5, "new"}, ++lsn, "v", 5);
  CHECK(keydir.next_deadline() == 5);
}

TEST_CASE("who sees one change of a batch that is together sees all of it") {
  Keydir keydir(HashKey::random(), cache_bytes);
  // As many keys as it takes to need every shard.
  std::vector<std::string> names;
  for (int i = 0; i < 500; ++i) names.push_back("key" + std::to_string(i));
  std::mutex outer;  // as the engine's writer place: one more lock is held
  std::atomic<bool> stop{false};
  std::atomic<int> torn{0};
  std::atomic<std::uint64_t> reads{0};
  std::vector<std::thread> readers;
  for (unsigned reader = 0; reader < 2; ++reader) {
    readers.emplace_back([&, reader] {
      std::mt19937_64 random(reader);
      std::string first;
      std::string second;
      while (!stop) {
        const Key one{0, names[random() % names.size()]};
        const Key two{0, names[random() % names.size()]};
        const auto before = keydir.get(one, first);
        const auto after = keydir.get(two, second);
        if (before && (!after || after->entry.expire_at < before->entry.expire_at)) ++torn;
        if (keydir.keys(0) != 0 && keydir.keys(0) != names.size()) ++torn;
        ++reads;
      }
    });
  }
  Lsn lsn = 0;
  // The deadline serves as the number of the batch.
  for (UnixMs batch = 1; batch <= 200 || (reads < 1000 && batch < 1'000'000); ++batch) {
    std::vector<Change> changes;
    const std::string value = std::to_string(batch);
    for (const std::string& name : names) {
      changes.push_back(put_of({0, name}, ++lsn, value, batch));
    }
    const std::lock_guard lock(outer);
    keydir.apply(changes, Visibility::together);
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  CHECK(reads >= 1000);
  CHECK(torn == 0);
}

TEST_CASE("readers see whole values while writers, compaction and clears go on") {
  std::mt19937_64 random(seed());
  Keydir keydir(HashKey::random(), 32 * 1024);  // 1 KiB per shard: constant overwriting
  constexpr int keys = 300;
  const auto name_of = [](std::uint64_t i) { return "key" + std::to_string(i % keys); };
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::atomic<std::uint64_t> hits{0};
  std::atomic<std::uint64_t> rounds{0};
  std::vector<std::thread> threads;
  threads.emplace_back([&] {
    std::mt19937_64 own(1);
    std::string value;
    while (!stop) {
      const std::array<std::string, 3> names = {name_of(own()), name_of(own()), name_of(own())};
      keydir.prefetch_values(std::array<Key, 3>{Key{0, names[0]}, {0, names[1]}, {0, names[2]}});
      const auto found = keydir.get({0, names[0]}, value);
      if (!found || !found->resident) continue;
      ++hits;
      // A value is one letter repeated, told by its LSN.
      const std::string expected(found->entry.value_bytes,
                                 static_cast<char>('a' + found->entry.lsn % 26));
      if (value != expected) ++wrong;
    }
  });
  threads.emplace_back([&] {
    std::mt19937_64 own(2);
    std::vector<ExpiredKey> expired;
    while (!stop) {
      std::uint64_t cursor = 0;
      std::map<std::string, int> visits;
      do {
        cursor = keydir.scan(0, cursor, 20, [&](std::string_view name, const Entry& entry) {
          if (++visits[std::string(name)] > 1) ++wrong;
          const std::string value(entry.value_bytes, static_cast<char>('a' + entry.lsn % 26));
          keydir.keep_value({0, name}, entry.lsn, value);
          const Location to{5, 6, entry.location.record_bytes};
          keydir.relocate({0, name}, entry.lsn, entry.location, to);
        });
      } while (cursor != 0);
      expired.clear();
      keydir.expired(500, 10, expired);
      for (const ExpiredKey& one : expired) {
        keydir.remove_if({one.database, one.key}, one.entry.lsn);
      }
      keydir.drain_cleared(100, [](const Entry&) {});
      keydir.random_key(0);
      keydir.next_deadline();
      keydir.memory_bytes();
      ++rounds;
    }
  });
  Lsn lsn = 0;
  for (int batch = 0; batch < 2000 || ((hits < 1000 || rounds < 5) && batch < 1'000'000); ++batch) {
    std::vector<std::string> names(20);
    std::vector<std::string> values(20);
    std::vector<Change> changes;
    for (std::size_t i = 0; i < names.size(); ++i) {
      names[i] = name_of(random());
      ++lsn;
      values[i] = std::string(random() % 100, static_cast<char>('a' + lsn % 26));
      const UnixMs expire_at = random() % 4 ? never : static_cast<UnixMs>(random() % 1000 + 1);
      changes.push_back(put_of({0, names[i]}, lsn, values[i], expire_at));
    }
    keydir.apply(changes, batch % 2 ? Visibility::together : Visibility::one_by_one);
    if (batch % 100 == 0) keydir.clear(0, ++lsn);
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  CHECK(hits >= 1000);
  CHECK(rounds >= 5);
  CHECK(wrong == 0);
  CHECK(scanned(keydir, 0, 10).size() == keydir.keys(0));
}

TEST_CASE("an index of many keys stays compact and gives its memory back") {
  Keydir keydir(HashKey::random(), 0);
  const Lsn keys = 200'000;
  const std::uint64_t empty = keydir.memory_bytes();
  std::vector<std::string> names;
  for (Lsn lsn = 1; lsn <= keys; ++lsn)
    names.push_back("key:" + std::to_string(100'000'000'000 + lsn));
  std::vector<Change> changes;
  for (Lsn lsn = 1; lsn <= keys; ++lsn) {
    changes.push_back(removal_of({0, names[lsn - 1]}, lsn));
    // As the log's records: some 20 bytes longer than key and value.
    changes.back().entry = Entry{{1, 2, 136}, lsn, 100, never};
  }
  keydir.apply(changes, Visibility::one_by_one);
  CHECK(keydir.keys(0) == keys);
  // At most 32 bytes beside the key; what there is for each shard and table does not count yet.
  CHECK(keydir.memory_bytes() - empty < keys * (16 + 32) + 32 * 8192);
  for (Change& change : changes) {
    change.lsn += keys;
    change.entry.reset();
  }
  keydir.apply(changes, Visibility::together);
  CHECK(keydir.keys(0) == 0);
  CHECK(keydir.memory_bytes() - empty < 2'000'000);
}

TEST_CASE("hashes under derived keys are unrelated and stable") {
  HashKey key;
  for (std::size_t i = 0; i < key.bytes.size(); ++i) key.bytes[i] = static_cast<unsigned char>(i);
  // The reference vectors of SipHash-2-4 for the empty text and for one byte 0.
  CHECK(kvs::hash_of(key, "") == 0x726fdb47dd0e0e31);
  CHECK(kvs::hash_of(key, std::string_view("\0", 1)) == 0x74f839c593dc67fd);
  CHECK(kvs::derived(key, 0).bytes == key.bytes);
  std::set<std::uint64_t> hashes;
  for (unsigned number = 0; number < 256; ++number) {
    hashes.insert(kvs::hash_of(kvs::derived(key, static_cast<std::uint8_t>(number)), "a"));
  }
  CHECK(hashes.size() == 256);
  CHECK(HashKey::random().bytes != HashKey::random().bytes);
}
