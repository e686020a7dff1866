#include "daemon/expired_keys.h"

#include <string>
#include <vector>

#include "daemon/notifications.h"
#include "daemon/operations.h"
#include "daemon/settings.h"

namespace kvs::daemon {

void ExpiredKeys::tell(Key key) const {
  if (services_ == nullptr) return;
  if (services_->operations.tracking.anyone()) {
    const ChangedKey change{std::string(key.name), 0, false};
    services_->operations.tracking.tell({&change, 1});
  }
  const auto flags = services_->settings.notify_flags.load(std::memory_order_relaxed);
  if ((flags & notify_expired) == 0) return;
  std::vector<Message> messages;
  append_notification(flags, notify_expired, "expired", key, messages);
  for (const Message& message : messages) services_->pubsub.publish(message);
}

}  // namespace kvs::daemon
