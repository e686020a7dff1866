#include "storage/log/value_ring.h"

#include <cstdlib>
#include <deque>
#include <random>
#include <string>

#include <doctest/doctest.h>

using kvs::log::ValueRing;

namespace {

std::string copy_of(const ValueRing& ring, kvs::log::RingPosition position, std::size_t bytes) {
  std::string value = "what was here before";
  ring.copy(position, bytes, value);
  return value;
}

}  // namespace

TEST_CASE("a ring keeps the newest values and says which are gone") {
  const char* given = std::getenv("KVS_SEED");
  const std::uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  MESSAGE("KVS_SEED=" << seed);
  std::mt19937_64 random(seed);
  constexpr std::size_t capacity = 992;  // not a power of two: values wrap anywhere
  ValueRing ring;
  ring.set_capacity(capacity, 12);  // positions come round every 32 KiB
  struct Kept {
    kvs::log::RingPosition position;
    std::string value;
  };
  std::deque<Kept> kept;
  for (int step = 0; step < 20'000; ++step) {
    std::string value(random() % (capacity / 8 + 1), '\0');
    for (char& byte : value) byte = static_cast<char>(random());
    const std::uint64_t before = ring.appended_units();
    const kvs::log::RingPosition position = ring.append(value);
    REQUIRE(position != 0);
    kept.push_back({position, value});
    // Exactly the values whose bytes all lie among the last `capacity` are still there.
    std::size_t after = 0;
    for (auto one = kept.rbegin(); one != kept.rend(); ++one) {
      after += (one->value.size() + 7) / 8 * 8;
      REQUIRE(ring.holds(one->position) == (after <= capacity));
      if (after > capacity) break;
      REQUIRE(copy_of(ring, one->position, one->value.size()) == one->value);
      REQUIRE(ring.is_old(one->position) == (after > capacity - capacity / 4));
    }
    while (!ring.holds(kept.front().position)) kept.pop_front();
    // Position 0 is left out: a unit that nobody has.
    if (ring.appended_units() / 4096 != before / 4096) kept.clear();
  }
  CHECK(ring.used_bytes() == capacity);
}

TEST_CASE("a value larger than an eighth of the ring is not kept") {
  ValueRing ring;
  ring.set_capacity(800);
  CHECK(ring.append(std::string(101, 'v')) == 0);
  const kvs::log::RingPosition position = ring.append(std::string(100, 'v'));
  CHECK(position != 0);
  CHECK(ring.holds(position));
}

TEST_CASE("an empty value has a position and is held") {
  ValueRing ring;
  ring.set_capacity(800);
  const kvs::log::RingPosition position = ring.append("");
  CHECK(position != 0);
  CHECK(ring.holds(position));
  CHECK(copy_of(ring, position, 0).empty());
}

TEST_CASE("position 0 and a ring without memory hold nothing") {
  ValueRing ring;
  CHECK(ring.append("") == 0);
  CHECK(ring.append("v") == 0);
  CHECK_FALSE(ring.holds(0));
  CHECK(ring.used_bytes() == 0);
  ValueRing used;
  used.set_capacity(800);
  used.append("v");
  CHECK_FALSE(used.holds(0));
}
