#include "daemon/mailbox.h"

#include <utility>

namespace kvs::daemon {

Mailbox::Mailbox(Mailroom* room, Connection* owner, std::shared_ptr<ClientShared> client)
    : room_(room), owner_(owner), client_(std::move(client)) {}

void Mailbox::put(std::string_view message, std::size_t bytes_max) {
  {
    std::scoped_lock lock(mutex_);
    if (overflowed_) return;
    if (bytes_max != 0 && mail_.size() + message.size() > bytes_max) {
      overflowed_ = true;
      std::string().swap(mail_);
    } else {
      mail_.append(message);
    }
    if (told_.exchange(true)) return;
  }
  if (room_ != nullptr) room_->add(shared_from_this());
}

bool Mailbox::take(std::string& out) {
  std::scoped_lock lock(mutex_);
  told_.store(false);
  if (overflowed_) return false;
  out.append(mail_);
  std::string().swap(mail_);
  return true;
}

void Mailroom::add(std::shared_ptr<Mailbox> full) {
  {
    std::scoped_lock lock(mutex_);
    full_.push_back(std::move(full));
    if (full_.size() > 1) return;  // the loop has been woken and has not come yet
  }
  wake_();
}

std::vector<std::shared_ptr<Mailbox>> Mailroom::collect() {
  std::scoped_lock lock(mutex_);
  return std::exchange(full_, {});
}

}  // namespace kvs::daemon
