// key_table_test.cc - the ordered map of tags, the nodes and the deadlines under the keydir.
#include "storage/log/key_table.h"

#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "storage/log/deadlines.h"

using kvs::UnixMs;
using kvs::log::Deadlines;
using kvs::log::KeyNode;
using kvs::log::KeyTable;
using kvs::log::no_node;
using kvs::log::NodeArena;
using kvs::log::NodeHandle;

namespace {

std::uint64_t seed() {
  const char* given = std::getenv("KVS_SEED");
  const std::uint64_t value =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  MESSAGE("KVS_SEED=" << value);
  return value;
}

using Pairs = std::set<std::pair<std::uint32_t, NodeHandle>>;

Pairs contents(const KeyTable& table, std::uint32_t first = 0) {
  Pairs pairs;
  std::uint32_t last = first;
  table.walk(first, [&](KeyTable::Slot slot) {
    CHECK(slot.tag >= last);
    last = slot.tag;
    CHECK(pairs.emplace(slot.tag, slot.node).second);
    return true;
  });
  return pairs;
}

bool has(const KeyTable& table, std::uint32_t tag, NodeHandle node) {
  return table.find(tag, [node](NodeHandle candidate) { return candidate == node; }) == node;
}

KeyNode node_of(std::uint64_t lsn, UnixMs expire_at = kvs::never) {
  KeyNode node;
  node.entry = {.location = {.segment = 1, .offset_bytes = 2, .record_bytes = 300},
                .lsn = lsn,
                .value_bytes = 100,
                .expire_at = expire_at};
  return node;
}

}  // namespace

TEST_CASE("a key table holds what a set of pairs holds, while it grows and shrinks") {
  std::mt19937_64 random(seed());
  KeyTable table;
  Pairs model;
  // Grows to some thousand slots, then shrinks to nothing, twice.
  for (const unsigned insert_percent : {80U, 20U, 80U, 5U}) {
    for (int step = 0; step < 20'000; ++step) {
      if (random() % 100 < insert_percent) {
        const auto tag = static_cast<std::uint32_t>(random());
        const auto node = static_cast<NodeHandle>(random() % 1000 + 1);
        if (model.emplace(tag, node).second) table.insert(tag, node);
      } else if (!model.empty()) {
        auto victim = model.lower_bound({static_cast<std::uint32_t>(random()), 0});
        if (victim == model.end()) victim = model.begin();
        table.erase(victim->first, victim->second);
        model.erase(victim);
      }
      REQUIRE(table.size() == model.size());
    }
    CHECK(contents(table) == model);
    for (const auto& [tag, node] : model) REQUIRE(has(table, tag, node));
    const auto from = static_cast<std::uint32_t>(random());
    CHECK(contents(table, from) == Pairs(model.lower_bound({from, 0}), model.end()));
  }
  CHECK(table.memory_bytes() < 4096);
}

TEST_CASE("the smallest and the greatest tag are visited and found") {
  KeyTable table;
  CHECK(contents(table).empty());
  CHECK_FALSE(has(table, 0, 1));
  table.insert(0, 1);
  table.insert(UINT32_MAX, 2);
  CHECK(has(table, 0, 1));
  CHECK(has(table, UINT32_MAX, 2));
  CHECK(contents(table, 1) == Pairs{{UINT32_MAX, 2}});
  CHECK(contents(table, UINT32_MAX) == Pairs{{UINT32_MAX, 2}});
  CHECK(contents(table) == Pairs{{0, 1}, {UINT32_MAX, 2}});
}

TEST_CASE("any number of nodes may have one tag") {
  KeyTable table;
  for (NodeHandle node = 1; node <= 2000; ++node) table.insert(77, node);
  for (NodeHandle node = 1; node <= 2000; ++node) REQUIRE(has(table, 77, node));
  CHECK(contents(table).size() == 2000);
  CHECK(table.memory_bytes() < 64 * 1024);  // the directory did not double without end
  for (NodeHandle node = 1; node <= 2000; ++node) table.erase(77, node);
  CHECK(table.size() == 0);
}

TEST_CASE("taking slots one by one empties a table") {
  std::mt19937_64 random(seed());
  KeyTable table;
  Pairs model;
  for (NodeHandle node = 1; node <= 5000; ++node) {
    const auto tag = static_cast<std::uint32_t>(random());
    table.insert(tag, node);
    model.emplace(tag, node);
  }
  while (table.size() > 0) {
    const KeyTable::Slot slot = table.take();
    REQUIRE(model.erase({slot.tag, slot.node}) == 1);
  }
  CHECK(model.empty());
}

TEST_CASE("replacing a node keeps its tag") {
  KeyTable table;
  for (NodeHandle node = 1; node <= 10; ++node) table.insert(5, node);
  table.replace(5, 3, 99);
  CHECK(has(table, 5, 99));
  CHECK_FALSE(has(table, 5, 3));
  CHECK(table.size() == 10);
}

TEST_CASE("a node gives back every field that was stored") {
  NodeArena arena;
  const std::string binary("\0\r\n\xff", 4);
  for (const std::string& key : {std::string(), binary, std::string(1000, 'k')}) {
    for (const UnixMs expire_at : {kvs::never, UnixMs{1'700'000'000'123}, UnixMs{-5}}) {
      // The last two cannot be told from the record's size and are stored.
      for (const std::uint64_t value_bytes : {0ULL, 100ULL, 299ULL, 0xffffffffULL}) {
        KeyNode node = node_of(kvs::log::lsn_end - 1, expire_at);
        node.entry.location = {0xfffffffe, 0xfffffffd, 300};
        node.entry.value_bytes = value_bytes;
        node.ring_position = kvs::log::ring_position_end - 1;
        node.removed = value_bytes == 100;
        const NodeHandle handle = arena.create(node, key);
        CHECK(handle != no_node);
        CHECK(arena.key(handle) == key);
        const KeyNode back = arena.read(handle);
        CHECK(back.entry == node.entry);
        CHECK(back.ring_position == node.ring_position);
        CHECK(back.removed == node.removed);
        arena.set_ring_position(handle, 7);
        CHECK(arena.read(handle).ring_position == 7);
        CHECK(arena.key(handle) == key);
        const KeyNode other = node_of(3, expire_at == kvs::never ? 9 : kvs::never);
        const NodeHandle moved = arena.update(handle, other);
        CHECK(arena.read(moved).entry == other.entry);
        CHECK(arena.key(moved) == key);
        arena.destroy(moved);
      }
    }
  }
}

TEST_CASE("nodes of all sizes come and go without disturbing each other") {
  std::mt19937_64 random(seed());
  NodeArena arena;
  std::map<NodeHandle, std::pair<std::string, KeyNode>> model;
  for (int step = 0; step < 50'000; ++step) {
    if (random() % 5 < 3 || model.empty()) {
      const std::size_t bytes = random() % 20 == 0 ? random() % 3000 : random() % 60;
      const std::string key(bytes, static_cast<char>('a' + random() % 26));
      const KeyNode node = node_of(random() % kvs::log::lsn_end, random() % 2 ? 0 : 1234);
      const NodeHandle handle = arena.create(node, key);
      REQUIRE(model.try_emplace(handle, key, node).second);
    } else {
      auto victim = model.lower_bound(static_cast<NodeHandle>(random() % (1 << 20)));
      if (victim == model.end()) victim = model.begin();
      REQUIRE(arena.key(victim->first) == victim->second.first);
      REQUIRE(arena.read(victim->first).entry == victim->second.second.entry);
      arena.destroy(victim->first);
      model.erase(victim);
    }
  }
  for (const auto& [handle, content] : model) {
    REQUIRE(arena.key(handle) == content.first);
    REQUIRE(arena.read(handle).entry == content.second.entry);
  }
  const std::uint64_t full = arena.memory_bytes();
  for (const auto& [handle, content] : model) arena.destroy(handle);
  CHECK(arena.memory_bytes() < full / 100);
}

TEST_CASE("freed nodes make room for smaller ones") {
  NodeArena arena;
  std::vector<NodeHandle> nodes;
  for (int i = 0; i < 10'000; ++i) nodes.push_back(arena.create(node_of(1), std::string(200, 'k')));
  const NodeHandle last = arena.create(node_of(1), "last");
  const std::uint64_t full = arena.memory_bytes();
  for (const NodeHandle node : nodes) arena.destroy(node);
  for (int i = 0; i < 30'000; ++i) arena.create(node_of(1), "small");
  CHECK(arena.memory_bytes() <= full + 64 * 1024);
  CHECK(arena.key(last) == "last");
}

TEST_CASE("deadlines come out in order, whatever the order of insertion and removal") {
  std::mt19937_64 random(seed());
  Deadlines deadlines;
  std::set<std::pair<UnixMs, NodeHandle>> model;
  CHECK(deadlines.earliest() == kvs::never);
  for (const unsigned insert_percent : {90U, 30U, 60U, 10U}) {
    for (int step = 0; step < 10'000; ++step) {
      if (random() % 100 < insert_percent) {
        // Many equal deadlines, some ascending runs.
        const UnixMs expire_at = random() % 2 ? step + 1 : static_cast<UnixMs>(random() % 500) + 1;
        const auto node = static_cast<NodeHandle>(random() % 100'000 + 1);
        if (model.emplace(expire_at, node).second) deadlines.insert(expire_at, node);
      } else if (!model.empty()) {
        auto victim = model.lower_bound({static_cast<UnixMs>(random() % 10'000), 0});
        if (victim == model.end()) victim = model.begin();
        deadlines.erase(victim->first, victim->second);
        model.erase(victim);
      }
      REQUIRE(deadlines.size() == model.size());
      REQUIRE(deadlines.earliest() == (model.empty() ? kvs::never : model.begin()->first));
    }
    auto expected = model.begin();
    deadlines.walk([&](UnixMs expire_at, NodeHandle node) {
      REQUIRE(expected != model.end());
      REQUIRE(std::pair(expire_at, node) == *expected);
      ++expected;
      return true;
    });
    CHECK(expected == model.end());
  }
}

TEST_CASE("deadlines that come in order fill their memory") {
  Deadlines deadlines;
  for (NodeHandle node = 1; node <= 100'000; ++node) deadlines.insert(node, node);
  CHECK(deadlines.memory_bytes() < 100'000 * 14);
}
