#include "daemon/notifications.h"

#include <array>

namespace kvs::daemon {

namespace {

struct Letter {
  char letter;
  std::uint32_t flag;
  bool in_all;  // part of 'A'
};

// In the order in which CONFIG GET answers them.
constexpr std::array<Letter, 14> classes = {{{'g', notify_generic, true},
                                             {'$', notify_string, true},
                                             {'l', notify_no_source, true},
                                             {'s', notify_no_source, true},
                                             {'h', notify_no_source, true},
                                             {'z', notify_no_source, true},
                                             {'x', notify_expired, true},
                                             {'e', notify_no_source, true},
                                             {'t', notify_no_source, true},
                                             {'d', notify_no_source, true},
                                             {'n', notify_new, false},
                                             {'K', notify_keyspace, false},
                                             {'E', notify_keyevent, false},
                                             {'m', notify_key_miss, false}}};

}  // namespace

std::optional<std::uint32_t> parse_notify_flags(std::string_view letters) {
  std::uint32_t flags = 0;
  for (const char letter : letters) {
    if (letter == '\0') break;  // where Redis' text ends
    bool known = false;
    for (const Letter& each : classes) {
      if (letter != each.letter && !(letter == 'A' && each.in_all)) continue;
      flags |= each.flag;
      known = true;
    }
    if (!known) return std::nullopt;
  }
  return flags;
}

std::string canonical_notify_letters(std::string_view letters) {
  letters = letters.substr(0, letters.find('\0'));
  const auto has = [letters](const Letter& each) {
    return letters.find(each.letter) != std::string_view::npos ||
           (each.in_all && letters.find('A') != std::string_view::npos);
  };
  bool all = true;
  for (const Letter& each : classes) all = all && (!each.in_all || has(each));
  std::string canonical(all ? "A" : "");
  for (const Letter& each : classes) {
    const bool implied =
        all && (each.in_all || each.flag == notify_new);  // Redis' own order of things
    if (has(each) && !implied) canonical += each.letter;
  }
  return canonical;
}

void append_notification(std::uint32_t flags, std::uint32_t event_class, std::string_view event,
                         Key key, std::vector<Message>& out) {
  if ((flags & event_class) == 0) return;
  const std::string database = "@" + std::to_string(key.database) + "__:";
  if ((flags & notify_keyspace) != 0) {
    out.push_back({Subscription::channel, "__keyspace" + database + std::string(key.name),
                   std::string(event)});
  }
  if ((flags & notify_keyevent) != 0) {
    out.push_back({Subscription::channel, "__keyevent" + database + std::string(event),
                   std::string(key.name)});
  }
}

}  // namespace kvs::daemon
