// hash.h - the keyed hash of keys.
//
// SipHash-2-4 with a random key per data directory: a client that chooses key names cannot make
// them collide without knowing the key. Stable for one HashKey, so it may be stored.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace kvs {

// 128 bits of secret; `random()` asks the system's generator.
struct HashKey {
  std::array<unsigned char, 16> bytes{};

  static HashKey random();
};

// Returns SipHash-2-4 of `text`. Any thread.
std::uint64_t hash_of(const HashKey& key, std::string_view text);

// Returns a key that differs from `key` for every `number`: hashes under it are unrelated to those
// under `key`, which lets a number be part of what is hashed without copying the text.
HashKey derived(HashKey key, std::uint8_t number);

}  // namespace kvs
