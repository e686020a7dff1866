// hash.cc - SipHash-2-4 from libsodium; its short hash needs no initialisation.
#include "storage/hash.h"

#include <cstring>

#include <sodium.h>

namespace kvs {

static_assert(crypto_shorthash_KEYBYTES == std::tuple_size_v<decltype(HashKey::bytes)>);
static_assert(crypto_shorthash_BYTES == sizeof(std::uint64_t));

HashKey HashKey::random() {
  HashKey key;
  randombytes_buf(key.bytes.data(), key.bytes.size());
  return key;
}

std::uint64_t hash_of(const HashKey& key, std::string_view text) {
  unsigned char out[crypto_shorthash_BYTES];
  crypto_shorthash(out, reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                   key.bytes.data());
  // Little-endian by definition, so that a stored hash means the same everywhere.
  std::uint64_t hash = 0;
  for (int i = 7; i >= 0; --i) hash = hash << 8 | out[i];
  return hash;
}

HashKey derived(HashKey key, std::uint8_t number) {
  // Number 0 keeps the key itself; any other goes through the hash, so that no arithmetic relation
  // between the two keys is left.
  if (number == 0) return key;
  HashKey result;
  for (unsigned half = 0; half < 2; ++half) {
    const char text[] = {static_cast<char>(number), static_cast<char>(half)};
    const std::uint64_t hash = hash_of(key, std::string_view(text, sizeof text));
    std::memcpy(result.bytes.data() + half * sizeof hash, &hash, sizeof hash);
  }
  return result;
}

}  // namespace kvs
