#include "daemon/durability_level.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "daemon/config_file.h"

namespace kvs::daemon {

namespace {

bool equal_but_case(std::string_view text, std::string_view lower) {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  });
}

}  // namespace

std::string_view to_string(Durability durability) {
  switch (durability) {
    case Durability::unsaid:
      return "default";
    case Durability::kernel:
      return "kernel";
    case Durability::sync:
      return "sync";
  }
  return "default";
}

std::optional<Durability> parse_durability(std::string_view text) {
  for (const Durability durability : {Durability::kernel, Durability::sync}) {
    if (equal_but_case(text, to_string(durability))) return durability;
  }
  return std::nullopt;
}

Result<PrefixRules> PrefixRules::parse(std::string_view text) {
  auto words = split_words(text);
  if (!words) return std::unexpected(words.error());
  PrefixRules rules;
  for (std::size_t at = 0; at + 1 < words->size(); at += 2) {
    const auto level = parse_durability((*words)[at + 1]);
    if (!level) return fail(Code::invalid, "a prefix is followed by kernel or sync");
    rules.levels_[std::move((*words)[at])] = *level;
  }
  const bool blank = text.find_first_not_of(' ') == text.npos;
  if (words->size() % 2 != 0 || (words->empty() && !blank)) {
    return fail(Code::invalid, "a prefix is followed by kernel or sync");
  }
  for (const auto& [prefix, level] : rules.levels_) {
    rules.strongest_ = std::max(rules.strongest_, level);
  }
  return rules;
}

std::string PrefixRules::text() const {
  std::string text;
  for (const auto& [prefix, level] : levels_) {
    if (!text.empty()) text += ' ';
    text.append(config_word(prefix)).append(" ").append(to_string(level));
  }
  return text;
}

Durability PrefixRules::of(std::string_view key) const {
  // The greatest rule that is not beyond `key` is its prefix, or shares with it at least what every
  // prefix of it among the rules has: the search goes on with that.
  for (;;) {
    auto rule = levels_.upper_bound(key);
    if (rule == levels_.begin()) return Durability::unsaid;
    --rule;
    const std::string_view prefix = rule->first;
    const auto end = std::mismatch(prefix.begin(), prefix.end(), key.begin(), key.end()).first;
    if (end == prefix.end()) return rule->second;
    key = key.substr(0, static_cast<std::size_t>(std::distance(prefix.begin(), end)));
  }
}

}  // namespace kvs::daemon
