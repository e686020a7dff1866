#include "daemon/key_access.h"

#include "daemon/commands/arguments.h"

namespace kvs::daemon {

namespace {

// What is no right BITFIELD may write, as Redis has it.
bool bitfield_only_reads(Args args) {
  for (std::size_t i = 2; i < args.size();) {
    const std::size_t more = args.size() - i - 1;
    if (is_word(args[i], "GET") && more >= 2) {
      i += 3;
    } else if (is_word(args[i], "OVERFLOW") && more >= 1) {
      i += 2;
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace

std::string_view key_access_of(const Command& command, Args args, std::size_t index) {
  // The last of the parts stands for all keys behind it.
  std::string_view text = command.doc.key_access;
  for (; index > 0 && text.find(';') != text.npos; --index) text.remove_prefix(text.find(';') + 1);
  text = text.substr(0, text.find(';'));
  if (text.find("variable_flags") == text.npos) return text;
  if (command.name == "set") return set_looks_at_value(args) ? "RW access update" : "OW update";
  if (command.name == "bitfield")
    return bitfield_only_reads(args) ? "RO access" : "RW access update";
  return args.size() < 3 ? "RM delete" : "RW access delete";  // DELEX
}

}  // namespace kvs::daemon
