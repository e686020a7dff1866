#include "daemon/redaction.h"

#include "daemon/commands/arguments.h"

namespace kvs::daemon {

Redaction::Redaction(const Command& command, Args args) : args_(args) {
  const auto hide_from = [&](std::size_t first) {
    hidden_.assign(args.size(), false);
    for (std::size_t i = first; i < args.size(); ++i) hidden_[i] = true;
  };
  if (command.name == "auth") {
    hide_from(1);
  } else if (command.name == "acl|setuser") {
    hide_from(2);
  } else if (command.name == "hello") {
    for (std::size_t i = 2; i < args.size(); ++i) {
      if (!is_word(args[i], "AUTH")) continue;
      hidden_.assign(args.size(), false);
      for (std::size_t j = i + 1; j < args.size() && j <= i + 2; ++j) hidden_[j] = true;
      break;
    }
  } else if (command.name == "config|set") {
    for (std::size_t i = 2; i + 1 < args.size(); i += 2) {
      const bool secret = is_word(args[i], "REQUIREPASS") || is_word(args[i], "MASTERAUTH") ||
                          is_word(args[i], "TLS-KEY-FILE-PASS");
      if (!secret) continue;
      hidden_.resize(args.size(), false);
      hidden_[i + 1] = true;
    }
  }
}

std::string_view Redaction::shown(std::size_t index) const {
  if (!hidden_.empty() && hidden_[index]) return "(redacted)";
  return args_[index];
}

}  // namespace kvs::daemon
