// database_map.h - which database of the disk is meant by which number of a client.
//
// Records name databases by numbers that never change. What clients call database 3 is whichever of
// them the map says, so that exchanging two databases (SWAPDB) changes a map of 64 bits and no
// record. The map is part of the data: each engine stores the whole of it with every exchange.
#pragma once

#include <array>
#include <atomic>
#include <cassert>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

#include "storage/engine.h"

namespace kvs {

// A permutation of the databases. A value; as a default nothing is exchanged.
class DatabaseMap {
 public:
  static constexpr std::size_t bytes = 8;
  using Encoded = std::array<char, bytes>;

  // The number on the disk of the database that clients call `named`, and the reverse.
  Database stored(Database named) const {
    assert(named < databases_count);
    return static_cast<Database>(numbers_ >> (bits_each * named) & mask);
  }
  Database named(Database stored) const;
  Key stored(Key key) const { return {stored(key.database), key.name}; }
  Key named(Key key) const { return {named(key.database), key.name}; }

  // Each of the two, as clients call them, becomes the other.
  void swap(Database first, Database second);

  // Four bits for each number of a client, the lowest first; little-endian.
  Encoded encoded() const;
  // Nullopt: it is no permutation in that form.
  static std::optional<DatabaseMap> parse(std::string_view text);

  bool operator==(const DatabaseMap&) const = default;

 private:
  friend class SharedDatabaseMap;
  static constexpr unsigned bits_each = 4;
  static constexpr std::uint64_t mask = 15;
  static_assert(databases_count * bits_each == 64);

  std::uint64_t numbers_ = 0xfedc'ba98'7654'3210;
};

// The map of an engine. Readers take no lock: what they looked up while it changed they look up
// again. So each look sees one map, and a database only as it was while that was its map.
class SharedDatabaseMap {
 public:
  // Position of the newest change; 0: there was none. Waits for one that is going on.
  Position changed() const {
    const Position position = changed_.load(std::memory_order_acquire);
    return position != being_changed ? position : changed_after_waiting();
  }

  // Returns what `look` finds with the map that it is given. It may be called several times, and
  // what it looks at must be guarded by locks or atomics. Thread: any.
  template <class Look>
  auto read(Look&& look) const {
    for (;;) {
      const Position before = changed();
      auto found = look(now());
      if (changed_.load(std::memory_order_acquire) == before) return found;
    }
  }

  // As it is now: for who knows that it does not change meanwhile, or does not care.
  DatabaseMap now() const {
    DatabaseMap map;
    map.numbers_ = numbers_.load(std::memory_order_acquire);
    return map;
  }

  // Becomes `map` at `position`, in one instant with all that `publish` makes visible; false: that
  // it has failed, and nothing changes. Thread: the one with the writer's place.
  template <class Publish>
  void change(const DatabaseMap& map, Position position, Publish&& publish) {
    std::scoped_lock lock(changing_);
    const Position before = changed_.exchange(being_changed);
    const bool published = publish();
    if (published) numbers_.store(map.numbers_, std::memory_order_release);
    changed_.store(published ? position : before, std::memory_order_release);
  }

 private:
  static constexpr Position being_changed = ~Position{0};

  Position changed_after_waiting() const;

  std::atomic<std::uint64_t> numbers_{DatabaseMap().numbers_};
  std::atomic<Position> changed_{0};
  mutable std::mutex changing_;  // held while changed_ is being_changed
};

}  // namespace kvs
