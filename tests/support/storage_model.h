// storage_model.h - what an engine should hold, and a random life for it.
//
// The model keeps the state after every commit that was acknowledged. After a crash the engine must
// hold exactly one of those states, none older than the last one that was synced: that is
// atomicity, order and durability in one comparison of the whole contents.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "storage/engine.h"
#include "storage/options.h"

namespace kvs::test {

// How often randomised tests repeat themselves: less where every step costs ten times as much.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr std::uint64_t effort = 1;
#else
inline constexpr std::uint64_t effort = 5;
#endif

struct ModelValue {
  std::string value;
  UnixMs expire_at = never;
  bool operator==(const ModelValue&) const = default;
};
using ModelKey = std::pair<Database, std::string>;
using State = std::map<ModelKey, ModelValue>;

// What readers may see of `state` at `now`.
State visible(const State& state, UnixMs now);

// Everything that scans of `engine` name, each key with the value that get() returns. A key that
// one of them has and the other has not, and an error, show as values that no model contains.
State contents(Engine& engine);

std::string to_text(const State& state);

// One thing that a session does; a read is compared with what the session should see.
struct ModelOperation {
  enum class Kind : std::uint8_t { put, remove, clear, swap, read };
  Kind kind = Kind::put;
  ModelKey key;
  ModelValue value = {};
  Database other = 0;  // with which a swap exchanges the key's database
};
enum class Appear : std::uint8_t { one_by_one, together };

struct WorkloadOptions {
  unsigned keys = 6;
  unsigned databases = 2;
  std::size_t value_bytes_max = 60;
  bool deadlines = true;
  bool clears = true;
  bool swaps = true;
};

// Random sessions, syncs, maintenance and clock steps on one engine at a time. The same seed makes
// the same calls as long as the same calls succeed.
class Workload {
 public:
  Workload(std::uint64_t seed, WorkloadOptions options) : random_(seed), options_(options) {
    states_.emplace_back();
  }

  // Does one thing; returns false when the engine reported an error.
  bool step(Engine& engine);

  // The single things. Each returns false when the engine reported an error.
  bool commit(Engine& engine, const std::vector<ModelOperation>& operations, Appear appear);
  bool sync(Engine& engine);
  bool maintain(Engine& engine);
  void pass_time(UnixMs milliseconds) { *clock_ += milliseconds; }
  // A value that no other has, of at least `bytes`.
  std::string fresh_value(std::size_t bytes);

  // The states that may be found after a crash: the last synced one and those after it.
  const std::vector<State>& states() const { return states_; }
  const State& newest() const { return states_.back(); }
  // A session that failed may be found too, if the machine went down with it; null otherwise. One
  // that is being committed just now (seen from a hook of the file system) may as well.
  const State* attempted() const { return attempted_ ? &*attempted_ : nullptr; }

  // Is `found` one of those states, as readers see them now?
  bool allows(const State& found) const;
  // Forgets all states but `found`, which the engine holds after a reopening.
  void adopt(const State& found);

  // Another one in the same state that goes its own way, with a clock of its own.
  Workload copy() const;

  UnixMs now() const { return *clock_; }
  std::shared_ptr<UnixMs> clock() const { return clock_; }

 private:
  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }
  bool session(Engine& engine);

  std::mt19937_64 random_;
  const WorkloadOptions options_;
  std::vector<State> states_;
  std::optional<State> attempted_;  // the newest of the following
  std::vector<State> failed_;       // sessions that failed since the last sync
  std::optional<State> committing_;
  std::shared_ptr<UnixMs> clock_ = std::make_shared<UnixMs>(1'000'000);
  std::uint64_t next_value_ = 0;
};

}  // namespace kvs::test
