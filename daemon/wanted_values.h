// wanted_values.h - which values a request will ask the engine for, as its row in the table says.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "daemon/client.h"
#include "daemon/command_table.h"
#include "daemon/commands/arguments.h"

namespace kvs::daemon {

// Calls `visit(name)` for each word of `args` that is a key of `command`.
template <class Visit>
void visit_keys(const Command& command, Args args, Visit&& visit) {
  const KeyRange keys = command.keys_in(args);
  for (int i = keys.first; i <= keys.last; i += keys.step) {
    visit(args[static_cast<std::size_t>(i)]);
  }
}

// The same for those whose values it needs. What it names more than once is visited as often, and
// the words live as long as the request.
template <class Visit>
void visit_wanted_values(const Command& command, Args args, Visit&& visit) {
  if (command.has(reads_values) || (command.has(reads) && !command.has(writes)) ||
      (command.name == "set" && set_looks_at_value(args))) {
    visit_keys(command, args, visit);
  }
}

// The same for all commands of the client's transaction, which EXEC runs.
template <class Visit>
void visit_wanted_values_of_transaction(const Client& client, Visit&& visit) {
  for (const StoredRequest& queued : client.transaction) {
    const std::vector<std::string_view> words(queued.args.begin(), queued.args.end());
    visit_wanted_values(*queued.command, words, visit);
  }
}

}  // namespace kvs::daemon
