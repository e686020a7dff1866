// seed.h - the seed of a randomised test: KVS_SEED when it is set, else a fresh one; always
// printed, so that a failure can be repeated with KVS_SEED=<seed> and --test-case="<the sentence>".
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace kvs::test {

inline std::uint64_t test_seed(const char* test_name) {
  std::uint64_t seed = std::random_device{}();
  if (const char* given = std::getenv("KVS_SEED")) seed = std::strtoull(given, nullptr, 10);
  std::fprintf(stderr, "%s: KVS_SEED=%llu\n", test_name, static_cast<unsigned long long>(seed));
  return seed;
}

}  // namespace kvs::test
