// command_table.cc - finding commands by name, and the error texts when there is none.
//
// `find` runs once per request on the loop, so it neither allocates nor calls tolower: names are
// folded eight bytes at a time, and the hash is one multiplication over the folded words.
#include "daemon/command_table.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cctype>
#include <charconv>
#include <cstring>

#include "daemon/absent_commands.h"

namespace kvs::daemon {

namespace {

constexpr std::size_t name_bytes_max = 16;
constexpr std::size_t reported_bytes_max =
    128;  // of a name, and of all arguments, in an error text

// A name in lower case, padded with zeros. Folding sets bit 5 of every byte: that makes letters of
// letters only, and names hold nothing but letters.
struct FoldedName {
  std::uint64_t low = 0;
  std::uint64_t high = 0;

  explicit FoldedName(std::string_view name) {
    std::array<char, name_bytes_max> bytes{};
    std::memcpy(bytes.data(), name.data(), name.size());
    std::memcpy(&low, bytes.data(), sizeof low);
    std::memcpy(&high, bytes.data() + sizeof low, sizeof high);
    constexpr std::uint64_t bit5 = 0x2020202020202020u;
    low |= bit5;
    high |= bit5;
  }
  bool operator==(const FoldedName&) const = default;

  std::size_t hash() const noexcept {
    const std::uint64_t mixed = (low ^ std::rotl(high, 23)) * 0x9e3779b97f4a7c15u;
    return static_cast<std::size_t>(mixed >> 40);
  }
};

bool equals_ignoring_case(std::string_view a, std::string_view lower) {
  return a.size() == lower.size() &&
         std::equal(a.begin(), a.end(), lower.begin(), [](unsigned char x, char y) {
           return static_cast<char>(std::tolower(x)) == y;
         });
}

// What printf("%.*s") takes of `text`: Redis' error texts are made with it.
std::string_view printed(std::string_view text, std::size_t bytes_max) {
  text = text.substr(0, bytes_max);
  return text.substr(0, text.find('\0'));
}

std::string unknown_command(Args args) {
  std::string words;
  for (std::size_t i = 1; i < args.size() && words.size() < reported_bytes_max; ++i) {
    const std::string_view word = printed(args[i], reported_bytes_max - words.size());
    words.append("'").append(word).append("' ");
  }
  std::string text = "ERR unknown command '";
  text.append(printed(args[0], reported_bytes_max)).append("', with args beginning with: ");
  text.append(words);
  const std::string_view reason = why_absent(args[0]);
  if (!reason.empty()) text.append("(").append(reason).append(")");
  return text;
}

std::string unknown_subcommand(Args args) {
  std::string text = "ERR unknown subcommand '";
  text.append(printed(args[1], reported_bytes_max)).append("'. Try ");
  for (const unsigned char letter : args[0]) text += static_cast<char>(std::toupper(letter));
  return text.append(" HELP.");
}

}  // namespace

KeyRange Command::keys_in(Args words) const noexcept {
  constexpr KeyRange none{0, -1, 0};
  if (keys.first <= 0 || keys.step <= 0) return none;
  const int count = static_cast<int>(words.size());
  int last = keys.last >= 0 ? keys.last : count + keys.last;
  if (keys.counted_at > 0) {
    if (keys.counted_at >= count) return none;
    const std::string_view text = words[static_cast<std::size_t>(keys.counted_at)];
    int counted = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), counted);
    const int fitting = (count - keys.first + keys.step - 1) / keys.step;
    if (failure != std::errc{} || end != text.data() + text.size() || counted < 1 ||
        counted > fitting) {
      return none;
    }
    last = keys.first + (counted - 1) * keys.step;
  }
  last = std::min(last, count - 1);
  if (last < keys.first) return none;
  return {keys.first, last, keys.step};
}

CommandTable::CommandTable(std::initializer_list<std::span<const Command>> families) {
  for (const std::span<const Command> family : families) {
    for (const Command& command : family) sorted_.push_back(&command);
  }
  std::sort(sorted_.begin(), sorted_.end(),
            [](const Command* a, const Command* b) { return a->name < b->name; });

  slots_.assign(std::bit_ceil(2 * sorted_.size() + 1), nullptr);
  for (const Command* command : sorted_) {
    assert(command->name.size() <= name_bytes_max);
    assert(find(command->name) == nullptr);
    std::size_t slot = FoldedName(command->name).hash();
    while (slots_[slot & (slots_.size() - 1)] != nullptr) ++slot;
    slots_[slot & (slots_.size() - 1)] = command;
  }
}

const Command* CommandTable::find(std::string_view name) const noexcept {
  if (name.empty() || name.size() > name_bytes_max) return nullptr;
  const FoldedName folded(name);
  for (std::size_t slot = folded.hash();; ++slot) {
    const Command* command = slots_[slot & (slots_.size() - 1)];
    if (command == nullptr) return nullptr;
    // The sizes too: folding makes a space of the padding.
    if (command->name.size() == name.size() && FoldedName(command->name) == folded) return command;
  }
}

const Command* CommandTable::named(Args args) const noexcept {
  const Command* const command = find(args[0]);
  if (command == nullptr || command->subcommands.empty() || args.size() == 1) return command;
  const std::size_t prefix_bytes = command->name.size() + 1;  // "client|"
  const auto row = std::find_if(
      command->subcommands.begin(), command->subcommands.end(), [&](const Command& sub) {
        return equals_ignoring_case(args[1], sub.name.substr(prefix_bytes));
      });
  return row == command->subcommands.end() ? nullptr : &*row;
}

const Command* CommandTable::resolve(Args args, std::string& error) const {
  assert(!args.empty());
  const Command* const command = named(args);
  if (command == nullptr) {
    error = find(args[0]) == nullptr ? unknown_command(args) : unknown_subcommand(args);
    return nullptr;
  }
  if (!command->arity_fits(args.size())) {
    error.assign("ERR wrong number of arguments for '").append(command->name).append("' command");
    return nullptr;
  }
  return command;
}

}  // namespace kvs::daemon
