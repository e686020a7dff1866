// string_writes.h - what commands that set whole values share.
#pragma once

#include <string_view>

#include "daemon/context.h"
#include "daemon/notifications.h"

namespace kvs::daemon {

// `value` is a word of the request. If its deadline has passed it need not be stored at all.
inline void put_until(Context& context, std::string_view key, std::string_view value,
                      UnixMs expire_at) {
  if (expire_at != never && expire_at <= context.now()) return context.remove(key);
  context.put_argument(key, value, expire_at);
}

// The events of a SET; `new_deadline` is one that it was given, not one that it kept.
inline void notify_set(Context& context, std::string_view key, UnixMs new_deadline) {
  context.notify(notify_string, "set", key);
  if (new_deadline != never) context.notify(notify_generic, "expire", key);
}

}  // namespace kvs::daemon
