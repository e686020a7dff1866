// key_table_test.cc - the ordered map of tags, the nodes and the deadlines under the keydir.
#include "storage/log/key_table.h"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "storage/log/deadlines.h"

using kvs::UnixMs;
using kvs::log::ChunkMemory;
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

TEST_CASE("no single change of a table copies more than a block and its directory") {
  // One of 512 tables: as many slots as it has in an index of a hundred million keys.
  std::mt19937_64 random(seed());
  KeyTable table;
  std::vector<std::uint32_t> tags;
  std::uint64_t most = 0;
  std::uint64_t before = 0;
  const auto count = [&] {
    most = std::max(most, table.copied() - before);
    before = table.copied();
  };
  for (NodeHandle node = 1; node <= 200'000; ++node) {
    tags.push_back(static_cast<std::uint32_t>(random()));
    table.insert(tags.back(), node);
    count();
  }
  // A block, split and spread out anew, and the directory doubled: 4096 entries of 16 bytes.
  CHECK(most > 256);
  CHECK(most <= 1024 + 4096);
  most = 0;
  for (NodeHandle node = 1; node <= 200'000; ++node) {
    table.erase(tags[node - 1], node);
    count();
  }
  CHECK(most <= 1024 + 8192);
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
  ChunkMemory memory;
  NodeArena arena(true, memory);
  const std::string binary("\0\r\n\xff", 4);
  for (const std::string& key : {std::string(), binary, std::string(1000, 'k')}) {
    for (const UnixMs expire_at : {kvs::never, UnixMs{1'700'000'000'123}, UnixMs{-5}}) {
      // The last two cannot be told from the record's size and are stored.
      for (const std::uint64_t value_bytes : {0ULL, 100ULL, 299ULL, 0xffffffffULL}) {
        KeyNode node = node_of(kvs::log::lsn_end - 1, expire_at);
        node.entry.location = {0xfffffffe, 0xfffffffd, 300};
        node.entry.value_bytes = value_bytes;
        node.ring_position = UINT32_MAX;
        node.removed = value_bytes == 100;
        const NodeHandle handle = arena.create(node, key);
        CHECK(handle != no_node);
        CHECK(arena.key(handle) == key);
        const KeyNode back = arena.read(handle);
        CHECK(back.entry == node.entry);
        CHECK(back.ring_position == node.ring_position);
        CHECK(arena.ring_position(handle) == node.ring_position);
        CHECK(back.removed == node.removed);
        arena.forget_ring_position(handle);
        CHECK(arena.ring_position(handle) == 0);
        CHECK(arena.read(handle).ring_position == 0);
        CHECK(arena.read(handle).entry == node.entry);
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

TEST_CASE("numbers of every length come back") {
  ChunkMemory memory;
  NodeArena arena(false, memory);
  const std::vector<std::uint64_t> lsns = {
      0, 1, 0xffffffff, 0x100000000, 0xffffffffff, 0x10000000000, kvs::log::lsn_end - 1};
  for (const std::uint64_t lsn : lsns) {
    for (const std::uint32_t segment : {0U, 0xffffU, 0x10000U, 0xffffffffU}) {
      for (const std::uint64_t value_bytes : {0ULL, 255ULL, 256ULL, 65535ULL, 65536ULL}) {
        for (const std::uint64_t overhead : {0ULL, 16ULL, 17ULL, 24ULL, 32ULL, 40ULL, 5000ULL}) {
          for (const UnixMs expire_at :
               {kvs::never, UnixMs{1}, (UnixMs{1} << 48) - 1, UnixMs{1} << 48, INT64_MAX}) {
            KeyNode node;
            node.entry = {.location = {segment, 0xfedcba98,
                                       static_cast<std::uint32_t>(3 + value_bytes + overhead)},
                          .lsn = lsn,
                          .value_bytes = value_bytes,
                          .expire_at = expire_at};
            const NodeHandle handle = arena.create(node, "key");
            REQUIRE(arena.read(handle).entry == node.entry);
            REQUIRE(arena.key(handle) == "key");
            arena.destroy(handle);
          }
        }
      }
    }
  }
}

namespace {

// An arena beside a model of it, whose handles tidy() may change.
struct ModelledArena {
  ChunkMemory memory;
  NodeArena arena{false, memory};
  std::map<NodeHandle, std::pair<std::string, KeyNode>> model;
  std::uint64_t live_bytes = 0;  // at least

  void create(std::mt19937_64& random, std::size_t key_bytes) {
    const std::string key(key_bytes, static_cast<char>('a' + random() % 26));
    const KeyNode node = node_of(random() % kvs::log::lsn_end, random() % 2 ? 0 : 1234);
    REQUIRE(model.try_emplace(arena.create(node, key), key, node).second);
    live_bytes += key_bytes + 28;
    tidy();
  }
  void destroy(std::mt19937_64& random) {
    if (model.empty()) return;
    auto victim = model.lower_bound(static_cast<NodeHandle>(random() % (1 << 20)));
    if (victim == model.end()) victim = model.begin();
    check(victim->first);
    live_bytes -= victim->second.first.size() + 28;
    arena.destroy(victim->first);
    model.erase(victim);
    tidy();
  }
  void tidy() {
    arena.tidy(16, [&](NodeHandle old, NodeHandle now) {
      REQUIRE(old != now);
      auto moved = model.extract(old);
      REQUIRE_FALSE(moved.empty());
      moved.key() = now;
      REQUIRE(model.insert(std::move(moved)).inserted);
      check(now);
    });
  }
  void check(NodeHandle handle) {
    REQUIRE(arena.key(handle) == model.at(handle).first);
    REQUIRE(arena.read(handle).entry == model.at(handle).second.entry);
  }
  void check_all() {
    for (const auto& [handle, content] : model) check(handle);
  }
};

}  // namespace

TEST_CASE("nodes of all sizes come and go without disturbing each other") {
  std::mt19937_64 random(seed());
  ModelledArena nodes;
  for (int step = 0; step < 50'000; ++step) {
    if (random() % 5 < 3) {
      const bool large = random() % 20 == 0;
      nodes.create(random, large ? random() % 6000 : random() % 60);
    } else {
      nodes.destroy(random);
    }
  }
  nodes.check_all();
  const std::uint64_t full = nodes.arena.memory_bytes();
  while (!nodes.model.empty()) nodes.destroy(random);
  CHECK(nodes.arena.memory_bytes() < full / 100);
}

TEST_CASE("holes stay a part of the whole when the keys change their size") {
  std::mt19937_64 random(seed());
  ModelledArena nodes;
  constexpr std::size_t count = 20'000;
  for (std::size_t i = 0; i < count; ++i) nodes.create(random, 16);
  // Every size in turn, up and down, all nodes replaced at random: what was freed never fits.
  for (const std::size_t key_bytes : {20UL, 32UL, 33UL, 47UL, 80UL, 50UL, 21UL, 300UL, 4UL}) {
    CAPTURE(key_bytes);
    for (std::size_t i = 0; i < 3 * count; ++i) {
      nodes.destroy(random);
      nodes.create(random, key_bytes);
    }
    // The fields take up to 23 bytes here, not 28; a node in the making and two chunks.
    CHECK(nodes.arena.memory_bytes() < nodes.live_bytes * 5 / 4 + 3 * 65536);
  }
  nodes.check_all();
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

TEST_CASE("deadlines at random take little more, and what is left of many gives memory back") {
  std::mt19937_64 random(seed());
  Deadlines deadlines;
  std::vector<UnixMs> all;
  for (NodeHandle node = 1; node <= 100'000; ++node) {
    all.push_back(static_cast<UnixMs>(random() % 1'000'000'000) + 1);
    deadlines.insert(all.back(), node);
  }
  CHECK(deadlines.memory_bytes() < 100'000 * 16);
  for (NodeHandle node = 1; node <= 100'000; ++node) {
    if (node % 100 != 0) deadlines.erase(all[node - 1], node);
  }
  CHECK(deadlines.size() == 1000);
  CHECK(deadlines.memory_bytes() < 100'000);
}

TEST_CASE("chunks of memory are apart and zero, also those that were given back before") {
  ChunkMemory memory;
  std::mt19937_64 random(seed());
  std::map<std::byte*, std::byte> held;  // each filled with a byte of its own
  for (int step = 0; step < 5000; ++step) {
    if (held.size() < 200 && random() % 5 < 3) {
      std::byte* const chunk = memory.take();
      const std::string_view bytes(reinterpret_cast<const char*>(chunk), ChunkMemory::chunk_bytes);
      REQUIRE(bytes.find_first_not_of('\0') == std::string_view::npos);
      const auto fill = static_cast<std::byte>(random() % 255 + 1);
      std::memset(chunk, static_cast<int>(fill), ChunkMemory::chunk_bytes);
      REQUIRE(held.emplace(chunk, fill).second);
    } else if (!held.empty()) {
      const auto given = std::next(held.begin(), static_cast<long>(random() % held.size()));
      const auto [chunk, fill] = *given;
      REQUIRE(chunk[0] == fill);
      REQUIRE(chunk[ChunkMemory::chunk_bytes - 1] == fill);
      memory.give_back(chunk);
      held.erase(given);
    }
  }
  for (const auto& [chunk, fill] : held) {
    REQUIRE(chunk[ChunkMemory::chunk_bytes / 2] == fill);
    memory.give_back(chunk);
  }
}
