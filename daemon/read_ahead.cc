#include "daemon/read_ahead.h"

#include <utility>

#include "daemon/limits.h"

namespace kvs::daemon {

void ReadAhead::keep(Lsn lsn, std::string value) {
  bytes_ += value.size();
  values_[lsn] = std::move(value);
}

void ReadAhead::fetch(Engine& engine, Key key) {
  const auto present = engine.find(key, Access::may_block);
  if (!present || !*present || values_.contains((*present)->lsn)) return;
  if (bytes_ > 0 && bytes_ + (*present)->value_bytes > limits::read_ahead_bytes_max) return;
  std::string bytes;
  if (const auto plan = engine.plan_cold_read(key)) {
    if (!*plan) return;
  } else {
    const auto resident = engine.get(key, Access::resident_only, bytes);
    if (resident || resident.error().code() != Code::would_block) return;
  }
  const auto info = engine.get(key, Access::may_block, bytes);
  if (!info || !*info) return;
  keep((*info)->lsn, std::move(bytes));
}

bool ReadAhead::lookup(Lsn lsn, std::string& value) const {
  const auto found = values_.find(lsn);
  if (found == values_.end()) return false;
  value = found->second;
  return true;
}

}  // namespace kvs::daemon
