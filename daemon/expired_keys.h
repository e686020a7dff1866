// expired_keys.h - tells of keys whose time is over: to those who track them, and as the event
// "expired" of keyspace notifications.
//
// The engine is opened before there is anybody to tell, so it is given this, which learns of the
// services later. Thread: any; tell() only from listen() on, which maintenance comes after.
#pragma once

#include "daemon/context.h"

namespace kvs::daemon {

class ExpiredKeys {
 public:
  // `services` outlives every call of tell().
  void listen(Services& services) noexcept { services_ = &services; }
  // `key` has left the engine.
  void tell(Key key) const;

 private:
  Services* services_ = nullptr;
};

}  // namespace kvs::daemon
