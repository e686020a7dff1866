// compare.h - what of two replies to one request has to be equal. What differs from server
// to server by its nature (ids, ages, the order of a set) is taken out of both before they are
// compared; how much that is follows from the command's row in the grammar.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tests/differential/grammar.h"

namespace kvs::test {

inline constexpr std::int64_t clock_slack_ms = 10'000;

// The commands that just one of the servers has, subcommands among them ("client|setinfo").
using CommandNames = std::set<std::string, std::less<>>;

// What is compared of `reply`, one of the two that `redis` and `kvs` have answered: they are equal
// enough if this is equal.
std::string facts_of(const Request& words, const std::string& reply, const std::string& redis,
                     const std::string& kvs, const CommandNames& of_one);

// Integers that are not further apart than `slack`; negative ones mean something by themselves.
bool near(std::string_view a, std::string_view b, std::int64_t slack);

// The elements of an array, a set or a push, or the keys and values of a map.
std::vector<std::string> elements(std::string_view reply);
// What a bulk string holds; empty for anything else.
std::string text_of(std::string_view bulk);
std::string lower_case(std::string_view text);

}  // namespace kvs::test
