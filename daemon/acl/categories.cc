#include "daemon/acl/categories.h"

#include <algorithm>
#include <array>

#include "daemon/commands/arguments.h"

namespace kvs::daemon::acl {

namespace {

constexpr std::array<std::string_view, 21> names = {
    "keyspace", "read",   "write",       "set",       "sortedset",  "list",        "hash",
    "string",   "bitmap", "hyperloglog", "geo",       "stream",     "pubsub",      "admin",
    "fast",     "slow",   "blocking",    "dangerous", "connection", "transaction", "scripting"};

// Documentation groups that are categories too, by the name of the category.
std::string_view category_of_group(std::string_view group) {
  if (group == "sorted-set" || group == "sorted_set") return "sortedset";
  constexpr std::array<std::string_view, 9> groups = {
      "set", "list", "hash", "string", "bitmap", "hyperloglog", "geo", "stream", "scripting"};
  const auto found = std::find(groups.begin(), groups.end(), group);
  return found == groups.end() ? std::string_view() : *found;
}

}  // namespace

std::span<const std::string_view> category_names() {
  return names;
}

std::optional<unsigned> find_category(std::string_view name) {
  const std::string wanted = lower_case(name);
  const auto found = std::find(names.begin(), names.end(), wanted);
  if (found == names.end()) return std::nullopt;
  return static_cast<unsigned>(found - names.begin());
}

bool is_in_category(const Command& command, unsigned category) {
  const auto own = categories_of(command);
  return std::find(own.begin(), own.end(), names[category]) != own.end();
}

std::vector<std::string_view> categories_of(const Command& command) {
  std::vector<std::string_view> result;
  if (command.has(keyspace_family)) result.push_back("keyspace");
  if (command.has(writes)) {
    result.push_back("write");
  } else if (command.has(reads) && command.doc.group != "scripting") {
    result.push_back("read");
  }
  // What only holds subcommands is in no group of its own.
  const bool container = command.handler == nullptr;
  const std::string_view group =
      container ? std::string_view() : category_of_group(command.doc.group);
  if (!group.empty()) result.push_back(group);
  if (command.has(pubsub_family)) result.push_back("pubsub");
  // LASTSAVE and ROLE are in @admin without being flagged so.
  if (command.has(admin) || command.name == "lastsave" || command.name == "role") {
    result.push_back("admin");
  }
  result.push_back(command.has(fast) ? "fast" : "slow");
  if (command.has(dangerous)) result.push_back("dangerous");
  if (command.has(connection_family)) result.push_back("connection");
  if (command.has(transaction_family)) result.push_back("transaction");
  return result;
}

const Command* find_by_full_name(const CommandTable& table, std::string_view name) {
  const std::size_t bar = name.find('|');
  const Command* command = table.find(name.substr(0, bar));
  if (command == nullptr || bar == std::string_view::npos) return command;
  const std::string wanted = lower_case(name);
  for (const Command& subcommand : command->subcommands) {
    if (subcommand.name == wanted) return &subcommand;
  }
  return nullptr;
}

}  // namespace kvs::daemon::acl
