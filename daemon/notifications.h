// notifications.h - keyspace notifications: what happens to keys, published on two channels.
//
// "__keyspace@<db>__:<key>" carries the event's name and "__keyevent@<db>__:<event>" the key's.
// Which classes of events are published is one set of flags (notify-keyspace-events), none by
// default; then a notification costs one relaxed load.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/pubsub.h"
#include "storage/engine.h"

namespace kvs::daemon {

// The letters of notify-keyspace-events.
enum NotifyFlags : std::uint32_t {
  notify_keyspace = 1u << 0,   // K
  notify_keyevent = 1u << 1,   // E
  notify_generic = 1u << 2,    // g: DEL, EXPIRE, RENAME ...
  notify_string = 1u << 3,     // $
  notify_expired = 1u << 4,    // x
  notify_new = 1u << 5,        // n: a key that was absent before
  notify_key_miss = 1u << 6,   // m: a read that found nothing
  notify_no_source = 1u << 7,  // l s h z e t d: accepted, nothing here has such events
};

// Reads letters as Redis does ("KEA", "Ex", ""); nullopt when one of them is unknown.
std::optional<std::uint32_t> parse_notify_flags(std::string_view letters);

// The letters in Redis' order. `letters` is what was set: it alone tells the classes without a
// source apart.
std::string canonical_notify_letters(std::string_view letters);

// Appends the messages of one event to `out`, if `flags` want its class.
void append_notification(std::uint32_t flags, std::uint32_t event_class, std::string_view event,
                         Key key, std::vector<Message>& out);

}  // namespace kvs::daemon
