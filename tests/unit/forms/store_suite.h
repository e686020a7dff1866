// store_suite.h - the tests of contract.md 4, written once against the concept of a store.
//
// A Store is an engine or a client behind one form of futures (forms.h), opened on a directory of
// its own. The checks see nothing else, so that they run on every form, pool and engine alike:
//
//   run_store_suite([&] { return EngineStore<Boxed>(...); }, SuiteScale{});
//
// What a Store does not do, it says by returning nullopt (space).
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "protocol/async/result.h"

namespace kvs::test {

using KeyValue = std::pair<std::string, std::string>;

// Bytes on disk, and bytes that all writes together have appended.
struct StoreSpace {
  std::uint64_t disk_bytes;
  std::uint64_t written_bytes;
};

template <class S>
concept Store = requires(S store, std::string text, std::vector<KeyValue> pairs,
                         std::vector<std::string> keys) {
  // One operation, waited for. remove: Code::not_found for a missing key.
  { store.get(text) } -> std::same_as<Result<std::optional<std::string>>>;
  { store.set(text, text) } -> std::same_as<Result<bool>>;
  { store.remove(text) } -> std::same_as<Result<void>>;
  // All at once, waited for together; outcomes in the order of the arguments.
  { store.set_all(pairs) } -> std::same_as<std::vector<Result<bool>>>;
  { store.get_all(keys) } -> std::same_as<std::vector<Result<std::optional<std::string>>>>;
  // Stops and starts again on the same directory.
  store.reopen();
  // Compacts all there is to compact and measures; nullopt where that cannot be asked for.
  { store.compact() } -> std::same_as<std::optional<StoreSpace>>;
};

// How much of it; the full size is that of contract.md.
struct SuiteScale {
  std::size_t concurrent = 10'000;
  std::size_t rounds = 1000;
  std::size_t keys_per_round = 1000;
};

inline std::string numbered(const char* what, std::size_t number) {
  return what + std::to_string(number);
}

// Outcomes in one word; doctest cannot take a Result apart.
inline bool is_absent(const Result<std::optional<std::string>>& found) {
  return found && !*found;
}
inline bool is_value(const Result<std::optional<std::string>>& found, std::string_view value) {
  return found && *found && **found == value;
}
inline bool is_stored(const Result<bool>& done) {
  return done && *done;
}
inline bool is_removed(const Result<void>& done) {
  return done.has_value();
}

template <Store S>
void check_single_operations(S& store) {
  // A missing key.
  CHECK(is_absent(store.get("missing")));
  const Result<void> missing = store.remove("missing");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code() == Code::not_found);
  // get after set, and overwritten.
  CHECK(is_stored(store.set("key1", "value1")));
  CHECK(is_stored(store.set("key2", "value2")));
  CHECK(is_value(store.get("key1"), "value1"));
  CHECK(is_value(store.get("key2"), "value2"));
  CHECK(is_stored(store.set("key1", "value3")));
  CHECK(is_value(store.get("key1"), "value3"));
  // remove, then get.
  CHECK(is_stored(store.set("gone", "soon")));
  CHECK(is_removed(store.remove("gone")));
  CHECK(is_absent(store.get("gone")));
  CHECK(store.remove("gone").error().code() == Code::not_found);
  // Any bytes.
  const std::string bytes("\0\r\n\xff", 4);
  CHECK(is_stored(store.set(bytes, bytes)));
  CHECK(is_value(store.get(bytes), bytes));
  CHECK(is_stored(store.set("empty", "")));
  CHECK(is_value(store.get("empty"), ""));

  store.reopen();
  CHECK(is_value(store.get("key1"), "value3"));
  CHECK(is_value(store.get("key2"), "value2"));
  CHECK(is_absent(store.get("gone")));
  CHECK(store.remove("gone").error().code() == Code::not_found);
  CHECK(is_value(store.get(bytes), bytes));
  CHECK(is_value(store.get("empty"), ""));
  CHECK(is_removed(store.remove("key1")));
  CHECK(is_absent(store.get("key1")));
  CHECK(is_stored(store.set("key1", "again")));
  store.reopen();
  CHECK(is_value(store.get("key1"), "again"));
}

// How many of `keys` do not have the value that `expected(i)` returns?
template <Store S, class Expected>
std::size_t wrong_values(S& store, const std::vector<std::string>& keys, Expected expected) {
  const auto found = store.get_all(keys);
  if (found.size() != keys.size()) return keys.size();
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (!is_value(found[i], expected(i))) ++wrong;
  }
  return wrong;
}

template <Store S>
void check_concurrent_operations(S& store, const SuiteScale& scale) {
  std::vector<KeyValue> pairs;
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < scale.concurrent; ++i) {
    keys.push_back(numbered("key", i));
    pairs.emplace_back(keys.back(), numbered("value", i));
  }
  std::size_t failed = 0;
  for (const auto& done : store.set_all(pairs)) failed += is_stored(done) ? 0 : 1;
  CHECK(failed == 0);
  const auto expected = [](std::size_t i) { return numbered("value", i); };
  store.reopen();
  CHECK(wrong_values(store, keys, expected) == 0);
  CHECK(wrong_values(store, keys, expected) == 0);
}

template <Store S>
void check_compaction(S& store, const SuiteScale& scale) {
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < scale.keys_per_round; ++i) keys.push_back(numbered("key", i));
  std::size_t failed = 0;
  for (std::size_t round = 0; round < scale.rounds; ++round) {
    std::vector<KeyValue> pairs;
    for (const std::string& key : keys) pairs.emplace_back(key, numbered("round ", round) + key);
    for (const auto& done : store.set_all(pairs)) failed += is_stored(done) ? 0 : 1;
  }
  CHECK(failed == 0);
  // Files are allocated ahead, so that only a measure after compaction says anything.
  if (const auto space = store.compact()) {
    CHECK(space->written_bytes >= scale.rounds * scale.keys_per_round * 10);
    CHECK(space->disk_bytes < space->written_bytes / 2);
  }
  store.reopen();
  const auto newest = [&](std::size_t i) { return numbered("round ", scale.rounds - 1) + keys[i]; };
  CHECK(wrong_values(store, keys, newest) == 0);
}

// Runs every check on a fresh store that `make()` returns (by std::unique_ptr).
template <class Make>
void run_store_suite(Make make, const SuiteScale& scale) {
  {
    INFO("single operations");
    check_single_operations(*make());
  }
  {
    INFO("concurrent operations");
    check_concurrent_operations(*make(), scale);
  }
  {
    INFO("rounds of writes and compaction");
    check_compaction(*make(), scale);
  }
}

}  // namespace kvs::test
