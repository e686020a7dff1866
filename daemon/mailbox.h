// mailbox.h - how messages that a client did not ask for (publish/subscribe) reach its connection.
//
// Whoever publishes, on whatever thread, puts the encoded message into the Mailbox of each
// subscriber. The first one wakes the loop that the subscriber lives on, once for all mailboxes
// that fill meanwhile (Mailroom); the connection takes its mail between two replies.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace kvs::daemon {

class Connection;
struct ClientShared;
class Mailroom;

// Thread: any, but for what says otherwise.
class Mailbox : public std::enable_shared_from_this<Mailbox> {
 public:
  // `room` outlives every put(); null (in tests): nobody is woken.
  Mailbox(Mailroom* room, Connection* owner, std::shared_ptr<ClientShared> client);

  const ClientShared& client() const noexcept { return *client_; }

  // Appends whole messages. Beyond `bytes_max` (0: no limit) unread ones the mailbox overflows: it
  // keeps nothing from then on and its connection is to be closed.
  void put(std::string_view message, std::size_t bytes_max);

  // False only if nothing has been put since the last take().
  bool has_mail() const noexcept { return told_.load(std::memory_order_acquire); }

  // Appends the mail to `out`; false when the mailbox has overflowed.
  bool take(std::string& out);

  // The connection, or null once it is gone. Thread: its loop's.
  Connection* owner() const noexcept { return owner_; }
  void forget_owner() noexcept { owner_ = nullptr; }

 private:
  Mailroom* const room_;
  Connection* owner_;  // loop thread
  const std::shared_ptr<ClientShared> client_;
  std::mutex mutex_;
  std::string mail_;               // guarded by mutex_
  std::atomic<bool> told_{false};  // written under mutex_; the mailroom knows of the mail
  bool overflowed_ = false;        // guarded by mutex_
};

// The mailboxes of one loop that have mail. Thread: any.
class Mailroom {
 public:
  // `wake` makes the loop call deliver() soon; called from any thread.
  explicit Mailroom(std::function<void()> wake) : wake_(std::move(wake)) {}

  void add(std::shared_ptr<Mailbox> full);
  // Those that have filled since the last call. Thread: the loop's.
  std::vector<std::shared_ptr<Mailbox>> collect();

 private:
  const std::function<void()> wake_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<Mailbox>> full_;  // guarded by mutex_
};

}  // namespace kvs::daemon
