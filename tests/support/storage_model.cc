#include "tests/support/storage_model.h"

#include <algorithm>
#include <chrono>

namespace kvs::test {

State visible(const State& state, UnixMs now) {
  State result;
  for (const auto& [key, value] : state) {
    if (value.expire_at == never || value.expire_at > now) result[key] = value;
  }
  return result;
}

State contents(Engine& engine) {
  State state;
  for (unsigned number = 0; number < databases_count; ++number) {
    const auto database = static_cast<Database>(number);
    std::vector<std::string> keys;
    std::uint64_t cursor = 0;
    do {
      auto next = engine.scan(database, cursor, 100, [&](std::string_view key, const KeyInfo&) {
        keys.emplace_back(key);
      });
      if (!next) {
        state[{database, "scan"}].value = "error: " + next.error().message();
        break;
      }
      cursor = *next;
    } while (cursor != 0);
    for (const std::string& key : keys) {
      ModelValue& found = state[{database, key}];
      auto info = engine.get({database, key}, Access::may_block, found.value);
      if (!info) {
        found.value = "error: " + info.error().message();
      } else if (!*info) {
        found.value = "error: scanned, but absent";
      } else {
        found.expire_at = (*info)->expire_at;
        if ((*info)->value_bytes != found.value.size()) found.value = "error: wrong length";
      }
    }
  }
  return state;
}

std::string to_text(const State& state) {
  std::string text;
  for (const auto& [key, value] : state) {
    text += std::to_string(key.first) + "/" + key.second + "=" + value.value.substr(0, 12) + "(" +
            std::to_string(value.value.size()) + ")@" + std::to_string(value.expire_at) + " ";
  }
  return text;
}

std::string Workload::fresh_value(std::size_t bytes) {
  std::string value = std::to_string(++next_value_) + ":";
  value.resize(std::max(bytes, value.size()), 'v');
  return value;
}

bool Workload::session(Engine& engine) {
  using Kind = ModelOperation::Kind;
  std::vector<ModelOperation> operations(1 + below(4));
  for (ModelOperation& operation : operations) {
    operation.key = {static_cast<Database>(below(options_.databases)),
                     "key" + std::to_string(below(options_.keys))};
    const std::uint64_t what = below(21);
    if (what < 13) {
      operation.kind = Kind::put;
      operation.value.value = fresh_value(2 + below(options_.value_bytes_max + 1));
      if (options_.deadlines && below(4) == 0) {
        operation.value.expire_at = now() + static_cast<UnixMs>(below(40)) - 5;
      }
    } else if (what == 20 && options_.swaps) {
      operation.kind = Kind::swap;
      operation.other = static_cast<Database>(below(options_.databases + 1));
    } else if (what < 18 || !options_.clears) {
      operation.kind = Kind::remove;
    } else {
      operation.kind = what < 19 ? Kind::clear : Kind::read;
    }
  }
  return commit(engine, operations, below(2) == 0 ? Appear::together : Appear::one_by_one);
}

bool Workload::commit(Engine& engine, const std::vector<ModelOperation>& operations,
                      Appear appear) {
  using Kind = ModelOperation::Kind;
  auto session = engine.begin();
  if (!session) return false;
  State after = newest();
  bool consistent = true;
  for (const ModelOperation& operation : operations) {
    const ModelKey& model_key = operation.key;
    const Key key{model_key.first, model_key.second};
    switch (operation.kind) {
      case Kind::put:
        (*session)->put_lasting(key, operation.value.value, operation.value.expire_at);
        after[model_key] = operation.value;
        break;
      case Kind::remove:
        (*session)->remove(key);
        after.erase(model_key);
        break;
      case Kind::clear:
        (*session)->clear(key.database);
        std::erase_if(after, [&](const auto& entry) { return entry.first.first == key.database; });
        break;
      case Kind::swap: {
        (*session)->swap(key.database, operation.other);
        State swapped;
        for (auto& [name, value] : after) {
          const Database database = name.first == key.database      ? operation.other
                                    : name.first == operation.other ? key.database
                                                                    : name.first;
          swapped[{database, name.second}] = std::move(value);
        }
        after = std::move(swapped);
        break;
      }
      case Kind::read: {
        std::string value;
        auto read = (*session)->get(key, Access::may_block, value);
        const State seen = visible(after, now());
        const auto expected = seen.find(model_key);
        const bool hit = read && read->has_value();
        if (!read) break;  // an error is nothing wrong
        consistent = consistent && hit == (expected != seen.end()) &&
                     (!hit || value == expected->second.value);
      }
    }
  }
  if (appear == Appear::together) (*session)->publish_together();
  committing_ = std::move(after);
  auto committed = (*session)->commit();
  after = std::move(*committing_);
  committing_.reset();
  if (!committed) {
    failed_.push_back(after);
    attempted_ = std::move(after);
    return false;
  }
  // A read inside the session that was wrong makes a state that no engine can hold.
  if (!consistent) after[{0, "inconsistent"}] = {"the session read a wrong value", never};
  states_.push_back(std::move(after));
  return true;
}

bool Workload::sync(Engine& engine) {
  const std::size_t before = states_.size();
  if (!engine.sync()) return false;
  attempted_.reset();
  failed_.clear();
  states_.erase(states_.begin(), states_.begin() + static_cast<std::ptrdiff_t>(before - 1));
  return true;
}

bool Workload::maintain(Engine& engine) {
  for (int i = 0; i < 100 && engine.maintain(std::chrono::milliseconds(20)); ++i) {
  }
  return !engine.stats().read_only;
}

bool Workload::step(Engine& engine) {
  const std::uint64_t what = below(20);
  if (what < 11) return session(engine);
  if (what < 14) return sync(engine);
  if (what < 16) {
    pass_time(static_cast<UnixMs>(below(12)));
    return true;
  }
  if (what < 17) engine.request_compaction();
  return maintain(engine);
}

bool Workload::allows(const State& found) const {
  for (const State& state : states_) {
    if (visible(state, now()) == found) return true;
  }
  if (committing_ && visible(*committing_, now()) == found) return true;
  return std::any_of(failed_.begin(), failed_.end(),
                     [&](const State& state) { return visible(state, now()) == found; });
}

Workload Workload::copy() const {
  Workload other = *this;
  other.clock_ = std::make_shared<UnixMs>(*clock_);
  return other;
}

void Workload::adopt(const State& found) {
  // `found` may be one of those that are forgotten.
  std::vector<State> states{found};
  states_ = std::move(states);
  attempted_.reset();
  failed_.clear();
  committing_.reset();
}

}  // namespace kvs::test
