#include "daemon/read_ahead.h"

#include <utility>

#include "daemon/limits.h"

namespace kvs::daemon {

std::string ReadAhead::name_of(Key key) {
  std::string name(1, static_cast<char>(key.database));
  name.append(key.name);
  return name;
}

void ReadAhead::fetch(Engine& engine, Key key) {
  const auto present = engine.find(key, Access::may_block);
  if (!present || !*present) return;
  if (bytes_ > 0 && bytes_ + (*present)->value_bytes > limits::read_ahead_bytes_max) return;
  const auto resident = engine.get(key, Access::resident_only, scratch_);
  if (resident || resident.error().code() != Code::would_block) return;
  std::string bytes;
  const auto info = engine.get(key, Access::may_block, bytes);
  if (!info || !*info) return;
  bytes_ += bytes.size();
  values_[name_of(key)] = Value{(*info)->lsn, std::move(bytes)};
}

bool ReadAhead::lookup(Key key, Lsn lsn, std::string& value) const {
  if (values_.empty()) return false;
  const auto found = values_.find(name_of(key));
  if (found == values_.end() || found->second.lsn != lsn) return false;
  value = found->second.bytes;
  return true;
}

}  // namespace kvs::daemon
