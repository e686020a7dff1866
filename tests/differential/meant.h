// meant.h - the differences from Redis 7.0.15 that are meant, each with its reason: the only list.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace kvs::test {

// In all three * stands for anything.
struct MeantDifference {
  std::string_view command;  // as name_of() names it
  std::string_view redis;    // replies as shown_word() writes them, without the quotes
  std::string_view kvs;
  std::string_view reason;
};

// Is the difference one of the list? Counts what it finds.
bool is_meant(std::string_view command, std::string_view redis, std::string_view kvs);

// The entries that have met nothing since the program began.
std::vector<const MeantDifference*> stale_differences();

}  // namespace kvs::test
