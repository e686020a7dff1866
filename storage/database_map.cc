#include "storage/database_map.h"

#include <algorithm>

namespace kvs {

Database DatabaseMap::named(Database stored_as) const {
  Database number = 0;
  while (stored(number) != stored_as) ++number;
  return number;
}

void DatabaseMap::swap(Database first, Database second) {
  const std::uint64_t differing = stored(first) ^ stored(second);
  numbers_ ^= differing << (bits_each * first);
  numbers_ ^= differing << (bits_each * second);
}

DatabaseMap::Encoded DatabaseMap::encoded() const {
  Encoded text;
  for (std::size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>(numbers_ >> (8 * i));
  return text;
}

std::optional<DatabaseMap> DatabaseMap::parse(std::string_view text) {
  if (text.size() != bytes) return std::nullopt;
  DatabaseMap map;
  map.numbers_ = 0;
  for (std::size_t i = 0; i < bytes; ++i) {
    map.numbers_ |= std::uint64_t{static_cast<unsigned char>(text[i])} << (8 * i);
  }
  unsigned met = 0;
  for (unsigned i = 0; i < databases_count; ++i) met |= 1U << map.stored(static_cast<Database>(i));
  if (met != (1U << databases_count) - 1) return std::nullopt;
  return map;
}

Position SharedDatabaseMap::changed_after_waiting() const {
  std::scoped_lock until_it_is_over(changing_);
  return changed_.load(std::memory_order_acquire);
}

}  // namespace kvs
